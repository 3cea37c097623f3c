package replicator_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/memory"
)

// TestOneProcessPerDirectory: the second gets an error that names the directory.
func TestOneProcessPerDirectory(t *testing.T) {
	dir := t.TempDir()
	o := replicator.Options{Dir: dir, Destinations: to(memory.New(memory.Options{}), "r")}
	start(t, newShelf(), o)
	second, err := replicator.New(newShelf(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Start(t.Context()); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("Start: %v", err)
	}
}

// TestLifecycle hammers everything that starts, stops and asks, from many goroutines,
// while writes go on. Nothing deadlocks or leaks, and afterwards nothing is missing.
func TestLifecycle(t *testing.T) {
	s, d := newShelf(), memory.New(memory.Options{})
	r, err := replicator.New(s, replicator.Options{Dir: t.TempDir(), Destinations: to(d, "r")})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if err := r.Stop(ctx); err != nil {
		t.Errorf("Stop before Start: %v", err)
	}
	if err := r.Flush(ctx); err == nil {
		t.Error("Flush before Start is no error")
	}
	if err := r.Start(ctx); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan struct{})
	var wg sync.WaitGroup
	again := func(f func()) {
		wg.Go(func() {
			for {
				select {
				case <-stopped:
					return
				default:
					f()
				}
			}
		})
	}
	for range 2 {
		again(func() {
			short, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
			defer cancel()
			_ = r.Stop(short)
		})
		again(func() {
			if err := r.Start(ctx); err != nil {
				t.Errorf("Start: %v", err)
			}
		})
		again(func() {
			short, cancel := context.WithTimeout(ctx, time.Millisecond)
			defer cancel()
			_ = r.Flush(short)
		})
		again(func() { r.Stats(); r.Health() })
		again(func() {
			_, cancel := r.Subscribe(replicator.AllKinds)
			cancel()
		})
		again(func() {
			for range r.Log(ctx, replicator.Query{}) {
				break
			}
		})
	}
	// Writes that find no replicator running are not captured, by design; those that
	// the journal took are.
	captured := map[string]int64{}
	for n := int64(1); n <= 15; n++ {
		id := string(rune('a' + n%26))
		if err := r.Start(ctx); err != nil {
			t.Fatal(err)
		}
		before := r.Stats().Journal.Last
		if err := s.put(ctx, "r", id, replicator.Record{"n": n}); err != nil {
			t.Fatal(err)
		}
		if r.Stats().Journal.Last > before {
			captured[id] = n
		}
	}
	close(stopped)
	wg.Wait()
	if err := r.Start(ctx); err != nil {
		t.Fatal(err)
	}
	// Each record once more, so that what was written while stopped is there too.
	for id := range captured {
		if err := s.put(ctx, "r", id, replicator.Record{"n": int64(1000)}); err != nil {
			t.Fatal(err)
		}
	}
	flush(t, r)
	if len(captured) == 0 {
		t.Error("no write was captured, nothing was tested")
	}
	for id := range captured {
		if n := d.Records("r")[id].Int("n"); n != 1000 {
			t.Errorf("record %s arrived with n %d", id, n)
		}
	}
	if err := r.Stop(ctx); err != nil {
		t.Errorf("Stop: %v", err)
	}
	if err := r.Stop(ctx); err != nil {
		t.Errorf("a second Stop: %v", err)
	}
}

// TestStopTellsAnOutageFromAFault: what only waits is ErrWaiting, and nothing that has
// anything else to tell, or loses what waits.
func TestStopTellsAnOutageFromAFault(t *testing.T) {
	for name, c := range map[string]struct {
		volatile bool
		left     bool  // a call is left behind
		close    error // of the driver
		waiting  bool
	}{
		"outage":             {waiting: true},
		"kept in memory":     {volatile: true},
		"a call is left":     {left: true},
		"closing goes wrong": {close: errors.New("no")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, gate := newShelf(), make(chan struct{})
				d := &closing{closed: new(atomic.Int64), err: c.close, Driver: memory.New(memory.Options{Before: func(context.Context, []replicator.Delivery) error {
					if c.left {
						<-gate
					}
					return replicator.Unavailable(errors.New("no answer"))
				}})}
				r := start(t, s, replicator.Options{Volatile: c.volatile, Destinations: to(d, "r")})
				putN(t, s, "r", 2)
				short := func() context.Context {
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
					t.Cleanup(cancel)
					return ctx
				}
				if err := r.Flush(short()); errors.Is(err, replicator.ErrWaiting) == c.volatile || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Flush: %v", err)
				}
				err := r.Stop(short())
				if errors.Is(err, replicator.ErrWaiting) != c.waiting || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "2 changes wait") {
					t.Errorf("Stop: %v", err)
				}
				close(gate)
			})
		})
	}
}

// TestStopDoesNotWaitForUserCode: a transform that hangs keeps Stop no longer than its
// context and the second of grace.
func TestStopDoesNotWaitForUserCode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, gate := newShelf(), make(chan struct{})
		r := start(t, s, replicator.Options{Destinations: []replicator.Destination{{
			Driver: newEvents(), Routes: []replicator.Route{{From: "r", Transform: func(c replicator.Change) (replicator.Record, error) {
				<-gate
				return c.Data, nil
			}}},
		}}})
		if err := s.put(t.Context(), "r", "1", replicator.Record{"v": 1}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		if err := r.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Stop: %v", err)
		}
		if took := time.Since(begin); took > 3*time.Second {
			t.Errorf("Stop took %v", took)
		}
		close(gate)
	})
}

// TestStopLeavesACall: what a driver still does after Stop may land after whatever a
// new run sends, so there is none before it has returned.
func TestStopLeavesACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, gate := newShelf(), make(chan struct{})
		var calls, closed atomic.Int64
		d := &closing{closed: &closed, Driver: memory.New(memory.Options{Events: true, Before: func(context.Context, []replicator.Delivery) error {
			if calls.Add(1) == 1 {
				<-gate // deaf to its context
			}
			return nil
		}})}
		r := start(t, s, replicator.Options{Destinations: to(d, "r")})
		if err := s.put(t.Context(), "r", "1", replicator.Record{"v": 1}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		halt(t, r)
		if err := r.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "memory: a call from before Stop has not returned") {
			t.Errorf("Start beside a call of the last run: %v", err)
		}
		close(gate)
		synctest.Wait()
		if closed.Load() != 1 {
			t.Error("the driver was not closed when its call returned")
		}
		if err := r.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.put(t.Context(), "r", "1", replicator.Record{"v": 2}); err != nil {
			t.Fatal(err)
		}
		flush(t, r)
		got := d.Events("r")
		if last := got[len(got)-1]; last.Record.Int("v") != 2 {
			t.Errorf("the last that arrived is %v", last.Record)
		}
		halt(t, r)
	})
}

// closing is a memory destination that counts how often it was opened and closed.
type closing struct {
	*memory.Driver
	opened, closed *atomic.Int64
	open           func(context.Context) error
	err            error // what Close gives
}

func (c *closing) Open(ctx context.Context) error {
	if c.open == nil {
		return nil
	}
	if err := c.open(ctx); err != nil {
		return err
	}
	c.opened.Add(1)
	return nil
}

func (c *closing) Close() error { c.closed.Add(1); return c.err }

// TestStartWithADeadline: a destination that does not answer takes its share of the
// time, and the others start.
func TestStartWithADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, well := newShelf(), newEvents()
		hanging := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		var n atomic.Int64
		r, err := replicator.New(s, replicator.Options{Dir: t.TempDir(), Destinations: []replicator.Destination{
			{Name: "dead", Driver: &closing{Driver: newEvents(), open: hanging, opened: &n, closed: &n}, Routes: replicator.Routes("r")},
			{Name: "dead too", Driver: &closing{Driver: newEvents(), open: hanging, opened: &n, closed: &n}, Routes: replicator.Routes("r")},
			{Name: "well", Driver: well, Routes: replicator.Routes("r")},
		}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := r.Start(ctx); err != nil {
			t.Fatal(err)
		}
		if err := s.put(t.Context(), "r", "1", replicator.Record{"v": 1}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(well.Events("r")) != 1 || !r.Stats().Destinations["dead"].BreakerOpen {
			t.Error(describe(r))
		}
		halt(t, r)
	})
}

// TestStartThatEnds: what Start opened is closed when it comes to nothing.
func TestStartThatEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var opened, closed atomic.Int64
	d := &closing{Driver: newEvents(), opened: &opened, closed: &closed, open: func(context.Context) error { cancel(); return nil }}
	r, err := replicator.New(newShelf(), replicator.Options{Dir: t.TempDir(), Destinations: to(d, "r")})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Start: %v", err)
	}
	if opened.Load() != 1 || closed.Load() != 1 {
		t.Errorf("opened %d times, closed %d times", opened.Load(), closed.Load())
	}
}

// TestTheFirstFailedAttemptIsTold by Stats and Stop, long before the breaker opens, and is
// no reason yet to call the destination ill. A delivery that arrives after all ends it.
func TestTheFirstFailedAttemptIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		var mended atomic.Bool
		d := memory.New(memory.Options{Before: func(context.Context, []replicator.Delivery) error {
			if mended.Load() {
				return nil
			}
			time.Sleep(15 * time.Second)
			return errors.New("no answer within 15s")
		}})
		r := start(t, s, replicator.Options{Destinations: to(d, "r")})
		putN(t, s, "r", 1)
		flush := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			return r.Flush(ctx)
		}
		time.Sleep(16 * time.Second)
		if stats := r.Stats().Destinations["memory"]; !strings.Contains(stats.Err, "no answer within 15s") || stats.BreakerOpen {
			t.Errorf("Stats has %q, breaker open %v", stats.Err, stats.BreakerOpen)
		}
		if h := r.Health(); h.Status != replicator.HealthHealthy {
			t.Errorf("Health is %s: %s", h.Status, h.Reason)
		}
		if err := flush(); err == nil || !strings.Contains(err.Error(), "no answer within 15s") {
			t.Errorf("Flush: %v", err)
		}
		mended.Store(true)
		if err := r.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if stats := r.Stats().Destinations["memory"]; stats.Err != "" {
			t.Errorf("after it, Stats has %q", stats.Err)
		}
		halt(t, r)
	})
}
