package journal_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/disk/faultfs"
	"github.com/s3db-go/replicator/internal/journal"
	"github.com/s3db-go/replicator/internal/journal/journaltest"
)

// bulky gives a change of about a kilobyte.
func bulky(id string) cdc.Change {
	c := journaltest.Change(id)
	c.Data["pad"] = strings.Repeat("x", 1000)
	return c
}

// fill begins and commits until it is refused, and gives how many were taken.
func fill(t *testing.T, j *journal.Disk, prefix string) (taken []string) {
	t.Helper()
	for i := range 10_000 {
		id := fmt.Sprint(prefix, i)
		ticket, err := j.Begin(t.Context(), []cdc.Change{bulky(id)})
		if errors.Is(err, cdc.ErrJournalFull) {
			return taken
		}
		if err != nil {
			t.Fatal(err)
		}
		j.Commit(ticket, 0, nil)
		taken = append(taken, id)
	}
	t.Fatal("it is never full")
	return nil
}

// readAll gives the record ids of all changes that are there.
func readAll(t *testing.T, j *journal.Disk) (ids []string) {
	t.Helper()
	stats := j.Stats()
	if stats.First == 0 {
		return nil
	}
	r, err := j.Read(stats.First - 1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for seq := stats.First - 1; seq < stats.Durable; {
		entries, err := r.Next(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if seq++; e.Change.Seq != seq {
				t.Fatalf("seq %d follows %d", e.Change.Seq, seq-1)
			}
			ids = append(ids, e.Change.RecordID)
		}
	}
	return ids
}

// limits are the ways to run out of room: the budget, and a disk that is full. free
// makes room again.
var limits = map[string]struct {
	opts  journal.Options
	bound int
	free  func(t *testing.T, fsys *faultfs.FS, j *journal.Disk)
}{
	"MaxBytes": {journal.Options{MaxBytes: 1 << 20}, 0, settled},
	"MinFreeBytes": {journal.Options{MinFreeBytes: 1 << 20, SegmentBytes: 64 << 10}, 2 << 20, func(t *testing.T, fsys *faultfs.FS, j *journal.Disk) {
		fsys.Bound(4 << 20)
	}},
	"full disk": {journal.Options{ReserveBytes: 128 << 10, SegmentBytes: 64 << 10}, 1 << 20, func(t *testing.T, fsys *faultfs.FS, j *journal.Disk) {
		fsys.Bound(4 << 20)
	}},
}

// settled moves all cursors to the end, behind which all is deleted.
func settled(t *testing.T, _ *faultfs.FS, j *journal.Disk) {
	t.Helper()
	for _, name := range j.Cursors() {
		if err := j.SaveCursor(name, journal.Cursor{Low: j.Stats().Durable}); err != nil {
			t.Fatal(err)
		}
	}
}

// Nothing that was acknowledged is lost by a full journal; ends, cursors and other
// small files are written still, and it works again as soon as there is room.
func TestRefuseWrites(t *testing.T) {
	for name, tt := range limits {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fsys := faultfs.New()
				fsys.Bound(tt.bound)
				j := open(t, fsys, tt.opts)
				if err := j.SaveCursor("slow", journal.Cursor{}); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				want := []string{"early"}
				early := begin(t, j, "early", "aborted")
				late := begin(t, j, "late")
				j.Commit(early, 0, nil)
				want = append(want, fill(t, j, "a")...)
				if len(want) < 300 {
					t.Error("full after", len(want))
				}
				if s := j.Stats(); s.Pressure != journal.PressureFull || s.Err != nil || s.Last != uint64(len(want)) || s.Unjournaled != 0 {
					t.Errorf("%+v", s)
				}
				if err := j.Append(t.Context(), []cdc.Change{bulky("x")}); !errors.Is(err, cdc.ErrJournalFull) {
					t.Error("Append:", err)
				}
				if _, err := j.AppendTo(t.Context(), "backup", []cdc.Change{bulky("x")}, nil); !errors.Is(err, cdc.ErrJournalFull) {
					t.Error("AppendTo:", err)
				}
				if err := j.AppendSchema(t.Context(), "users", 2, nil); !errors.Is(err, cdc.ErrJournalFull) {
					t.Error("AppendSchema:", err)
				}
				// The ends of what was announced go on, be it in memory.
				j.Commit(late, 0, new(bulky("late")))
				want = append(want, "late")
				j.Abort(early, 1)
				if got := j.Last(); got != uint64(len(want)) {
					t.Error("it ends at", got)
				}
				if err := j.SaveCursor("other", journal.Cursor{Low: 5}); err != nil {
					t.Error("a cursor:", err)
				}
				tt.free(t, fsys, j)
				time.Sleep(2 * time.Second) // virtual
				more := fill(t, j, "b")
				if len(more) < 20 {
					t.Error("only", len(more), "after there was room")
				}
				want = append(want, more...)
				tt.free(t, fsys, j)
				fsys.Bound(0)
				time.Sleep(2 * time.Second)
				first := max(j.Stats().First, 1)
				if got := readAll(t, j); !slices.Equal(got, want[first-1:]) {
					t.Errorf("%d changes were read, %d expected", len(got), len(want)-int(first)+1)
				}
				closeNow(t, j)
				j = open(t, fsys, journal.Options{})
				if got := readAll(t, j); !slices.Equal(got, want[first-1:]) || len(j.Unresolved()) != 0 {
					t.Errorf("after opening: %d changes were read, %d expected", len(got), len(want)-int(first)+1)
				}
				closeNow(t, j)
			})
		})
	}
}

// While it is full, a crash or a Stop takes back no announcement and no commit that
// was durable; what was not is open.
func TestFullAndStopped(t *testing.T) {
	for name, tt := range limits {
		for _, crash := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", crash ", crash), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					fsys := faultfs.New()
					fsys.Bound(tt.bound)
					j := open(t, fsys, tt.opts)
					tickets := begin(t, j, "p", "q")
					want := fill(t, j, "a")
					durable := j.Stats().Durable
					j.Commit(tickets, 0, nil)
					after := fsys
					if crash {
						after = fsys.Crash(3)
					}
					err := j.Close()
					if !crash && err != nil {
						t.Fatal("the ends of what was announced can't be written:", err)
					}
					after.Bound(0)
					j = open(t, after, journal.Options{})
					if j.Last() < durable {
						t.Fatalf("it ends at %d of %d", j.Last(), durable)
					}
					got := readAll(t, j)
					if !crash && (len(j.Unresolved()) != 1 || !slices.Contains(got, "p")) {
						t.Errorf("%d are open, and only q was not ended", len(j.Unresolved()))
					}
					for _, a := range j.Unresolved() {
						got = append(got, a.Change.RecordID)
					}
					for _, id := range append(want, "p", "q") {
						if !slices.Contains(got, id) {
							t.Errorf("%s is lost", id)
						}
					}
					closeNow(t, j)
				})
			})
		}
	}
}

// Writers go on uncaptured, are counted, and are captured again when there is room.
func TestUnjournaled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := faultfs.New()
		j := open(t, fsys, journal.Options{MaxBytes: 1 << 20, OnFull: journal.Unjournaled})
		if err := j.SaveCursor("slow", journal.Cursor{}); err != nil {
			t.Fatal(err)
		}
		n := 0
		for ; j.Stats().Unjournaled == 0 && n < 10_000; n++ {
			j.Commit(mustBegin(t, j, bulky(fmt.Sprint(n))), 0, nil)
		}
		kept := j.Last()
		j.Abort(mustBegin(t, j, bulky("y")), 0)
		if err := j.Append(t.Context(), []cdc.Change{bulky("x"), bulky("z")}); err != nil {
			t.Fatal(err)
		}
		if s := j.Stats(); s.Unjournaled != 4 || s.Last != kept || kept != uint64(n-1) || s.Open != 0 {
			t.Fatalf("%d were kept of %d: %+v", kept, n, s)
		}
		settled(t, fsys, j)
		time.Sleep(2 * time.Second)
		j.Commit(mustBegin(t, j, bulky("again")), 0, nil)
		if s := j.Stats(); s.Last != kept+1 || s.Unjournaled != 4 || s.Pressure != journal.PressureNone {
			t.Fatalf("%+v", s)
		}
		closeNow(t, j)
	})
}

func mustBegin(t *testing.T, j *journal.Disk, c cdc.Change) journal.Ticket {
	t.Helper()
	ticket, err := j.Begin(t.Context(), []cdc.Change{c})
	if err != nil {
		t.Fatal(err)
	}
	return ticket
}

// A writer waits until the slowest destination has let go, and no longer than a
// while.
func TestDetachSlowest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := faultfs.New()
		j := open(t, fsys, journal.Options{MaxBytes: 1 << 20, OnFull: journal.DetachSlowest})
		if _, _, found := j.Slowest(); found {
			t.Fatal("nobody is slow")
		}
		for _, name := range []string{"slow", "quick"} {
			if err := j.SaveCursor(name, journal.Cursor{}); err != nil {
				t.Fatal(err)
			}
		}
		before := time.Now()
		n := len(fill(t, j, "a")) // until it gives up waiting
		if took := time.Since(before); took < 10*time.Second || took > 12*time.Second {
			t.Error("it waited", took)
		}
		if err := j.SaveCursor("quick", journal.Cursor{Low: 7}); err != nil {
			t.Fatal(err)
		}
		if name, low, _ := j.Slowest(); name != "slow" || low != 0 {
			t.Error("the slowest is", name, "at", low)
		}
		var writer sync.WaitGroup
		writer.Go(func() { j.Commit(mustBegin(t, j, bulky("waiting")), 0, nil) })
		synctest.Wait()
		if j.Last() != uint64(n) {
			t.Error("it did not wait")
		}
		before = time.Now()
		for _, name := range []string{"slow", "quick"} {
			if err := j.SaveCursor(name, journal.Cursor{Low: j.Stats().Durable}); err != nil {
				t.Fatal(err)
			}
		}
		writer.Wait()
		if took := time.Since(before); took > 0 {
			t.Error("it waited for", took, "though there was room")
		}
		if j.Last() != uint64(n+1) {
			t.Errorf("%+v", j.Stats())
		}
		closeNow(t, j)
	})
}

// The owner is told at four fifths, when it is full, and when that is over.
func TestPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []journal.Pressure
		fsys := faultfs.New()
		j := open(t, fsys, journal.Options{MaxBytes: 1 << 20, Pressure: func(p journal.Pressure) { told = append(told, p) }})
		if err := j.SaveCursor("slow", journal.Cursor{}); err != nil {
			t.Fatal(err)
		}
		fill(t, j, "a")
		settled(t, fsys, j)
		time.Sleep(2 * time.Second)
		fill(t, j, "b")
		closeNow(t, j)
		want := []journal.Pressure{journal.PressureHigh, journal.PressureFull, journal.PressureNone, journal.PressureHigh, journal.PressureFull}
		if !slices.Equal(told, want) {
			t.Error(told)
		}
	})
}

// The reserve is there, is given up for what is small, and comes back.
func TestReserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := faultfs.New()
		fsys.Bound(1 << 20)
		j := open(t, fsys, journal.Options{ReserveBytes: 200 << 10, SegmentBytes: 64 << 10})
		synctest.Wait()
		reserve := func() int { return len(contents(t, fsys, ".")["reserve"]) }
		if reserve() != 200<<10 {
			t.Fatal(reserve(), "bytes are reserved")
		}
		fill(t, j, "a")
		if free, _ := fsys.Free(); reserve() != 0 || free < 200<<10 {
			t.Error(reserve(), "bytes are reserved,", free, "are free")
		}
		fsys.Bound(4 << 20)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if reserve() != 200<<10 || j.Stats().Pressure != journal.PressureNone {
			t.Errorf("%d bytes are reserved: %+v", reserve(), j.Stats())
		}
		closeNow(t, j)
	})
}

// What is settled is kept as far as Retain says, is read again, and gives way when
// there is no room.
func TestRetain(t *testing.T) {
	for name, tt := range map[string]struct {
		retain journal.Retain
		least  uint64 // where what is left begins
		most   uint64
	}{
		"nothing": {journal.Retain{}, 191, 200},
		"bytes":   {journal.Retain{Bytes: 100 << 10}, 95, 150},
		"age":     {journal.Retain{Age: time.Hour}, 130, 142}, // the last hour is that of the last 60
		"both":    {journal.Retain{Bytes: 100 << 10, Age: time.Hour}, 130, 142},
		"all":     {journal.Retain{Age: 1000 * time.Hour}, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fsys := faultfs.New()
				opts := journal.Options{SegmentBytes: 8 << 10, Retain: tt.retain}
				j := open(t, fsys, opts)
				for i := range 200 {
					if err := j.Append(t.Context(), []cdc.Change{bulky(fmt.Sprint(i))}); err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Minute) // virtual
				}
				save := func() {
					t.Helper()
					if err := j.SaveCursor("a", journal.Cursor{Low: 200}); err != nil {
						t.Fatal(err)
					}
					if first := j.Stats().First; first < tt.least || first > tt.most {
						t.Errorf("it begins at %d, want %d to %d", first, tt.least, tt.most)
					}
				}
				save()
				closeNow(t, j)
				j = open(t, fsys, opts)
				save()
				first := j.Stats().First
				if got := readAll(t, j); len(got) != 201-int(first) {
					t.Errorf("%d are read from %d on", len(got), first)
				}
				// A cursor can be moved back.
				if err := j.SaveCursor("a", journal.Cursor{Low: first - 1}); err != nil {
					t.Error(err)
				}
				closeNow(t, j)
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		j := open(t, faultfs.New(), journal.Options{MaxBytes: 1 << 20, Retain: journal.Retain{Age: time.Hour}})
		if err := j.SaveCursor("a", journal.Cursor{}); err != nil {
			t.Fatal(err)
		}
		for i := range 5000 {
			j.Commit(mustBegin(t, j, bulky(fmt.Sprint(i))), 0, nil)
			if i%100 == 99 {
				settled(t, nil, j)
			}
		}
		closeNow(t, j)
	})
}

// A full journal of a process that was killed is opened, as often as that happens, also
// where opening takes a new segment, as it does of an encrypted one.
func TestFullAndKilled(t *testing.T) {
	for name, encryption := range map[string]journal.Encryption{"plain": {}, "encrypted": keyed("a")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opts := journal.Options{MaxBytes: 1 << 20, Encryption: encryption}
				fsys := faultfs.New()
				j := open(t, fsys, opts)
				if err := j.SaveCursor("slow", journal.Cursor{}); err != nil {
					t.Fatal(err)
				}
				taken := fill(t, j, "a")
				for range 3 {
					synctest.Wait()
					fsys = fsys.Crash(1)
					_ = j.Close()
					j = open(t, fsys, opts)
					got := readAll(t, j)
					for _, a := range j.Unresolved() {
						got = append(got, a.Change.RecordID)
					}
					if !slices.Equal(got, taken) {
						t.Fatalf("%d changes, want %d", len(got), len(taken))
					}
				}
				settled(t, fsys, j)
				if more := fill(t, j, "b"); len(more) == 0 {
					t.Error("it takes nothing any more")
				}
				_ = j.Close()
			})
		})
	}
}
