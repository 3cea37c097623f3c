package replicator

import (
	"context"
	"fmt"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/backoff"
)

// operate stops or starts one destination, while nobody else does. Its context ends as
// soon as Stop is called, too, which waits for it.
func (r *Replicator) operate(ctx context.Context, what, destination string, do func(context.Context, *running, *destination) error) error {
	run, err := r.current()
	if err != nil {
		return err
	}
	ctx, leave, err := run.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	d := run.find(destination)
	if d == nil {
		return fmt.Errorf("replicator: %s: there is no destination %q", what, destination)
	}
	if err = d.take(ctx); err == nil {
		defer d.give()
		if d.is(over) { // it was removed meanwhile
			err = cdc.ErrStopped
		} else {
			err = do(ctx, run, d)
		}
	}
	if err != nil {
		return fmt.Errorf("replicator: %s %s: %w", what, destination, err)
	}
	return nil
}

// enter begins an operation; leave ends it. There is none after close.
func (run *running) enter(ctx context.Context) (_ context.Context, leave func(), err error) {
	run.mu.Lock()
	defer run.mu.Unlock()
	if run.life.Err() != nil {
		return nil, nil, cdc.ErrStopped
	}
	run.operations.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	unhook := context.AfterFunc(run.life, func() { cancel(cdc.ErrStopped) })
	return ctx, func() {
		unhook()
		cancel(nil)
		run.operations.Done()
	}, nil
}

// later is an operation in the background. It does nothing after close.
func (run *running) later(do func(context.Context)) {
	ctx, leave, err := run.enter(context.Background())
	if err != nil {
		return
	}
	go func() {
		defer leave()
		do(ctx)
	}()
}

// close ends the operations that are under way, and lets no other begin.
func (run *running) close() {
	run.mu.Lock()
	run.end()
	run.mu.Unlock()
	run.operations.Wait()
}

// revivals pace the attempts to start a destination again, as for one that is away.
var revivals = backoff.Policy{Base: time.Second, Cap: 30 * time.Second}

// goOn starts a destination again that was stopped for a moment. What keeps it from
// starting is told in Stats, and it is tried again: nobody asked for the destination to
// stand still. The caller has its turn.
func (r *Replicator) goOn(ctx context.Context, run *running, d *destination) {
	err := errLeft
	if !d.left() {
		err = d.start(ctx)
	}
	if err == nil {
		d.refill()
		return
	}
	d.fail(err)
	run.later(func(ctx context.Context) {
		for attempt := 1; ; attempt++ {
			if d.free(ctx) != nil || sleep(ctx, revivals.Ceiling(attempt)) != nil || d.take(ctx) != nil {
				return
			}
			done := r.revive(ctx, d)
			d.give()
			if done {
				return
			}
		}
	})
}

// revive starts a destination that is still to be started again, and reports whether
// nothing is left to be done. The caller has its turn.
func (r *Replicator) revive(ctx context.Context, d *destination) bool {
	if !d.is(between) {
		return true
	}
	if d.left() {
		return false
	}
	if err := d.start(ctx); err != nil {
		d.fail(err)
		return false
	}
	d.refill()
	return true
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
