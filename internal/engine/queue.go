package engine

// queue is first in, first out. Its memory is used again, so that a queue that
// stays short allocates nothing.
type queue[T any] struct {
	slots []T
	head  int
}

func (q *queue[T]) len() int   { return len(q.slots) - q.head }
func (q *queue[T]) at(i int) T { return q.slots[q.head+i] }
func (q *queue[T]) front() T   { return q.slots[q.head] }

func (q *queue[T]) push(v T) {
	// Moving down is worth it only when at least half is free: each element is then
	// moved at most once for every one that was taken out.
	if len(q.slots) == cap(q.slots) && q.head > len(q.slots)/2 {
		n := copy(q.slots, q.slots[q.head:])
		clear(q.slots[n:])
		q.slots, q.head = q.slots[:n], 0
	}
	q.slots = append(q.slots, v)
}

func (q *queue[T]) pop() T {
	var none T
	v := q.slots[q.head]
	q.slots[q.head] = none
	q.head++
	if q.head == len(q.slots) {
		q.slots, q.head = q.slots[:0], 0
	}
	return v
}
