package engine

import (
	"context"
	"sync"
	"time"
)

// bounded is the context of one call: it ends with the call, or at a time if that comes
// first. It is what [context.WithDeadline] gives, made when somebody asks for its end. A
// driver that only hands things over never does, and for that the timer and the place
// among the children of the engine's context were an eighth of what a delivery cost.
type bounded struct {
	parent   context.Context
	deadline time.Time

	mu    sync.Mutex // guards what follows
	whole context.Context
	stop  context.CancelFunc // of whole
	ended bool
}

// bound gives a context that ends at a time, or as its parent does.
func bound(parent context.Context, deadline time.Time) *bounded {
	if sooner, ok := parent.Deadline(); ok && sooner.Before(deadline) {
		deadline = sooner
	}
	return &bounded{parent: parent, deadline: deadline}
}

// end ends the context, as a cancel function would.
func (b *bounded) end() {
	b.mu.Lock()
	b.ended = true
	stop := b.stop
	b.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// full gives what there is once somebody has asked.
func (b *bounded) full() context.Context {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.whole == nil {
		b.whole, b.stop = context.WithDeadline(b.parent, b.deadline)
		if b.ended {
			b.stop()
		}
	}
	return b.whole
}

// Deadline implements [context.Context].
func (b *bounded) Deadline() (time.Time, bool) { return b.deadline, true }

// Done implements [context.Context].
func (b *bounded) Done() <-chan struct{} { return b.full().Done() }

// Err implements [context.Context]. As long as nothing has ended it needs no more than a
// look at the clock.
func (b *bounded) Err() error {
	b.mu.Lock()
	running := b.whole == nil && !b.ended
	b.mu.Unlock()
	if running && b.parent.Err() == nil && time.Now().Before(b.deadline) {
		return nil
	}
	return b.full().Err()
}

// Value implements [context.Context]. A context that is derived from this one finds its
// way to be ended with it by such a question, after it has asked for Done.
func (b *bounded) Value(key any) any {
	b.mu.Lock()
	of := b.whole
	b.mu.Unlock()
	if of == nil {
		of = b.parent
	}
	return of.Value(key)
}
