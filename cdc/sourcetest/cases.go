package sourcetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/s3db-go/replicator/cdc"
)

var errRefused = errors.New("sourcetest: refused by the recorder")

// operations gives the writes that the harness has, on record "a". Before each but
// the first the record is there.
func (w *world) operations() map[cdc.Op]func(context.Context) error {
	all := map[cdc.Op]func(context.Context) error{
		cdc.Inserted: func(ctx context.Context) error { return w.Insert(ctx, w.Resource, "a", record("first", 1)) },
		cdc.Deleted:  func(ctx context.Context) error { return w.Delete(ctx, w.Resource, "a") },
	}
	if w.Update != nil {
		all[cdc.Updated] = func(ctx context.Context) error { return w.Update(ctx, w.Resource, "a", record("second", 2)) }
	}
	return all
}

// each runs a test for every operation, in their order, and applies the operation
// afterwards so that the next one finds what it needs.
func (w *world) each(t *testing.T, test func(t *testing.T, op cdc.Op, write func(context.Context) error)) {
	t.Helper()
	all := w.operations()
	for _, op := range []cdc.Op{cdc.Inserted, cdc.Updated, cdc.Deleted} {
		write, ok := all[op]
		if !ok {
			continue
		}
		test(t, op, write)
		if t.Failed() {
			t.Fatalf("while testing %v", op)
		}
	}
}

// apply runs a write that must succeed.
func (w *world) apply(t *testing.T, op cdc.Op, write func(context.Context) error) {
	t.Helper()
	if err := write(t.Context()); err != nil {
		t.Fatalf("%v: %v", op, err)
	}
}

func announces(t *testing.T, w *world) {
	want := []any{}
	w.each(t, func(t *testing.T, op cdc.Op, write func(context.Context) error) {
		w.apply(t, op, write)
		want = append(want, op, committed)
		w.recorder.want(want...)
	})
	changes, _ := w.recorder.announced()
	first, last := changes[0].change, changes[len(changes)-1].change
	if first.Resource != w.Resource || first.RecordID != "a" {
		t.Errorf("announced as %v", first.RecordKey())
	}
	if first.Data.String("name") != "first" || first.Data.Int("n") != 1 {
		t.Errorf("after image of the insert: %v", first.Data)
	}
	if last.Data.String("name") == "" || !last.Data.Equal(before(last)) {
		t.Errorf("a delete's data is the last known state, got %v", last.Data)
	}
}

func notWanted(t *testing.T, w *world) {
	for _, unwanted := range []cdc.Op{cdc.Inserted, cdc.Updated, cdc.Deleted} {
		var asked []string
		w.recorder.set(func(r *recorder) {
			r.order, r.begins = nil, 0
			r.wants = func(resource string, op cdc.Op) bool {
				asked = append(asked, resource)
				return op != unwanted
			}
		})
		var want []any
		w.each(t, func(t *testing.T, op cdc.Op, write func(context.Context) error) {
			w.apply(t, op, write)
			if op != unwanted {
				want = append(want, op, committed)
			}
		})
		w.recorder.want(want...)
		for _, resource := range asked {
			if resource != w.Resource {
				t.Errorf("Wants was asked about %q", resource)
			}
		}
	}
}

func beginRefused(t *testing.T, w *world) {
	w.each(t, func(t *testing.T, op cdc.Op, write func(context.Context) error) {
		before := w.state(t, w.Resource, "a")
		w.recorder.set(func(r *recorder) { r.begin = func([]cdc.Change) error { return errRefused } })
		if err := write(t.Context()); !errors.Is(err, errRefused) {
			t.Errorf("%v: Begin failed, the write returned %v", op, err)
		}
		if now := w.state(t, w.Resource, "a"); !now.Equal(before) {
			t.Errorf("%v: Begin failed, but %v became %v", op, before, now)
		}
		w.recorder.set(func(r *recorder) { r.begin = nil })
		w.apply(t, op, write)
	})
}

func refusedBySource(t *testing.T, w *world) {
	if w.Refuse == nil {
		return
	}
	if err := w.Refuse(t.Context(), w.Resource); err == nil {
		t.Error("the write that is not valid succeeded")
	}
	w.recorder.want()
}

func cancelledBefore(t *testing.T, w *world) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w.recorder.set(func(r *recorder) { r.begin = func([]cdc.Change) error { return ctx.Err() } })
	w.each(t, func(t *testing.T, op cdc.Op, write func(context.Context) error) {
		before := w.state(t, w.Resource, "a")
		if err := write(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%v: under an ended context returned %v", op, err)
		}
		if now := w.state(t, w.Resource, "a"); !now.Equal(before) {
			t.Errorf("%v: under an ended context %v became %v", op, before, now)
		}
		w.recorder.set(func(r *recorder) { r.wants = func(string, cdc.Op) bool { return false } })
		w.apply(t, op, write)
		w.recorder.set(func(r *recorder) { r.wants = nil })
	})
	w.recorder.want()
}

func cancelledAfterBegin(t *testing.T, w *world) {
	want := []any{}
	w.each(t, func(t *testing.T, op cdc.Op, write func(context.Context) error) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w.recorder.set(func(r *recorder) {
			r.begin = func([]cdc.Change) error { cancel(); return nil }
		})
		if err := write(ctx); err != nil {
			t.Errorf("%v: ended after Begin: %v", op, err)
		}
		want = append(want, op, committed)
		w.recorder.want(want...)
	})
}

func abort(t *testing.T, w *world) {
	want := []any{}
	w.each(t, func(t *testing.T, op cdc.Op, write func(context.Context) error) {
		w.FailNext()
		if err := write(t.Context()); err == nil {
			t.Errorf("%v: the store failed, the write did not", op)
		}
		w.apply(t, op, write)
		want = append(want, op, aborted, op, committed)
		w.recorder.want(want...)
	})
}

func doubt(t *testing.T, w *world) {
	for _, applied := range []bool{true, false} {
		w.recorder.set(func(r *recorder) { r.order, r.begins = nil, 0 })
		want := []any{}
		w.each(t, func(t *testing.T, op cdc.Op, write func(context.Context) error) {
			before := w.state(t, w.Resource, "a")
			w.DoubtNext(applied)
			if err := write(t.Context()); err == nil {
				t.Errorf("%v: the store failed, the write did not", op)
			}
			want = append(want, op, doubted)
			w.recorder.want(want...)
			if now := w.state(t, w.Resource, "a"); now.Equal(before) == applied {
				t.Errorf("%v: the harness says applied=%v, but %v became %v", op, applied, before, now)
			}
			if !applied {
				w.apply(t, op, write)
				want = append(want, op, committed)
			}
		})
	}
}

// batch gives n records for InsertMany. Their ids are not in order, so that locks
// taken as they come would be told.
func batch(n int) (ids []string, recs []cdc.Record) {
	for i := range n {
		ids = append(ids, fmt.Sprintf("m%d", (i*7+3)%n))
		recs = append(recs, record("many", int64(i)))
	}
	return ids, recs
}

func many(t *testing.T, w *world) {
	if w.InsertMany == nil {
		return
	}
	ids, recs := batch(10)
	if err := w.InsertMany(t.Context(), w.Resource, ids, recs); err != nil {
		t.Fatal(err)
	}
	changes, begins := w.recorder.announced()
	if begins != 1 || len(changes) != len(ids) {
		t.Errorf("%d changes in %d announcements, want %d in one", len(changes), begins, len(ids))
	}
	for i, p := range changes {
		if p.outcome != committed || p.change.RecordID != ids[i] || p.change.Data.Int("n") != int64(i) {
			t.Errorf("%v is %s: %v, want record %d", p.change, p.outcome, p.change.Data, i)
		}
	}
}

func manyOneFails(t *testing.T, w *world) {
	if w.InsertMany == nil {
		return
	}
	ids, recs := batch(10)
	w.FailNext()
	if err := w.InsertMany(t.Context(), w.Resource, ids, recs); err == nil {
		t.Error("the store failed, the write did not")
	}
	changes, _ := w.recorder.announced()
	count := map[outcome]int{}
	for _, p := range changes {
		count[p.outcome]++
		if stored := w.state(t, w.Resource, p.change.RecordID) != nil; stored != (p.outcome == committed) {
			t.Errorf("%v is %s, stored: %v", p.change, p.outcome, stored)
		}
	}
	if count[aborted] == 0 || count[aborted]+count[committed] != len(ids) {
		t.Errorf("outcomes %v of %d records, one of which failed", count, len(ids))
	}
}

func manyRefused(t *testing.T, w *world) {
	if w.InsertMany == nil {
		return
	}
	ids, recs := batch(10)
	w.recorder.set(func(r *recorder) { r.begin = func([]cdc.Change) error { return errRefused } })
	if err := w.InsertMany(t.Context(), w.Resource, ids, recs); !errors.Is(err, errRefused) {
		t.Errorf("Begin failed, the write returned %v", err)
	}
	for _, id := range ids {
		if now := w.state(t, w.Resource, id); now != nil {
			t.Errorf("Begin failed, but %s is stored", id)
		}
	}
}

func createdLater(t *testing.T, w *world) {
	if w.Create == nil {
		return
	}
	if err := w.Create(t.Context(), "later"); err != nil {
		t.Fatal(err)
	}
	if err := w.Insert(t.Context(), "later", "x", record("new", 1)); err != nil {
		t.Fatal(err)
	}
	w.recorder.want(cdc.Inserted, committed)
}

func lockSpansBeginToEnd(t *testing.T, w *world) {
	w.recorder.set(func(r *recorder) {
		r.begin = func(changes []cdc.Change) error {
			for _, c := range changes {
				// Counted as open already: the lock must be held by now.
				r.set(func(r *recorder) { r.open[c.RecordKey()] = &pending{change: c} })
				r.probe(c)
				r.set(func(r *recorder) { delete(r.open, c.RecordKey()) })
			}
			return nil
		}
	})
	w.each(t, func(t *testing.T, op cdc.Op, write func(context.Context) error) { w.apply(t, op, write) })
	free := false
	w.reader.WithLock(w.Resource, "a", func() { free = true })
	if !free {
		t.Error("WithLock did not call its function")
	}
}

// concurrentWriters lets writers fight for a few records and follows each record's
// committed changes: each begins where the one before ended.
func concurrentWriters(t *testing.T, w *world) {
	const writers, rounds, records = 8, 40, 3
	var wg sync.WaitGroup
	for n := range writers {
		wg.Go(func() {
			for i := range rounds {
				id := fmt.Sprintf("c%d", (n+i)%records)
				// Whether a record is there when its turn comes is not known: what fails
				// for that is not announced, and that is all that counts here.
				switch i % 4 {
				case 0, 1:
					_ = w.Insert(t.Context(), w.Resource, id, record("insert", int64(n*rounds+i)))
				case 2:
					if w.Update != nil {
						_ = w.Update(t.Context(), w.Resource, id, record("update", int64(n*rounds+i)))
					}
				case 3:
					_ = w.Delete(t.Context(), w.Resource, id)
				}
			}
		})
	}
	wg.Wait()
	last := make(map[string]cdc.Record)
	w.recorder.set(func(r *recorder) {
		for _, p := range r.ended {
			c := p.change
			if p.outcome != committed {
				t.Errorf("%v is %s", c, p.outcome)
			}
			if !before(c).Equal(last[c.RecordID]) {
				t.Errorf("%v begins at %v, the change before ended at %v", c, before(c), last[c.RecordID])
			}
			last[c.RecordID] = c.Data
			if c.Op == cdc.Deleted {
				last[c.RecordID] = nil
			}
		}
		if len(r.ended) < records {
			t.Errorf("only %d changes were announced", len(r.ended))
		}
	})
	for id, rec := range last {
		if now := w.state(t, w.Resource, id); !now.Equal(rec) {
			t.Errorf("%s is %v, the last change made %v", id, now, rec)
		}
	}
}

func release(t *testing.T, w *world) {
	w.insert(t, "kept", 1)
	w.release()
	w.insert(t, "silent", 2)
	w.release() // once more does no harm
	w.recorder.want(cdc.Inserted, committed)
}

func releaseWaits(t *testing.T, w *world) {
	entered, proceed := make(chan struct{}), make(chan struct{})
	w.recorder.set(func(r *recorder) {
		r.begin = func([]cdc.Change) error { close(entered); <-proceed; return nil }
	})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := w.Insert(t.Context(), w.Resource, "slow", record("slow", 1)); err != nil {
			t.Error(err)
		}
	})
	<-entered
	released := make(chan struct{})
	wg.Go(func() {
		w.release()
		if changes, _ := w.recorder.announced(); len(changes) != 1 || changes[0].outcome != committed {
			t.Error("release returned before the announced write had ended")
		}
		close(released)
	})
	for range 100 { // long enough for a release that does not wait
		runtime.Gosched()
	}
	select {
	case <-released:
		t.Error("release returned while a write was announcing")
	default:
	}
	close(proceed)
	wg.Wait()
}

func captureAgain(t *testing.T, w *world) {
	w.release()
	second := newRecorder(t, w.reader)
	release, err := w.Source.Capture(second)
	if err != nil {
		t.Fatalf("Capture after release: %v", err)
	}
	w.insert(t, "again", 1)
	release()
	second.finished()
	second.want(cdc.Inserted, committed)
	w.recorder.want()
}
