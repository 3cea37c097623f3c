package hub

import "sync"

// subscriber is one channel and what waits for it. Publishers push; its pump, one
// goroutine, carries from the ring to the channel and closes the channel.
type subscriber[T any] struct {
	match func(T) bool
	out   chan T
	news  chan struct{} // holds one signal: something was pushed
	gone  chan struct{} // closed by cancel

	mu      sync.Mutex // guards waiting
	waiting ring[T]
}

func newSubscriber[T any](match func(T) bool, buffer int) *subscriber[T] {
	return &subscriber[T]{
		match:   match,
		out:     make(chan T),
		news:    make(chan struct{}, 1),
		gone:    make(chan struct{}),
		waiting: newRing[T](buffer),
	}
}

func (s *subscriber[T]) push(v T) {
	s.mu.Lock()
	s.waiting.push(v)
	s.mu.Unlock()
	select {
	case s.news <- struct{}{}:
	default: // the pump has not yet seen the last one
	}
}

// next gives the oldest item that waits, and whether there is one.
func (s *subscriber[T]) next() (item[T], bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting.pop()
}

func (s *subscriber[T]) pump(missed func(n int) T) {
	defer close(s.out)
	for {
		it, ok := s.next()
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
		case <-s.gone:
			return
		}
	}
}
