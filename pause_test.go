package replicator_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/memory"
)

// pausable gives two event destinations of one resource.
func pausable(t *testing.T) (s *shelf, o replicator.Options, first, second *memory.Driver) {
	s, first, second = newShelf(), newEvents(), newEvents()
	return s, replicator.Options{Dir: t.TempDir(), Destinations: []replicator.Destination{
		{Name: "first", Driver: first, Routes: replicator.Routes("r")},
		{Name: "second", Driver: second, Routes: replicator.Routes("r")},
	}}, first, second
}

func write(t *testing.T, s *shelf, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if err := s.put(t.Context(), "r", fmt.Sprint(i), replicator.Record{"n": int64(i)}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPause: a paused destination gets nothing, over Stop and Start, while the other goes
// on and neither Flush nor Stop waits; Stats and Health say so. Resumed, it gets each
// change once.
func TestPause(t *testing.T) {
	for _, volatile := range []bool{false, true} {
		t.Run(fmt.Sprintf("volatile %v", volatile), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, o, first, second := pausable(t)
				o.Volatile = volatile
				r := start(t, s, o)
				events, cancel := r.Subscribe(replicator.Paused | replicator.Resumed)
				defer cancel()
				write(t, s, 0, 5)
				flush(t, r)
				for range 2 {
					if err := r.Pause(t.Context(), "first"); err != nil {
						t.Fatal(err)
					}
				}
				write(t, s, 5, 10)
				time.Sleep(time.Hour) // virtual
				flush(t, r)
				st := r.Stats().Destinations["first"]
				if st.Paused == nil || st.Waiting != 5 || st.Lag != time.Hour || st.Replicated != 5 || st.Err != "" {
					t.Errorf("%+v", st)
				}
				h := r.Health()
				if d := h.Destinations["first"]; h.Status != replicator.HealthDegraded || d.Status != replicator.HealthPaused || !strings.HasPrefix(d.Reason, "paused since ") {
					t.Errorf("%+v", h)
				}
				if err := r.Stop(t.Context()); err != nil {
					t.Errorf("Stop waited: %v", err)
				}
				if !volatile { // else another process knows nothing, and has lost the five
					var err error
					if r, err = replicator.New(s, o); err != nil {
						t.Fatal(err)
					}
				}
				if err := r.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				write(t, s, 10, 15)
				flush(t, r)
				if n := len(first.Events("r")); n != 5 || r.Stats().Destinations["first"].Paused == nil {
					t.Errorf("%d deliveries after the restart: %s", n, describe(r))
				}
				for range 2 {
					if err := r.Resume(t.Context(), "first"); err != nil {
						t.Fatal(err)
					}
				}
				flush(t, r)
				want := 15
				if volatile {
					want = 10
				}
				if n := len(first.Events("r")); n != want || len(second.Events("r")) != 15 {
					t.Errorf("%d and %d deliveries", n, len(second.Events("r")))
				}
				if st := r.Stats().Destinations["first"]; st.Paused != nil || st.Waiting != 0 || st.Lag != 0 || r.Health().Status != replicator.HealthHealthy {
					t.Error(describe(r))
				}
				countsAddUp(t, r)
				halt(t, r)
				if err := r.Start(t.Context()); err != nil || r.Stats().Destinations["first"].Paused != nil {
					t.Errorf("after another restart: %v, %s", err, describe(r))
				}
				halt(t, r)
				if e := <-events; e.Kind != replicator.Paused || e.Destination != "first" || e.Err != nil {
					t.Errorf("%+v", e)
				}
				if volatile { // the others are another Replicator's
					if e := <-events; e.Kind != replicator.Resumed || e.Destination != "first" {
						t.Errorf("%+v", e)
					}
				}
			})
		})
	}
}

// TestPauseInFlight: a call that runs is waited for until the context ends; what was not
// answered comes again.
func TestPauseInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, gate := newShelf(), make(chan struct{})
		var calls atomic.Int64
		d := memory.New(memory.Options{Events: true, Before: func(ctx context.Context, _ []replicator.Delivery) error {
			if calls.Add(1) == 1 {
				<-gate // deaf to its context
			}
			return ctx.Err()
		}})
		r := start(t, s, replicator.Options{Destinations: to(d, "r")})
		write(t, s, 0, 1)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.Pause(ctx, "memory"); err == nil || !strings.Contains(err.Error(), "replicator: pause memory: memory: calls that have not returned: 1") {
			t.Errorf("Pause: %v", err)
		}
		if r.Stats().Destinations["memory"].Paused == nil {
			t.Error("it is not paused")
		}
		flush(t, r)
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.Resume(short, "memory"); !errors.Is(err, context.DeadlineExceeded) || r.Stats().Destinations["memory"].Paused == nil {
			t.Errorf("Resume beside the call: %v\n%s", err, describe(r))
		}
		close(gate)
		if err := r.Resume(t.Context(), "memory"); err != nil {
			t.Fatal(err)
		}
		flush(t, r)
		if n := len(d.Events("r")); n != 1 {
			t.Errorf("%d deliveries", n)
		}
		halt(t, r)
	})
}

// TestGone: a destination that asks to be left alone is paused by itself, over restarts,
// and with its reason.
func TestGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		var gone atomic.Bool
		gone.Store(true)
		d := memory.New(memory.Options{Events: true, Before: func(context.Context, []replicator.Delivery) error {
			if gone.Load() {
				return replicator.Gone(errors.New("410, unsubscribed"))
			}
			return nil
		}})
		o := replicator.Options{Dir: t.TempDir(), Destinations: to(d, "r")}
		r := start(t, s, o)
		events, cancel := r.Subscribe(replicator.Paused)
		defer cancel()
		write(t, s, 0, 3)
		if e := <-events; e.Err == nil || !strings.Contains(e.Reason, "410, unsubscribed") {
			t.Errorf("%+v", e)
		}
		for range 2 {
			flush(t, r)
			if p := r.Stats().Destinations["memory"].Paused; p == nil || !strings.Contains(p.Reason, "410, unsubscribed") {
				t.Errorf("%+v", p)
			}
			if reason := r.Health().Destinations["memory"].Reason; !strings.Contains(reason, "410, unsubscribed") {
				t.Error(reason)
			}
			halt(t, r)
			r = start(t, s, o)
		}
		gone.Store(false)
		if err := r.Resume(t.Context(), "memory"); err != nil {
			t.Fatal(err)
		}
		flush(t, r)
		if n := len(d.Events("r")); n != 3 {
			t.Errorf("%d deliveries", n)
		}
		halt(t, r)
	})
}

// TestOperationsOnNothing: what does not run, and what is not there, is said.
func TestOperationsOnNothing(t *testing.T) {
	s, o, _, _ := pausable(t)
	r, err := replicator.New(s, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	all := map[string]func(name string) error{
		"pause":  func(name string) error { return r.Pause(ctx, name) },
		"resume": func(name string) error { return r.Resume(ctx, name) },
		"rewind": func(name string) error { return r.Rewind(ctx, name, time.Now()) },
		"remove": func(name string) error { return r.Remove(ctx, name) },
		"add": func(name string) error {
			return r.Add(ctx, replicator.Destination{Name: name, Driver: newEvents(), Routes: replicator.Routes("r")})
		},
	}
	for what, do := range all {
		if err := do("first"); err == nil || err.Error() != "replicator: not running" {
			t.Errorf("%s before Start: %v", what, err)
		}
	}
	if err := r.Start(ctx); err != nil {
		t.Fatal(err)
	}
	defer halt(t, r)
	for what, do := range all {
		if what == "add" {
			continue
		}
		if err := do("third"); err == nil || err.Error() != "replicator: "+what+`: there is no destination "third"` {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestPausedBackfill: a backfill rests with its destination, and goes on with it where it
// was; who waits for it waits on.
func TestPausedBackfill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, d := stocked(t, 100), newEvents()
		r := start(t, db, replicator.Options{Dir: t.TempDir(), Destinations: []replicator.Destination{{
			Name: "d", Driver: d, Routes: replicator.Routes("things"), Backfill: replicator.BackfillOptions{ChunkSize: 10, Rate: 10},
		}}})
		done := make(chan error, 1)
		go func() { done <- r.Backfill(t.Context(), "d") }()
		time.Sleep(3500 * time.Millisecond) // virtual: four chunks
		synctest.Wait()
		if err := r.Pause(t.Context(), "d"); err != nil {
			t.Fatal(err)
		}
		before := len(d.Events("things"))
		time.Sleep(time.Hour)
		if n := len(d.Events("things")); n != before || n < 10 || len(done) > 0 {
			t.Errorf("%d deliveries before the pause, %d after; %d ended", before, n, len(done))
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.Backfill(short, "d"); err == nil || !strings.Contains(err.Error(), "paused: context deadline exceeded") {
			t.Errorf("the wait for a paused backfill: %v", err)
		}
		if err := r.Resume(t.Context(), "d"); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		ids := map[string]bool{}
		for _, e := range d.Events("things") {
			ids[e.RecordID] = true
		}
		if n := len(d.Events("things")); n != 100 || len(ids) != 100 {
			t.Errorf("%d deliveries of %d records", n, len(ids))
		}
		halt(t, r)
	})
}
