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
)

// Hub copies values to subscribers. All methods are safe for concurrent use. A
// value is shared by all who receive it. A hub has no end of its own: each
// subscription has, and without subscriptions there is nothing but memory.
type Hub[T any] struct {
	buffer int
	missed func(n int) T

	// subscribers is read by every Publish, without a lock: the slice is replaced,
	// never changed, and nil while there are none.
	subscribers atomic.Pointer[[]*subscriber[T]]
	mu          sync.Mutex // guards the replacing of subscribers
}

// New gives a hub. For each subscriber up to buffer values wait, at least one;
// further ones are counted and announced by the value that missed gives. missed is
// called by one goroutine per subscriber and must not block.
func New[T any](buffer int, missed func(n int) T) *Hub[T] {
	return &Hub[T]{buffer: max(buffer, 1), missed: missed}
}

// Subscribe gives a channel of the values, from now on, for which match returns
// true; a nil match takes all. Publishers call match, possibly at the same time:
// it must be quick and must not panic.
//
// cancel ends the subscription: when it returned, the channel is closed and empty.
// It can be called again, and it must be called once: nothing else ends a
// subscription. One whose receiver went away without it keeps, for as long as there is
// the hub, its buffer, full, and one goroutine that waits for the receiver.
func (h *Hub[T]) Subscribe(match func(T) bool) (values <-chan T, cancel func()) {
	s := newSubscriber(match, h.buffer)
	h.mu.Lock()
	h.replace(append(slices.Clone(h.present()), s))
	h.mu.Unlock()
	var pump sync.WaitGroup
	pump.Go(func() { s.pump(h.missed) })
	return s.out, sync.OnceFunc(func() {
		h.mu.Lock()
		h.replace(slices.DeleteFunc(slices.Clone(h.present()), func(o *subscriber[T]) bool { return o == s }))
		h.mu.Unlock()
		close(s.gone)
		pump.Wait()
	})
}

// Publish gives v to every subscriber that matches it. It never waits for one.
func (h *Hub[T]) Publish(v T) {
	for _, s := range h.present() {
		if s.match == nil || s.match(v) {
			s.push(v)
		}
	}
}

// Heard reports whether there is a subscriber, so that what nobody would get need not be
// made.
func (h *Hub[T]) Heard() bool { return len(h.present()) > 0 }

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
