package engine_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/engine"
)

func TestStopWaitsForTheRunningAttemptAndRepeatsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &driver{}
		d.apply = func(ctx context.Context, d *driver, batch []cdc.Delivery) error {
			time.Sleep(2 * time.Second)
			d.accept(batch...)
			return nil
		}
		w := start(t, d, nil)
		w.journal.update("a")
		synctest.Wait()
		w.journal.update("a")
		w.stop()
		if seen := d.seen(""); !slices.Equal(seen, []uint64{1}) {
			t.Fatalf("until Stop: %v", seen)
		}
		if err := w.engine.Drain(t.Context(), 2); !errors.Is(err, cdc.ErrStopped) {
			t.Errorf("Drain of a stopped engine: %v", err)
		}
		w.engine = engine.New(w.cfg)
		if err := w.engine.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.drain()
		w.stop()
		w.stop()
		if seen := d.seen(""); !slices.Equal(seen, []uint64{1, 2}) {
			t.Errorf("after the second run: %v", seen)
		}
	})
}

func TestStopCancelsWhatOutlastsItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &driver{}
		d.apply = func(ctx context.Context, d *driver, batch []cdc.Delivery) error {
			<-ctx.Done()
			d.accept(batch...) // what is done by then still counts
			return nil
		}
		w := start(t, d, nil)
		w.journal.update("a")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		begin := time.Now()
		if err := w.engine.Stop(ctx); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took != 3*time.Second {
			t.Errorf("Stop took %v", took)
		}
		if c, _ := w.journal.Cursor("dest"); c.Low != 1 {
			t.Errorf("the cursor is at %+v", c)
		}
	})
}

func TestAStuckAttemptIsSeenAndNotDoubled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		d := &driver{limits: cdc.Limits{Items: 1, Events: true}}
		d.apply = func(_ context.Context, d *driver, batch []cdc.Delivery) error {
			if batch[0].RecordID == "stuck" {
				<-release // whatever its context says
			}
			d.accept(batch...)
			return nil
		}
		w := start(t, d, nil)
		w.journal.update("stuck")
		w.journal.update("stuck")
		w.journal.update("other")
		time.Sleep(time.Hour)
		s := w.engine.Stats()
		if s.Stuck != 1 || s.InFlight != 1 || d.called() != 2 || !slices.Equal(d.seen("other"), []uint64{3}) {
			t.Errorf("after an hour: %d calls, %+v", d.called(), s)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.engine.Stop(ctx); err == nil || !strings.Contains(err.Error(), "calls that have not returned: 1") {
			t.Errorf("Stop: %v", err)
		}
		if c, _ := w.journal.Cursor("dest"); c.Low != 0 || len(c.Ranges) != 1 || c.Ranges[0].First != 3 {
			t.Errorf("the cursor is at %+v", c)
		}
		close(release)
	})
}

func TestAPanicOfTheDriverIsAnAttemptsError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &driver{}
		d.apply = func(_ context.Context, d *driver, batch []cdc.Delivery) error {
			if d.called() == 1 {
				panic("index out of range")
			}
			d.accept(batch...)
			return nil
		}
		w := start(t, d, nil)
		w.journal.update("a")
		w.drain()
		w.stop()
		w.expect(1, 0, 0, 0)
		retrying := w.noted(ofKind(engine.NoteRetrying))
		if len(retrying) != 1 || !strings.Contains(retrying[0].Err.Error(), " panicked in engine_test.") {
			t.Errorf("%+v", retrying)
		}
	})
}

func TestANewDestinationBeginsAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &driver{}
		w := prepare(t, d, nil)
		w.journal.update("a")
		if err := w.engine.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if c, ok := w.journal.Cursor("dest"); !ok || c.Low != 1 {
			t.Errorf("the cursor is at %+v as soon as Start has returned", c)
		}
		w.journal.update("b")
		w.drain()
		w.stop()
		if seen := d.seen(""); !slices.Equal(seen, []uint64{2}) {
			t.Errorf("%v", seen)
		}
	})
}

func TestTheCursorIsSavedLazily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, &driver{}, nil)
		for range 100 {
			w.journal.update("a")
			time.Sleep(50 * time.Millisecond) // five seconds in all
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		// One a second, and five while their distance grows to that.
		if w.journal.saves < 10 || w.journal.saves > 13 {
			t.Errorf("%d saves", w.journal.saves)
		}
		if c, _ := w.journal.Cursor("dest"); c.Low != 100 {
			t.Errorf("the cursor is at %+v", c)
		}
		w.stop()
	})
}
