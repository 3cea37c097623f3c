package capture_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/capture"
	"github.com/s3db-go/replicator/internal/disk/faultfs"
	"github.com/s3db-go/replicator/internal/journal"
	"github.com/s3db-go/replicator/internal/keylock"
)

// outcome is what becomes of a write in the model store.
type outcome string

const (
	applied     outcome = "applied"
	refused     outcome = "refused"      // certainly not applied
	lostAnswer  outcome = "lost answer"  // applied, but nobody was told
	lostRequest outcome = "lost request" // not applied, and nobody was told
	late        outcome = "late"         // applied two seconds after its client gave up
	diedBefore  outcome = "died before"  // power lost before the store applied it
	diedAfter   outcome = "died after"   // power lost between that and the end
)

// remote is the second look of the model store where it stands for a remote one.
const remote = 5 * time.Second

// model is a store whose every application of a write is noted: what the journal
// must hold in the end, no more and no less.
type model struct {
	second time.Duration
	locks  keylock.Set
	late   sync.WaitGroup
	asked  atomic.Int64 // calls of Read
	boom   atomic.Bool  // Read panics

	mu      sync.Mutex // guards what follows
	rows    map[cdc.Key]cdc.Record
	applied map[cdc.Key][]cdc.Change
	wrong   []string // writes that were made of an old state
	unread  error    // what Read gives while it can't be read
}

func newModel(second time.Duration) *model {
	return &model{second: second, rows: map[cdc.Key]cdc.Record{}, applied: map[cdc.Key][]cdc.Change{}}
}

func (m *model) Capture(cdc.Recorder) (func(), error) { return func() {}, nil }
func (m *model) SecondLook() time.Duration            { return m.second }
func (m *model) WithLock(resource, recordID string, fn func()) {
	m.locks.With(cdc.Key{Resource: resource, RecordID: recordID}, fn)
}
func (m *model) Read(_ context.Context, resource, recordID string) (cdc.Record, bool, error) {
	m.asked.Add(1)
	if m.boom.Load() {
		panic("nil pool")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.rows[cdc.Key{Resource: resource, RecordID: recordID}]
	return r, ok, m.unread
}

func (m *model) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.unread = err
}

// apply changes the store.
func (m *model) apply(c cdc.Change) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := c.RecordKey()
	if present := m.rows[key]; c.Op != cdc.Deleted && !present.Equal(c.Before) {
		m.wrong = append(m.wrong, fmt.Sprintf("%s was made of %v when the record was %v", c, c.Before, present))
	}
	if c.Op == cdc.Deleted {
		delete(m.rows, key)
	} else {
		m.rows[key] = c.Data
	}
	m.applied[key] = append(m.applied[key], cdc.Change{Op: c.Op, Data: c.Data})
}

// write announces a change, carries it out as the outcome says, and ends it.
func (m *model) write(ctx context.Context, rec cdc.Recorder, fsys *faultfs.FS, op cdc.Op, id string, value int, o outcome) error {
	c := cdc.Change{Op: op, Resource: "r", RecordID: id}
	release, err := m.locks.Lock(ctx, c.RecordKey())
	if err != nil {
		return err
	}
	defer release()
	m.mu.Lock()
	present := m.rows[c.RecordKey()]
	m.mu.Unlock()
	switch op {
	case cdc.Inserted:
		c.Data = cdc.Record{"v": int64(value)}
	case cdc.Updated:
		c.Data, c.Before = cdc.Record{"v": int64(value)}, present
	case cdc.Deleted:
		c.Data = present
	}
	pending, err := rec.Begin(ctx, c)
	if err != nil {
		return err
	}
	switch o {
	case applied:
		m.apply(c)
		pending[0].Commit()
	case refused:
		pending[0].Abort()
	case lostAnswer:
		m.apply(c)
		pending[0].Doubt(errors.New("reset"))
	case lostRequest:
		pending[0].Doubt(errors.New("reset"))
	case late:
		m.late.Go(func() {
			time.Sleep(2 * time.Second) // virtual
			m.apply(c)
		})
		pending[0].Doubt(errors.New("timeout"))
	case diedBefore:
		fsys.CrashAt(1)
	case diedAfter:
		m.apply(c)
		fsys.CrashAt(1)
	}
	return nil
}

// process is one life of the program: a journal on a disk and a recorder.
type process struct {
	fsys     *faultfs.FS
	journal  *journal.Disk
	recorder *capture.Recorder
}

func start(t *testing.T, m *model, fsys *faultfs.FS) *process {
	t.Helper()
	j, err := journal.Open(fsys, journal.Options{Now: time.Now, SegmentBytes: 4 << 10, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		if !fsys.Crashed() {
			t.Fatalf("open: %v", err)
		}
		return nil
	}
	p := &process{fsys, j, capture.New(capture.Options{
		Journal: j, Source: m, Wants: func(string, cdc.Op) bool { return true }, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
	})}
	if err := p.recorder.Recover(t.Context()); err != nil && !fsys.Crashed() {
		t.Fatalf("recover: %v", err)
	}
	return p
}

func (p *process) stop(t *testing.T) {
	t.Helper()
	p.recorder.Stop()
	if err := p.journal.Close(); err != nil && !p.fsys.Crashed() {
		t.Errorf("close: %v", err)
	}
}

// committed reads the journal from its beginning.
func (p *process) committed(t *testing.T) map[cdc.Key][]cdc.Change {
	t.Helper()
	r, err := p.journal.Read(0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	out := map[cdc.Key][]cdc.Change{}
	ids, version := map[cdc.ID]bool{}, uint64(0)
	for seq := uint64(1); seq <= p.journal.Last(); {
		<-r.More()
		entries, err := r.Next(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			c := e.Change
			if ids[c.ChangeID] {
				t.Errorf("%s is in the journal twice", c)
			}
			if c.Seq != seq || c.Version <= version {
				t.Errorf("%s has version %d, after seq %d with version %d", c, c.Version, seq-1, version)
			}
			ids[c.ChangeID], version = true, c.Version
			seq++
			key := c.RecordKey()
			out[key] = append(out[key], cdc.Change{Op: c.Op, Data: c.Data})
		}
	}
	return out
}

// script writes to one record for each operation and outcome: what is needed before
// it, the write in question, and one more after it. It ends with the power.
func script(t *testing.T, m *model, p *process, outcomes []outcome) {
	value := 0
	next := func(op cdc.Op, id string, o outcome) {
		value++
		if err := m.write(t.Context(), p.recorder, p.fsys, op, id, value, o); err != nil && !p.fsys.Crashed() {
			t.Errorf("%s of %s: %v", op, id, err)
		}
	}
	for _, op := range []cdc.Op{cdc.Inserted, cdc.Updated, cdc.Deleted} {
		for _, o := range outcomes {
			if p.fsys.Crashed() {
				return
			}
			id := fmt.Sprintf("%s, %s", op, o)
			if op != cdc.Inserted {
				next(cdc.Inserted, id, applied)
			}
			next(op, id, o)
			// The next write comes at once: it must wait until the last one is clear.
			follow(t, m, p, id, &value)
		}
	}
}

// follow writes the record once more, by whatever its state allows by then.
func follow(t *testing.T, m *model, p *process, id string, value *int) {
	*value++
	key := cdc.Key{Resource: "r", RecordID: id}
	release, err := m.locks.Lock(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	for {
		c := cdc.Change{Op: cdc.Inserted, Resource: "r", RecordID: id, Data: cdc.Record{"v": int64(*value)}}
		if present, ok, _ := m.Read(t.Context(), "r", id); ok {
			c.Op, c.Before = cdc.Updated, present
		}
		pending, err := p.recorder.Begin(t.Context(), c)
		switch {
		case errors.Is(err, cdc.ErrStale):
			continue
		case err == nil:
			m.apply(c)
			pending[0].Commit()
		case !p.fsys.Crashed():
			t.Errorf("following %s: %v", id, err)
		}
		return
	}
}

func (m *model) compare(t *testing.T, p *process) {
	t.Helper()
	for _, w := range m.wrong {
		t.Error(w)
	}
	got := p.committed(t)
	for _, key := range slices.SortedFunc(maps.Keys(m.applied), func(a, b cdc.Key) int { return cmpStrings(a.RecordID, b.RecordID) }) {
		if diff := cmp.Diff(m.applied[key], got[key]); diff != "" {
			t.Errorf("%s: the store applied (-), the journal holds (+):\n%s", key.RecordID, diff)
		}
		delete(got, key)
	}
	for key, changes := range got {
		t.Errorf("%s: the journal holds %v, the store applied nothing", key.RecordID, changes)
	}
}

func cmpStrings(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// TestEveryEndIsFoundOut: the journal holds exactly what the store applied, in order,
// however the writes ended.
func TestEveryEndIsFoundOut(t *testing.T) {
	for name, tt := range map[string]struct {
		second   time.Duration
		outcomes []outcome
	}{
		"local":  {0, []outcome{applied, refused, lostAnswer, lostRequest}},
		"remote": {remote, []outcome{applied, refused, lostAnswer, lostRequest, late}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newModel(tt.second)
				p := start(t, m, faultfs.New())
				script(t, m, p, tt.outcomes)
				if err := p.recorder.Settle(t.Context()); err != nil {
					t.Error(err)
				}
				m.compare(t, p)
				p.stop(t)
			})
		})
	}
}

// TestEveryCrashIsRecovered: the same after a loss of power at any operation of the
// disk, and within the store's write, before it applied it and after.
func TestEveryCrashIsRecovered(t *testing.T) {
	outcomes := []outcome{applied, refused, lostAnswer, lostRequest, late}
	crash := func(t *testing.T, at int, seed uint64, outcomes []outcome) (finished bool) {
		synctest.Test(t, func(t *testing.T) {
			m := newModel(remote)
			fsys := faultfs.New()
			if at > 0 {
				fsys.CrashAt(at)
			}
			if p := start(t, m, fsys); p != nil {
				script(t, m, p, outcomes)
				finished = !fsys.Crashed()
				p.recorder.Stop()
				if !finished {
					_ = p.journal.Close() // a dead process closes nothing; this only ends its goroutines
				} else {
					p.stop(t)
				}
			}
			p := start(t, m, fsys.Crash(seed))
			m.late.Wait()
			m.compare(t, p)
			p.stop(t)
		})
		return finished
	}
	t.Run("at every operation", func(t *testing.T) {
		n := 1
		for ; !crash(t, n, uint64(n%3), outcomes) && !t.Failed(); n++ {
		}
		t.Logf("%d crashes", n-1)
		if n < 50 {
			t.Errorf("the script was through after %d operations; it tests nothing", n)
		}
	})
	for _, o := range []outcome{diedBefore, diedAfter} {
		for seed := range uint64(3) {
			t.Run(fmt.Sprint(o, seed), func(t *testing.T) {
				for _, op := range []cdc.Op{cdc.Inserted, cdc.Updated, cdc.Deleted} {
					synctest.Test(t, func(t *testing.T) {
						m := newModel(remote)
						p := start(t, m, faultfs.New())
						if op != cdc.Inserted {
							if err := m.write(t.Context(), p.recorder, p.fsys, cdc.Inserted, "x", 1, applied); err != nil {
								t.Fatal(err)
							}
						}
						if err := m.write(t.Context(), p.recorder, p.fsys, op, "x", 2, o); err != nil {
							t.Fatal(err)
						}
						p.recorder.Stop()
						_ = p.journal.Close()
						again := start(t, m, p.fsys.Crash(seed))
						m.compare(t, again)
						again.stop(t)
					})
				}
			})
		}
	}
}

// TestUnreadableStore: a record in doubt stops its own next write and nothing else,
// and goes on when the store can be read again.
func TestUnreadableStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(0)
		p := start(t, m, faultfs.New())
		defer p.stop(t)
		if err := m.write(t.Context(), p.recorder, p.fsys, cdc.Inserted, "a", 1, lostAnswer); err != nil {
			t.Fatal(err)
		}
		m.fail(errors.New("no route to the store"))
		synctest.Wait()

		if err := m.write(t.Context(), p.recorder, p.fsys, cdc.Inserted, "b", 1, applied); err != nil {
			t.Errorf("another record's write: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := m.write(ctx, p.recorder, p.fsys, cdc.Updated, "a", 2, applied)
		if p.recorder.InDoubt() == 1 && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the record's own write: %v, want it to wait for its context's end", err)
		}
		m.fail(nil)
		if err := m.write(t.Context(), p.recorder, p.fsys, cdc.Updated, "a", 3, applied); err != nil {
			t.Error(err)
		}
		if n := p.recorder.InDoubt(); n != 0 {
			t.Errorf("%d records in doubt, want none", n)
		}
		m.compare(t, p)
	})
}

// TestStopFreesAWaitingWrite: a write that waits for a record in doubt doesn't keep
// the replicator from stopping.
func TestStopFreesAWaitingWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(0)
		p := start(t, m, faultfs.New())
		m.fail(errors.New("no route to the store"))
		if err := m.write(t.Context(), p.recorder, p.fsys, cdc.Inserted, "a", 1, lostAnswer); err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() { done <- m.write(context.Background(), p.recorder, p.fsys, cdc.Updated, "a", 2, applied) }()
		synctest.Wait()
		p.stop(t)
		if err := <-done; !errors.Is(err, cdc.ErrStopped) {
			t.Errorf("the waiting write got %v, want ErrStopped", err)
		}
	})
}

// TestUnreadableAtStart: going on without the record would lose the order.
func TestUnreadableAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(0)
		p := start(t, m, faultfs.New())
		if err := m.write(t.Context(), p.recorder, p.fsys, cdc.Inserted, "a", 1, diedAfter); err != nil {
			t.Fatal(err)
		}
		_ = p.journal.Close()
		down := errors.New("no route to the store")
		m.fail(down)
		j, err := journal.Open(p.fsys.Crash(0), journal.Options{Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		rec := capture.New(capture.Options{Journal: j, Source: m, Wants: func(string, cdc.Op) bool { return true }, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
		defer rec.Stop()
		if err := rec.Recover(t.Context()); !errors.Is(err, down) {
			t.Errorf("Recover: %v, want the store's error", err)
		}
	})
}

// TestUnwanted: what no route wants never reaches the journal, beside what one does.
func TestUnwanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, err := journal.Open(faultfs.New(), journal.Options{Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		rec := capture.New(capture.Options{
			Journal: j, Source: newModel(0), Now: time.Now, Logger: slog.New(slog.DiscardHandler),
			Wants: func(resource string, _ cdc.Op) bool { return resource == "wanted" },
		})
		defer rec.Stop()
		pending, err := rec.Begin(t.Context(),
			cdc.Change{Op: cdc.Inserted, Resource: "other", RecordID: "1", Data: cdc.Record{}},
			cdc.Change{Op: cdc.Inserted, Resource: "wanted", RecordID: "2", Data: cdc.Record{}},
			cdc.Change{Op: cdc.Inserted, Resource: "other", RecordID: "3", Data: cdc.Record{}})
		if err != nil || len(pending) != 3 {
			t.Fatalf("Begin: %d pending, %v", len(pending), err)
		}
		for _, p := range pending {
			p.Commit()
			p.Commit() // a second end is ignored
		}
		if last := j.Last(); last != 1 {
			t.Errorf("the journal holds %d changes, want 1", last)
		}
		if _, err := rec.Begin(t.Context(), cdc.Change{Op: cdc.Inserted | cdc.Updated, Resource: "wanted", RecordID: "4"}); err == nil {
			t.Error("a change with two operations was taken")
		}
	})
}

// TestForeignWriter: where somebody else wrote the record while its end was not known,
// the journal gets the state that is there, under the announced id.
func TestForeignWriter(t *testing.T) {
	other := cdc.Record{"v": int64(99)}
	for _, tt := range []struct {
		op    cdc.Op
		there cdc.Record // what the other left, nil if the record is gone
		want  cdc.Op
	}{
		{cdc.Inserted, other, cdc.Inserted},
		{cdc.Updated, other, cdc.Updated},
		{cdc.Updated, nil, cdc.Deleted},
		{cdc.Deleted, other, cdc.Updated},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := newModel(0)
			p := start(t, m, faultfs.New())
			defer p.stop(t)
			if tt.op != cdc.Inserted {
				if err := m.write(t.Context(), p.recorder, p.fsys, cdc.Inserted, "x", 1, applied); err != nil {
					t.Fatal(err)
				}
			}
			key := cdc.Key{Resource: "r", RecordID: "x"}
			m.fail(errors.New("no route to the store"))
			if err := m.write(t.Context(), p.recorder, p.fsys, tt.op, "x", 2, lostRequest); err != nil {
				t.Fatal(err)
			}
			m.mu.Lock()
			if delete(m.rows, key); tt.there != nil {
				m.rows[key] = tt.there
			}
			m.unread = nil
			m.mu.Unlock()
			if err := p.recorder.Settle(t.Context()); err != nil {
				t.Fatal(err)
			}
			changes := p.committed(t)[key]
			last := changes[len(changes)-1]
			if last.Op != tt.want || (tt.there != nil && !last.Data.Equal(tt.there)) {
				t.Errorf("%s, then found %v: committed as %s with %v", tt.op, tt.there, last.Op, last.Data)
			}
		})
	}
}

// TestUnwantedWriteOfADoubtfulRecord: a write that no route wants must not pass by a
// record in doubt, or what is to be found out is no longer there.
func TestUnwantedWriteOfADoubtfulRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(0)
		p := start(t, m, faultfs.New())
		defer p.stop(t)
		rec := capture.New(capture.Options{
			Journal: p.journal, Source: m, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
			Wants: func(_ string, op cdc.Op) bool { return op == cdc.Inserted },
		})
		defer rec.Stop()
		if rec.Wants("r", cdc.Deleted) {
			t.Error("deletes are wanted, and no route wants them")
		}
		m.fail(errors.New("no route to the store"))
		if err := m.write(t.Context(), rec, p.fsys, cdc.Inserted, "x", 1, lostAnswer); err != nil {
			t.Fatal(err)
		}
		if !rec.Wants("r", cdc.Deleted) || rec.Wants("other", cdc.Deleted) {
			t.Error("while a record is in doubt, every write of its resource is to be seen, and of no other")
		}
		m.fail(nil)
		if err := m.write(t.Context(), rec, p.fsys, cdc.Deleted, "x", 2, applied); err != nil {
			t.Fatal(err)
		}
		got := p.committed(t)[cdc.Key{Resource: "r", RecordID: "x"}]
		if len(got) != 1 || got[0].Op != cdc.Inserted {
			t.Errorf("the journal holds %v, want the insert", got)
		}
		if rec.Wants("r", cdc.Deleted) {
			t.Error("with the doubt ended, deletes are wanted still")
		}
	})
}

// TestManyDoubts: however many records are in doubt, one goroutine asks for them.
func TestManyDoubts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(0)
		p := start(t, m, faultfs.New())
		defer p.stop(t)
		m.fail(errors.New("no route to the store"))
		before := runtime.NumGoroutine()
		const many = 2000
		for i := range many {
			if err := m.write(t.Context(), p.recorder, p.fsys, cdc.Inserted, fmt.Sprint(i), i, lostAnswer); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if n := runtime.NumGoroutine() - before; n > 2 {
			t.Errorf("%d goroutines for %d records in doubt", n, many)
		}
		m.asked.Store(0)
		time.Sleep(time.Minute) // virtual
		if n := m.asked.Load(); n > 60 {
			t.Errorf("a store that can't be read was asked %d times in a minute", n)
		}
		m.fail(nil)
		if err := p.recorder.Settle(t.Context()); err != nil {
			t.Error(err)
		}
		if last := p.journal.Last(); last != many {
			t.Errorf("%d changes in the journal, want %d", last, many)
		}
	})
}

// TestPanickingStore: a panic of the store while it is asked is an error of asking.
func TestPanickingStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(0)
		p := start(t, m, faultfs.New())
		defer p.stop(t)
		m.boom.Store(true)
		if err := m.write(t.Context(), p.recorder, p.fsys, cdc.Inserted, "x", 1, lostAnswer); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // virtual
		if p.recorder.InDoubt() != 1 {
			t.Error("the doubt ended without an answer")
		}
		m.boom.Store(false)
		if err := p.recorder.Settle(t.Context()); err != nil {
			t.Error(err)
		}
		m.compare(t, p)
	})
}

// described is a model store with schemas.
type described struct {
	*model
	version atomic.Int64
}

func (d *described) Describe(context.Context, string) (cdc.Schema, bool, error) {
	return cdc.Schema{Version: int(d.version.Load())}, true, nil
}

// TestResolvedUnderANewerSchema: what is found in place of an announced change was
// written under the schema of then, which tells its secrets.
func TestResolvedUnderANewerSchema(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &described{model: newModel(0)}
		m.version.Store(1)
		p := start(t, m.model, faultfs.New())
		defer p.stop(t)
		rec := capture.New(capture.Options{
			Journal: p.journal, Source: m, Now: time.Now, Logger: slog.New(slog.DiscardHandler), Wants: func(string, cdc.Op) bool { return true },
		})
		defer rec.Stop()
		m.fail(errors.New("no route to the store"))
		if err := m.write(t.Context(), rec, p.fsys, cdc.Inserted, "x", 1, lostRequest); err != nil {
			t.Fatal(err)
		}
		m.version.Store(2)
		m.mu.Lock()
		m.rows[cdc.Key{Resource: "r", RecordID: "x"}] = cdc.Record{"v": int64(5)}
		m.unread = nil
		m.mu.Unlock()
		if err := rec.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		r, err := p.journal.Read(0)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		<-r.More()
		entries, err := r.Next(1 << 20)
		if err != nil || len(entries) != 1 || entries[0].Change.SchemaVersion != 2 {
			t.Errorf("committed %v, %v; want it under version 2", entries, err)
		}
	})
}
