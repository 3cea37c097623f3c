package hub

// ring is what waits for one subscriber, in order: values, and notices that stand
// where values are missing. It holds one item more than it takes values, so that
// there is always a place for the notice of what no longer fits.
type ring[T any] struct {
	items []item[T] // the oldest at head, n in all, wrapping around
	head  int
	n     int
}

// item is a value, or a notice that so many are missing.
type item[T any] struct {
	value  T
	missed int // above 0 for a notice
}

func newRing[T any](values int) ring[T] { return ring[T]{items: make([]item[T], values+1)} }

// push takes v in, or counts it as missed. Once there is a notice in the last
// place it grows until two places are free: notices never stand side by side.
func (r *ring[T]) push(v T) {
	if r.n < len(r.items)-1 {
		r.put(item[T]{value: v})
	} else if last := r.at(r.n - 1); last.missed > 0 {
		last.missed++
	} else {
		r.put(item[T]{missed: 1})
	}
}

// pop gives the oldest item, and whether there is one.
func (r *ring[T]) pop() (item[T], bool) {
	if r.n == 0 {
		return item[T]{}, false
	}
	it := *r.at(0)
	*r.at(0) = item[T]{} // what the subscriber has got is not kept alive here
	r.head = (r.head + 1) % len(r.items)
	r.n--
	return it, true
}

func (r *ring[T]) put(it item[T]) {
	*r.at(r.n) = it
	r.n++
}

// at gives the place of the i-th oldest item.
func (r *ring[T]) at(i int) *item[T] { return &r.items[(r.head+i)%len(r.items)] }
