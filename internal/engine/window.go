package engine

import (
	"cmp"
	"slices"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/journal"
)

// window knows which changes are loaded and not settled. Only those are held, in
// order of Seq; whatever else was read is settled, so the gaps between them are the
// cursor's ranges. However long one change holds the low-water mark down, the
// window does not grow with what settles above it.
type window struct {
	first, last *entry
	read        uint64          // every Seq up to here is in the list or settled
	restored    []journal.Range // settled in a former run, above read+1
	bytes       int
	entries     int
	free        []*entry
}

// entry is a change that is loaded and not settled.
//
// Where a change has several deliveries, one of them may be settled long before
// another is. The change then comes again after a restart with all of them, and so
// must whatever followed the settled one in its lane: else an old state would
// overwrite a newer one for good. Such a follower is held: it is not settled before
// what it follows.
type entry struct {
	change     *cdc.Change
	cost       int      // bytes of the window
	open       int      // items not settled, and entries that hold this one
	shared     bool     // it may stay open when an item of it has left its lane
	followers  []*entry // those that this one holds
	tails      []*lane  // lanes in which it may be the last
	prev, next *entry
}

func newWindow(c journal.Cursor) window {
	return window{read: c.Low, restored: slices.Clone(c.Ranges)}
}

// settled reports whether a change that comes from the journal was settled before.
func (w *window) settled(seq uint64) bool {
	if seq <= w.read {
		return true
	}
	i, _ := slices.BinarySearchFunc(w.restored, seq, func(r journal.Range, seq uint64) int { return cmp.Compare(r.Last, seq) })
	return i < len(w.restored) && seq >= w.restored[i].First
}

// pass notes that the journal was read up to seq.
func (w *window) pass(seq uint64) {
	w.read = max(w.read, seq)
	for len(w.restored) > 0 && w.restored[0].First <= w.read+1 {
		w.read = max(w.read, w.restored[0].Last)
		w.restored = w.restored[1:]
	}
}

// add puts the change that was just read at the end.
func (w *window) add(change *cdc.Change, cost, items int) *entry {
	e := take(&w.free)
	e.change, e.cost, e.open, e.shared, e.prev = change, cost, items, items > 1, w.last
	if w.last == nil {
		w.first = e
	} else {
		w.last.next = e
	}
	w.last = e
	w.bytes += cost
	w.entries++
	return e
}

// remove takes out an entry that is settled.
func (w *window) remove(e *entry) {
	if e.prev == nil {
		w.first = e.next
	} else {
		e.prev.next = e.next
	}
	if e.next == nil {
		w.last = e.prev
	} else {
		e.next.prev = e.prev
	}
	w.bytes -= e.cost
	w.entries--
	give(&w.free, e)
}

// low is the Seq up to which everything is settled.
func (w *window) low() uint64 {
	if w.first != nil {
		return w.first.change.Seq - 1
	}
	return w.read
}

// count is how many changes are settled, from the journal's first on.
func (w *window) count() uint64 {
	n := w.read - uint64(w.entries)
	for _, r := range w.restored {
		n += r.Last - r.First + 1
	}
	return n
}

// cursor gives what is settled in the form in which it is saved.
func (w *window) cursor() journal.Cursor {
	c := journal.Cursor{Low: w.low()}
	for e := w.first; e != nil; e = e.next {
		end := w.read
		if e.next != nil {
			end = e.next.change.Seq - 1
		}
		if end > e.change.Seq {
			c.Ranges = append(c.Ranges, journal.Range{First: e.change.Seq + 1, Last: end})
		}
	}
	c.Ranges = append(c.Ranges, w.restored...)
	return c
}

// take gives a zero value from the free list, or a new one.
func take[T any](free *[]*T) *T {
	n := len(*free)
	if n == 0 {
		return new(T)
	}
	v := (*free)[n-1]
	*free = (*free)[:n-1]
	return v
}

// give clears v and keeps it for the next take. The list is as long as the most
// that were in use at once, which the window bounds.
func give[T any](free *[]*T, v *T) {
	var zero T
	*v = zero
	*free = append(*free, v)
}
