package engine_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/engine"
	"github.com/s3db-go/replicator/internal/journal"
	"github.com/s3db-go/replicator/internal/ledger"
)

// A delivery that will be tried again has a row, which every attempt refreshes, also
// while its payload is given back; it is gone when the delivery has arrived.
func TestWhatIsOnTheRoadHasARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		d := &driver{limits: cdc.Limits{Events: true, Items: 1, Concurrency: 1}}
		d.apply = func(_ context.Context, d *driver, batch []cdc.Delivery) error {
			time.Sleep(20 * time.Millisecond)
			if !up.Load() && batch[0].RecordID != "fine" {
				return cdc.Unavailable(errBroken)
			}
			d.accept(batch...)
			return nil
		}
		w := start(t, d, func(c *engine.Config) { c.Window, c.Replicator = 1<<12, "r" })
		const changes = 30
		for i := range changes {
			w.journal.put(cdc.Updated, fmt.Sprint("r", i), cdc.Record{"n": int64(i)})
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		rows := slices.Collect(w.engine.Retrying())
		if len(rows) == 0 || len(rows) > changes {
			t.Fatalf("%d rows", len(rows))
		}
		newest := rows[0]
		if time.Since(newest.Time) > 31*time.Second || newest.Attempts < 1 || newest.Duration != 20*time.Millisecond || newest.RetryCount != 0 ||
			!newest.WillRetry || newest.Status != ledger.Failed || newest.Error != "broken" || newest.Replicator != "r" || len(newest.ID) != 32 {
			t.Errorf("%+v", newest)
		}
		parked := w.engine.Stats().Parked
		for _, row := range rows {
			if row.Change.Data.Int("n") != int64(row.Change.Seq)-1 {
				t.Errorf("%+v", row)
			}
		}
		if parked == 0 {
			t.Error("no payload was given back, so that this shows nothing")
		}
		up.Store(true)
		w.drain()
		if rows := slices.Collect(w.engine.Retrying()); len(rows) != 0 {
			t.Errorf("%+v", rows)
		}
		w.stop()
	})
}

// A destination that asks to be left alone is taken for unavailable at once, and that is
// told once.
func TestADestinationThatAsksToBeLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		d := &driver{limits: cdc.Limits{Events: true}}
		d.apply = func(_ context.Context, d *driver, batch []cdc.Delivery) error {
			if !up.Load() && batch[0].RecordID != "before" {
				return cdc.Gone(errBroken)
			}
			d.accept(batch...)
			return nil
		}
		w := start(t, d, nil)
		w.journal.update("before")
		w.drain()
		w.journal.update("a")
		w.journal.update("b")
		synctest.Wait()
		if s := w.engine.Stats(); !s.Breaker.Open || s.Attempts != 2 || len(w.noted(ofKind(engine.NoteGone))) != 1 {
			t.Errorf("%+v, %d notices", s, len(w.noted(ofKind(engine.NoteGone))))
		}
		time.Sleep(10 * time.Minute)
		if n := len(w.noted(ofKind(engine.NoteGone))); n != 1 {
			t.Errorf("told %d times", n)
		}
		up.Store(true)
		w.drain()
		w.stop()
		w.expect(3, 0, 0, 0)
	})
}

// It is left alone also if only one of a batch says so, and nobody is charged for it.
func TestOneAnswerIsEnoughToBeLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		d := &driver{limits: cdc.Limits{Events: true}}
		d.apply = func(_ context.Context, d *driver, batch []cdc.Delivery) error {
			if up.Load() {
				d.accept(batch...)
				return nil
			}
			answer := &cdc.BatchError{Errs: make([]error, len(batch))}
			for i := range batch {
				if answer.Errs[i] = errBroken; i == len(batch)-1 {
					answer.Errs[i] = cdc.Gone(errBroken)
				}
			}
			return answer
		}
		w := prepare(t, d, nil)
		w.journal.cursors["dest"] = journal.Cursor{}
		for i := range 3 {
			w.journal.update(fmt.Sprint("r", i))
		}
		if err := w.engine.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if s := w.engine.Stats(); !s.Breaker.Open || s.Attempts != 1 || len(w.noted(ofKind(engine.NoteGone))) != 1 {
			t.Errorf("%+v, %d notices", s, len(w.noted(ofKind(engine.NoteGone))))
		}
		up.Store(true)
		w.drain()
		w.stop()
		w.expect(3, 0, 0, 0)
	})
}
