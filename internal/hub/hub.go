// Package hub copies a value to every subscriber without waiting for any.
//
// A subscriber gets the values that it matches in the order in which they were
// published. One that is too slow misses some, and is told so in their place: by a
// notice that says how many. What a subscriber received and what its notices
// counted is, together, what was published for it. A notice comes by itself, also
// if nothing is published after it.
//
// Not promised: that two subscribers see values of concurrent publishers in the
// same order, and that a subscriber who cancelled gets what was still waiting.
package hub

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// patience is how long Close waits for subscribers to take what they have not
// taken yet. One that is in its receive loop needs microseconds; one that has
// gone away without cancelling would need for ever.
const patience = time.Second

// Hub copies values to subscribers. All methods are safe for concurrent use. A
// value is shared by all who receive it.
type Hub[T any] struct {
	buffer int
	missed func(n int) T

	// subscribers is read by every Publish, without a lock: the slice is replaced,
	// never changed, and nil while there are none.
	subscribers atomic.Pointer[[]*subscriber[T]]
	pumps       sync.WaitGroup
	impatient   chan struct{} // closed when patience has ended

	mu     sync.Mutex // guards closed and the replacing of subscribers
	closed bool
}

// New gives a hub. For each subscriber up to buffer values wait, at least one;
// further ones are counted and announced by the value that missed gives. missed is
// called by one goroutine per subscriber and must not block.
func New[T any](buffer int, missed func(n int) T) *Hub[T] {
	return &Hub[T]{buffer: max(buffer, 1), missed: missed, impatient: make(chan struct{})}
}

// Subscribe gives a channel of the values, from now on, for which match returns
// true; a nil match takes all. Publishers call match, possibly at the same time:
// it must be quick and must not panic.
//
// cancel ends the subscription: when it returned, the channel is closed, and at
// most one value or notice is still in it. It can be called again. The channel of
// a hub that is closed is closed.
func (h *Hub[T]) Subscribe(match func(T) bool) (values <-chan T, cancel func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := newSubscriber(match, h.buffer)
	if h.closed {
		close(s.out)
		return s.out, func() {}
	}
	h.replace(append(slices.Clone(h.present()), s))
	h.pumps.Go(func() { s.pump(h.missed, h.impatient) })
	return s.out, sync.OnceFunc(func() {
		h.mu.Lock()
		h.replace(slices.DeleteFunc(slices.Clone(h.present()), func(o *subscriber[T]) bool { return o == s }))
		h.mu.Unlock()
		close(s.gone)
		<-s.ended
	})
}

// Publish gives v to every subscriber that matches it. It never waits for one.
// After Close it does nothing.
func (h *Hub[T]) Publish(v T) {
	for _, s := range h.present() {
		if s.match == nil || s.match(v) {
			s.push(v)
		}
	}
}

// Close ends all subscriptions: each channel is closed after its subscriber has
// taken what waits. Whoever has not done so after one second finds in the channel,
// in place of what is left, the notice of how much that was. Close returns when
// all channels are closed. It can be called again.
func (h *Hub[T]) Close() {
	h.mu.Lock()
	if !h.closed {
		h.closed = true
		for _, s := range h.present() {
			s.close()
		}
		h.replace(nil)
		timer := time.AfterFunc(patience, func() { close(h.impatient) })
		defer timer.Stop()
	}
	h.mu.Unlock()
	h.pumps.Wait()
}

func (h *Hub[T]) present() []*subscriber[T] {
	if list := h.subscribers.Load(); list != nil {
		return *list
	}
	return nil
}

// replace is called with mu held.
func (h *Hub[T]) replace(list []*subscriber[T]) {
	if len(list) == 0 {
		h.subscribers.Store(nil)
		return
	}
	h.subscribers.Store(&list)
}
