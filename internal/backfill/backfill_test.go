package backfill_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/backfill"
	"github.com/s3db-go/replicator/internal/disk/faultfs"
	"github.com/s3db-go/replicator/internal/journal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestBesideWriters: writers insert, update and delete all the while; the runner is
// stopped again and again, and another goes on. In the end the destination equals the
// source, and no record was sent more often than there were chunks repeated.
func TestBesideWriters(t *testing.T) {
	fsys := faultfs.New()
	j := openJournal(t, fsys)
	defer j.Close()
	const records, rounds = 2000, 12
	s := newShop(j, records)
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(w)))
			for i := int64(0); ctx.Err() == nil; i++ {
				id := fmt.Sprintf("%05d", random.IntN(records*5/4))
				rec := cdc.Record{"n": int64(w)<<32 | i}
				if random.IntN(3) == 0 {
					rec = nil
				}
				if err := s.write(t.Context(), id, rec); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	o := options(s, j, fsys)
	chunks := make(chan struct{}, 1)
	o.Notify = func(backfill.Progress) {
		select {
		case chunks <- struct{}{}:
		default:
		}
	}
	for range rounds {
		r, _ := begin(t, o, "r")
		for range 5 {
			<-chunks
		}
		r.Stop()
	}
	_, run := begin(t, o, "r")
	wait(t, run)
	stop()
	writers.Wait()
	seal(t, j)
	state, sent := arrived(t, j)
	if diff := cmp.Diff(s.state(), state); diff != "" {
		t.Errorf("source (-) and destination (+) differ:\n%s", diff)
	}
	repeated := 0
	for id, ids := range sent {
		repeated += len(ids) - 1
		if len(slices.Compact(ids)) != 1 {
			t.Errorf("record %s was sent under several ids: %v", id, ids)
		}
	}
	if repeated > 0 { // a Stop waits for the chunk under way
		t.Errorf("%d records were sent twice", repeated)
	}
	if len(sent) < records/4 {
		t.Errorf("only %d records were sent; the writers left more alone", len(sent))
	}
	if left, err := backfill.Unfinished(fsys); err != nil || len(left) > 0 {
		t.Errorf("unfinished: %v, %v", left, err)
	}
}

// TestChangedSince: what changes between the reading of a chunk and its append is left
// to that change: a record that was updated, one that was deleted, and one that was
// deleted and inserted again.
func TestChangedSince(t *testing.T) {
	fsys := faultfs.New()
	j := openJournal(t, fsys)
	defer j.Close()
	s := newShop(j, 4)
	once := sync.OnceFunc(func() {
		for _, w := range []struct {
			id  string
			rec cdc.Record
		}{{"00001", cdc.Record{"n": int64(100)}}, {"00002", nil}, {"00003", nil}, {"00003", cdc.Record{"n": int64(300)}}} {
			if err := s.write(t.Context(), w.id, w.rec); err != nil {
				t.Error(err)
			}
		}
	})
	s.after = once
	_, run := begin(t, options(s, j, fsys), "r")
	wait(t, run)
	state, sent := arrived(t, j)
	if diff := cmp.Diff(s.state(), state); diff != "" {
		t.Errorf("source (-) and destination (+) differ:\n%s", diff)
	}
	if len(sent) != 1 || len(sent["00000"]) != 1 {
		t.Errorf("sent: %v, want only the record that did not change", sent)
	}
}

// TestOpenBegin: a write that is announced and not ended counts as no change; its
// commit comes after what the backfill sends.
func TestOpenBegin(t *testing.T) {
	fsys := faultfs.New()
	j := openJournal(t, fsys)
	defer j.Close()
	s := newShop(j, 1)
	ticket, err := j.Begin(t.Context(), []cdc.Change{{
		ChangeID: cdc.ID{1}, Op: cdc.Deleted, Resource: "r", RecordID: "00000", Data: s.rows["00000"], Time: now(),
	}})
	if err != nil {
		t.Fatal(err)
	}
	_, run := begin(t, options(s, j, fsys), "r")
	wait(t, run)
	j.Commit(ticket, 0, nil)
	seal(t, j)
	state, sent := arrived(t, j)
	if len(sent["00000"]) != 1 || state["00000"] != nil {
		t.Errorf("sent %v, state %v; want it sent, and deleted afterwards", sent, state)
	}
}

// TestPowerCut cuts the power at every operation of the disk, in both of its futures.
// The next runner finds a run that nobody was told of, or goes on with it: every record
// arrives, under one id, and at most one chunk is repeated.
func TestPowerCut(t *testing.T) {
	const records, chunk = 35, 10
	for n := 1; ; n++ {
		fsys := faultfs.New()
		j := openJournal(t, fsys)
		o := options(newShop(j, records), j, fsys)
		fsys.CrashAt(n)
		failed := make(chan struct{}, 100)
		o.Notify = func(p backfill.Progress) {
			if p.Err != nil {
				failed <- struct{}{}
			}
		}
		r := backfill.New(o, nil)
		run, err := r.Begin("r")
		if err == nil {
			r.Start()
			done := make(chan error, 1)
			ctx, cancel := context.WithCancel(t.Context())
			go func() { done <- run.Wait(ctx) }()
			select {
			case <-failed:
			case err = <-done:
				done <- err
			}
			cancel()
			r.Stop()
			<-done
		}
		crashed := fsys.Crashed()
		_ = j.Close() // fails where the power is gone
		for _, seed := range []uint64{0, uint64(n)} {
			after := fsys.Crash(seed)
			j := openJournal(t, after)
			left, unreadable := backfill.Unfinished(after)
			if unreadable != nil {
				t.Fatal(unreadable)
			}
			// What was put down and is not there any more is all sent.
			if _, sent := arrived(t, j); crashed && err == nil && len(left) == 0 && len(sent) != records {
				t.Errorf("operation %d, seed %d: forgotten when %d of %d records were sent", n, seed, len(sent), records)
			}
			resume, run := begin(t, options(newShop(j, records), j, after), "r")
			wait(t, run)
			resume.Stop()
			_, sent := arrived(t, j)
			repeated := 0
			for id, ids := range sent {
				repeated += len(ids) - 1
				if len(left) > 0 && len(slices.Compact(ids)) > 1 {
					t.Errorf("operation %d, seed %d: %s was sent under several ids", n, seed, id)
				}
			}
			if len(sent) != records {
				t.Errorf("operation %d, seed %d: %d of %d records were sent", n, seed, len(sent), records)
			}
			if len(left) > 0 && repeated > chunk {
				t.Errorf("operation %d, seed %d: %d records were sent twice", n, seed, repeated)
			}
			_ = j.Close()
		}
		if !crashed {
			if n < 30 {
				t.Errorf("only %d operations", n)
			}
			return
		}
		if t.Failed() {
			return
		}
	}
}

// TestTwoChunksUnsettled: while the destination settles nothing, the chunks that were
// read are two and the one that was read when two waited. What waited before a restart
// counts.
func TestTwoChunksUnsettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := faultfs.New()
		j := openJournal(t, fsys)
		defer j.Close()
		o := options(newShop(j, 100), j, fsys)
		var mu sync.Mutex
		low, grown := uint64(0), make(chan struct{})
		o.Settled = func(ctx context.Context, seq uint64) error {
			for {
				mu.Lock()
				reached, wait := low >= seq, grown
				mu.Unlock()
				if reached {
					return nil
				}
				select {
				case <-wait:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
		settle := func(seq uint64) {
			mu.Lock()
			defer mu.Unlock()
			low = seq
			close(grown)
			grown = make(chan struct{})
		}
		expect := func(want uint64) {
			t.Helper()
			synctest.Wait()
			if got := j.Last(); got != want {
				t.Errorf("%d records were sent, want %d", got, want)
			}
		}
		r, _ := begin(t, o, "r")
		expect(30)
		settle(9)
		expect(30)
		settle(10)
		expect(40)
		r.Stop()
		r, run := begin(t, o, "r")
		expect(50)
		settle(39)
		expect(50)
		settle(40)
		expect(70) // the restart knows only that all 40 waited
		settle(90)
		expect(100)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := run.Wait(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("with ten records unsettled, Wait gave %v", err)
		}
		settle(100)
		wait(t, run)
		r.Stop()
	})
}

// TestFailures: what fails is told and tried again, after pauses that grow; another
// resource's run goes on meanwhile. Progress starts the pauses anew.
func TestFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := faultfs.New()
		j := openJournal(t, fsys)
		defer j.Close()
		broken := errors.New("the source is away")
		var asked []time.Duration
		start := time.Now()
		o := options(scanner(func(resource, after string, limit int) ([]cdc.Row, error) {
			if resource == "bad" {
				asked = append(asked, time.Since(start))
				if len(asked) < 4 {
					return nil, broken
				}
				if len(asked) == 4 {
					panic("secret")
				}
			}
			if after != "" {
				return nil, nil
			}
			return []cdc.Row{{RecordID: "1", Data: cdc.Record{}}}, nil
		}), j, fsys)
		var faults []string
		o.Notify = func(p backfill.Progress) {
			if p.Err != nil {
				faults = append(faults, p.Resource+": "+p.Err.Error())
			}
		}
		r, bad := begin(t, o, "bad")
		good, err := r.Begin("good")
		if err != nil {
			t.Fatal(err)
		}
		wait(t, good)
		if d := time.Since(start); d > 0 {
			t.Errorf("the good one took %v", d)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := bad.Wait(ctx); !errors.Is(err, broken) || !errors.Is(err, context.Canceled) || !strings.HasPrefix(err.Error(), "d: bad: 0 records read, 0 sent: ") {
			t.Errorf("Wait gave %v", err)
		}
		wait(t, bad)
		r.Stop()
		if want := []time.Duration{0, 1 * time.Second, 3 * time.Second, 7 * time.Second, 15 * time.Second, 15 * time.Second}; !slices.Equal(asked, want) {
			t.Errorf("asked at %v, want %v", asked, want)
		}
		if len(faults) != 4 || strings.Contains(faults[3], "secret") || !strings.Contains(faults[3], "the source's Scan panicked") {
			t.Errorf("told: %q", faults)
		}
	})
}

// TestSourceDoesNotGetOn: a source that begins anew each time is found out.
func TestSourceDoesNotGetOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := journal.NewMemory(journal.MemoryOptions{})
		defer j.Close()
		o := options(scanner(func(string, string, int) ([]cdc.Row, error) {
			return []cdc.Row{{RecordID: "1", Data: cdc.Record{}}, {RecordID: "2", Data: cdc.Record{}}}, nil
		}), j, nil)
		r, run := begin(t, o, "r")
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := run.Wait(ctx); err == nil || !strings.Contains(err.Error(), `gives the record "2" again`) {
			t.Errorf("Wait gave %v", err)
		}
		r.Stop()
		if err := run.Wait(t.Context()); !errors.Is(err, cdc.ErrStopped) {
			t.Errorf("after Stop, Wait gave %v", err)
		}
		if _, err := r.Begin("other"); !errors.Is(err, cdc.ErrStopped) {
			t.Errorf("after Stop, Begin gave %v", err)
		}
	})
}

// full is a journal that more is written to than its watches remember, until a chunk is
// small enough.
type full struct {
	journal.Journal
	fits int
}

func (f full) AppendTo(ctx context.Context, to string, changes []cdc.Change, w *journal.Watch) (int, error) {
	if len(changes) > f.fits {
		return 0, journal.ErrWatchFull
	}
	return f.Journal.AppendTo(ctx, to, changes, w)
}

func TestWatchFull(t *testing.T) {
	fsys := faultfs.New()
	j := openJournal(t, fsys)
	defer j.Close()
	s := newShop(j, 25)
	_, run := begin(t, options(s, full{j, 3}, fsys), "r")
	wait(t, run)
	if state, sent := arrived(t, j); !cmp.Equal(s.state(), state) || len(sent) != 25 {
		t.Errorf("sent %d records, state %v", len(sent), state)
	}
}

// TestRate: a hundred records at twenty a second take five seconds, less the pause after
// the last chunk, which nothing follows but the look whether there is more.
func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := faultfs.New()
		j := openJournal(t, fsys)
		defer j.Close()
		o := options(newShop(j, 100), j, fsys)
		o.Rate = 20
		start := time.Now()
		r, run := begin(t, o, "r")
		wait(t, run)
		if d := time.Since(start); d != 5*time.Second {
			t.Errorf("took %v", d)
		}
		r.Stop()
	})
}

// TestWhatIsSent looks at the changes, and at the filter: it gets a copy.
func TestWhatIsSent(t *testing.T) {
	fsys := faultfs.New()
	j := openJournal(t, fsys)
	defer j.Close()
	o := options(newShop(j, 4), j, fsys)
	joined := make(chan struct{}) // the run goes on when another has asked for the same
	o.Filter = func(c cdc.Change) bool {
		<-joined
		c.Data["n"] = "spoilt"
		return c.RecordID != "00001"
	}
	var told []backfill.Progress
	o.Notify = func(p backfill.Progress) { told = append(told, p) }
	r, run := begin(t, o, "r")
	again, err := r.Begin("r")
	close(joined)
	if err != nil {
		t.Error(err)
	} else {
		wait(t, again)
	}
	wait(t, run)
	r.Stop()
	reader, err := j.ReadFor("d", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	entries, err := reader.Next(1 << 20)
	if err != nil || len(entries) != 3 {
		t.Fatalf("%d changes, %v; want 3 of 4", len(entries), err)
	}
	seen := map[cdc.ID]bool{}
	for i, e := range entries {
		c := *e.Change
		want := []string{"00000", "00002", "00003"}[i]
		if e.To != "d" || c.RecordID != want || c.Op != cdc.Inserted || c.Origin != cdc.Snapshot || c.SchemaVersion != 7 ||
			c.Before != nil || c.Time.IsZero() || c.Version == 0 || c.ChangeID[6]>>4 != 8 || c.ChangeID[8]>>6 != 2 {
			t.Errorf("to %s: %+v", e.To, c)
		}
		if _, ok := c.Data["n"].(int64); !ok {
			t.Errorf("the filter changed what was sent: %v", c.Data)
		}
		seen[c.ChangeID] = true
	}
	if len(seen) != 3 {
		t.Errorf("%d ids for 3 changes", len(seen))
	}
	want := []backfill.Progress{{Resource: "r", Read: 4, Sent: 3}, {Resource: "r", Read: 4, Sent: 3, Done: true}}
	if !slices.Equal(told, want) {
		t.Errorf("told %+v, want %+v", told, want)
	}
	if other, err := j.ReadFor("other", 0); err != nil {
		t.Error(err)
	} else {
		defer other.Close()
		if entries, err := other.Next(1 << 20); err != nil || len(entries) != 3 || entries[0].Kind != journal.Foreign {
			t.Errorf("another destination sees %v, %v", entries, err)
		}
	}
}

// TestDamagedState: a file that does not hold what was written is an error that names it.
func TestDamagedState(t *testing.T) {
	for _, damage := range []string{"", "{}", `{"run":"x"}`} {
		fsys := faultfs.New()
		j := openJournal(t, fsys)
		r := backfill.New(options(newShop(j, 1), j, fsys), nil)
		if _, err := r.Begin("r"); err != nil {
			t.Fatal(err)
		}
		entries, err := fsys.ReadDir("backfills")
		if err != nil || len(entries) != 1 {
			t.Fatal(entries, err)
		}
		name := "backfills/" + entries[0].Name()
		f, err := fsys.OpenFile(name, 1, 0) // os.O_WRONLY
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte(damage), 0); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.Truncate(int64(len(damage))), f.Close()); err != nil {
			t.Fatal(err)
		}
		if s, err := backfill.Unfinished(fsys); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%q gives %v, %v", damage, s, err)
		}
		_ = j.Close()
	}
}

// TestLookedAtAgain: where a route carries only inserts, a record that was updated while
// its chunk was read is sent as it is then; one that was deleted is not, and no other is
// sent twice.
func TestLookedAtAgain(t *testing.T) {
	fsys := faultfs.New()
	j := openJournal(t, fsys)
	defer j.Close()
	s := newShop(j, 4)
	update := func(id string, rec cdc.Record) {
		if err := s.write(t.Context(), id, rec); err != nil {
			t.Error(err)
		}
	}
	s.after = sync.OnceFunc(func() {
		update("00001", cdc.Record{"n": int64(100)})
		update("00002", cdc.Record{"n": int64(200)})
		update("00003", nil)
	})
	o := options(s, j, fsys)
	o.Again = func(resource string) bool { return resource == "r" }
	looks := 0
	o.Present = func(_ context.Context, _, id string) (cdc.Row, bool, error) {
		looks++
		rec := s.state()[id]
		if id == "00002" && looks < 20 { // it changes under each look
			update(id, cdc.Record{"n": int64(200 + looks)})
		}
		return cdc.Row{RecordID: id, Data: rec, SchemaVersion: 8}, rec != nil, nil
	}
	_, run := begin(t, o, "r")
	wait(t, run)
	seal(t, j)
	state, sent := arrived(t, j)
	if diff := cmp.Diff(s.state(), state); diff != "" {
		t.Errorf("source (-) and destination (+) differ:\n%s", diff)
	}
	if len(sent) != 3 || len(sent["00000"]) != 1 || len(sent["00001"]) != 1 || len(sent["00002"]) != 1 {
		t.Errorf("sent: %v, want each that is there once", sent)
	}
}

// TestPause: between Pause and Start nothing is read; then the run goes on where it was.
// A run that is restarted begins anew, under other ids.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := faultfs.New()
		j := openJournal(t, fsys)
		s := newShop(j, 100)
		reads := 0
		s.after = func() { reads++ }
		o := options(s, j, fsys)
		o.Rate = 10
		r, run := begin(t, o, "r")
		time.Sleep(2500 * time.Millisecond) // virtual: three chunks
		synctest.Wait()
		r.Pause()
		r.Pause()
		time.Sleep(time.Hour)
		if reads != 3 {
			t.Errorf("%d chunks were read", reads)
		}
		r.Start()
		time.Sleep(2500 * time.Millisecond)
		synctest.Wait()
		r.Pause()
		if err := r.Restart("r"); err != nil {
			t.Fatal(err)
		}
		r.Start()
		wait(t, run)
		r.Stop()
		_, sent := arrived(t, j)
		if len(sent) != 100 {
			t.Errorf("%d records were sent", len(sent))
		}
		for id, ids := range sent {
			if want := 1 + len(sent["00000"])/2; len(ids) > want || len(ids) == 2 && ids[0] == ids[1] {
				t.Errorf("%s was sent as %v", id, ids)
			}
		}
		if n := len(sent["00000"]); n != 2 {
			t.Errorf("the first record was sent %d times, though the run began twice", n)
		}
		_ = j.Close()
	})
}

// TestLargeRecords: a chunk holds as many records as fit in its bytes, and one that fits in
// none goes alone.
func TestLargeRecords(t *testing.T) {
	fsys := faultfs.New()
	j := openJournal(t, fsys)
	defer j.Close()
	s := newShop(j, 10)
	s.rows["00003"] = cdc.Record{"text": strings.Repeat("x", 5000)}
	s.rows["00004"] = cdc.Record{"text": strings.Repeat("x", 600)}
	s.rows["00005"] = cdc.Record{"text": strings.Repeat("x", 600)}
	o := options(s, j, fsys)
	o.ChunkBytes = 1000
	var read []uint64
	o.Notify = func(p backfill.Progress) { read = append(read, p.Read) }
	r, run := begin(t, o, "r")
	wait(t, run)
	r.Stop()
	if want := []uint64{3, 4, 5, 10, 10}; !slices.Equal(read, want) {
		t.Errorf("%v were read, want %v", read, want)
	}
	if _, sent := arrived(t, j); len(sent) != 10 {
		t.Errorf("%d records were sent", len(sent))
	}
}
