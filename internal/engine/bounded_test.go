package engine_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/engine"
)

// attempted runs one attempt, ten seconds long at most. What is left of its context when it
// is over goes to after, while the engine still runs.
func attempted(t *testing.T, apply, after func(context.Context)) {
	var left context.Context
	d := &driver{limits: cdc.Limits{Events: true}}
	d.apply = func(ctx context.Context, d *driver, batch []cdc.Delivery) error {
		left = ctx
		apply(ctx)
		d.accept(batch...)
		return nil
	}
	w := start(t, d, func(c *engine.Config) { c.Timeout = 10 * time.Second })
	w.journal.update("a")
	w.drain()
	after(left)
	w.stop()
}

type valueKey struct{}

func TestTheContextOfAnAttemptTellsItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attempted(t, func(ctx context.Context) {
			if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) != 10*time.Second {
				t.Errorf("the deadline is in %v, %t", time.Until(deadline), ok)
			}
			for range 2 {
				if err := ctx.Err(); err != nil {
					t.Errorf("at its begin: %v", err)
				}
				time.Sleep(4 * time.Second)
			}
		}, func(left context.Context) {
			if err := left.Err(); !errors.Is(err, context.Canceled) {
				t.Errorf("after the attempt: %v", err)
			}
			select {
			case <-left.Done():
			default:
				t.Error("after the attempt it is not done")
			}
		})
	})
}

// The shorter of the two timeouts bounds an attempt: the destination's ten seconds, or what
// the driver says of the target.
func TestTheShorterTimeoutBoundsAnAttempt(t *testing.T) {
	for own, want := range map[time.Duration]time.Duration{0: 10, 3 * time.Second: 3, 20 * time.Second: 10} {
		synctest.Test(t, func(t *testing.T) {
			d := &driver{limits: cdc.Limits{Events: true, Timeout: own}}
			d.apply = func(ctx context.Context, d *driver, batch []cdc.Delivery) error {
				if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) != want*time.Second {
					t.Errorf("with %v of its own: the deadline is in %v, %t", own, time.Until(deadline), ok)
				}
				d.accept(batch...)
				return nil
			}
			w := start(t, d, func(c *engine.Config) { c.Timeout = 10 * time.Second })
			w.journal.update("a")
			w.drain()
			w.stop()
		})
	}
}

func TestTheContextOfAnAttemptEndsInTime(t *testing.T) {
	for name, wait := range map[string]func(context.Context){
		"waited for": func(ctx context.Context) { <-ctx.Done() },
		"asked":      func(context.Context) { time.Sleep(10 * time.Second) },
		"derived": func(ctx context.Context) {
			child, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			<-child.Done()
			if !errors.Is(child.Err(), context.DeadlineExceeded) {
				t.Errorf("a child ends with %v", child.Err())
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				attempted(t, func(ctx context.Context) {
					began := time.Now()
					wait(ctx)
					if took := time.Since(began); took != 10*time.Second {
						t.Errorf("it took %v", took)
					}
					if err := ctx.Err(); !errors.Is(err, context.DeadlineExceeded) || context.Cause(ctx) != err {
						t.Errorf("it ends with %v, because of %v", err, context.Cause(ctx))
					}
				}, func(left context.Context) {
					if err := left.Err(); !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("after the attempt: %v", err)
					}
				})
			})
		})
	}
}

// What a driver derives and forgets to cancel ends with the attempt, and needs no
// goroutine that waits for it.
func TestTheContextOfAnAttemptTakesItsChildrenAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var child context.Context
		var cancel context.CancelFunc // called too late
		ended := false
		attempted(t, func(ctx context.Context) {
			goroutines := runtime.NumGoroutine()
			child, cancel = context.WithCancel(context.WithValue(ctx, valueKey{}, "own"))
			context.AfterFunc(child, func() { ended = true })
			if n := runtime.NumGoroutine(); n != goroutines {
				t.Errorf("%d goroutines wait for the end of a child", n-goroutines)
			}
			if child.Err() != nil || child.Value(valueKey{}) != "own" {
				t.Errorf("the child is %v, its value %v", child.Err(), child.Value(valueKey{}))
			}
		}, func(context.Context) {
			synctest.Wait()
			if !errors.Is(child.Err(), context.Canceled) || !ended {
				t.Errorf("after the attempt the child is %v, its end was told: %t", child.Err(), ended)
			}
		})
		cancel()
	})
}

func TestTheContextOfAnAttemptHasTheValuesOfStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &driver{}
		d.apply = func(ctx context.Context, d *driver, batch []cdc.Delivery) error {
			for _, when := range []string{"before", "after"} {
				if v := ctx.Value(valueKey{}); v != "given" {
					t.Errorf("%s it is asked for its end the value is %v", when, v)
				}
				ctx.Done()
			}
			d.accept(batch...)
			return nil
		}
		w := prepare(t, d, nil)
		if err := w.engine.Start(context.WithValue(t.Context(), valueKey{}, "given")); err != nil {
			t.Fatal(err)
		}
		w.journal.update("a")
		w.drain()
		w.stop()
	})
}
