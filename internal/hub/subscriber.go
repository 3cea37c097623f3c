package hub

import "sync"

// subscriber is one channel and what waits for it. Publishers push; its pump, one
// goroutine, carries from the ring to the channel and closes the channel.
type subscriber[T any] struct {
	match func(T) bool
	// out has room for one, so that at the very end the pump can leave a notice to
	// a receiver that is not there.
	out   chan T
	news  chan struct{} // holds one signal: something was pushed, or closed is set
	gone  chan struct{} // closed by cancel
	ended chan struct{} // closed by the pump after out

	mu      sync.Mutex // guards what follows
	waiting ring[T]
	closed  bool
}

func newSubscriber[T any](match func(T) bool, buffer int) *subscriber[T] {
	return &subscriber[T]{
		match:   match,
		out:     make(chan T, 1),
		news:    make(chan struct{}, 1),
		gone:    make(chan struct{}),
		ended:   make(chan struct{}),
		waiting: newRing[T](buffer),
	}
}

func (s *subscriber[T]) push(v T) {
	s.mu.Lock()
	s.waiting.push(v)
	s.mu.Unlock()
	s.signal()
}

// close lets the pump end when the ring is empty.
func (s *subscriber[T]) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.signal()
}

func (s *subscriber[T]) signal() {
	select {
	case s.news <- struct{}{}:
	default: // the pump has not yet seen the last one
	}
}

// next gives the oldest item that waits, and whether there is one; over says that
// there will be none any more.
func (s *subscriber[T]) next() (it item[T], ok, over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	it, ok = s.waiting.pop()
	return it, ok, !ok && s.closed
}

func (s *subscriber[T]) pump(missed func(n int) T, impatient <-chan struct{}) {
	defer close(s.ended)
	defer close(s.out)
	var sent item[T] // last put into out, where it may still be
	for {
		it, ok, over := s.next()
		if over {
			return
		}
		if !ok {
			select {
			case <-s.news:
			case <-s.gone:
				return
			}
			continue
		}
		if it.missed > 0 {
			it.value = missed(it.missed)
		}
		select {
		case s.out <- it.value:
			sent = it
		case <-s.gone:
			return
		case <-impatient:
			s.leave(sent, it, missed)
			return
		}
	}
}

// leave puts one notice in the place of all that was not taken: what is still in
// out, the item that out had no room for, and what waits behind it.
func (s *subscriber[T]) leave(sent, it item[T], missed func(n int) T) {
	n := it.count()
	select {
	case <-s.out:
		n += sent.count()
	default: // taken at last
	}
	for it, ok, _ := s.next(); ok; it, ok, _ = s.next() {
		n += it.count()
	}
	s.out <- missed(n)
}

// count is how many published values the item stands for.
func (it item[T]) count() int { return max(it.missed, 1) }
