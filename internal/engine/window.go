package engine

import (
	"cmp"
	"slices"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/journal"
)

// window knows which changes were read and are not settled. Only those are held, in
// order of Seq; whatever else was read is settled, so the gaps between them are the
// cursor's ranges. However long one change holds the low-water mark down, the
// window does not grow with what settles above it.
type window struct {
	first, last *entry
	read        uint64          // every Seq up to here is in the list or settled
	restored    []journal.Range // settled in a former run, above read+1
	partial     []journal.Part  // settled in part in a former run, above read
	bytes       int             // of the entries that have their payload
	entries     int
	parked      int // entries whose payload was given back
	free        []*entry
}

// entry is a change that was read and is not settled.
type entry struct {
	seq  uint64
	at   int64 // when it was announced, in microseconds since 1970
	cost int   // bytes of the window
	// change is nil, or without its data, while the payload is given back.
	change *cdc.Change
	bytes  int   // of the change alone
	items  *item // those that are not settled, by sibling
	open   int   // how many they are
	// present counts those among them that have their payload. At 0 the change has
	// none either.
	present    int
	done       []string // targets at which it is settled
	prev, next *entry
}

func newWindow(c journal.Cursor) window {
	return window{read: c.Low, restored: slices.Clone(c.Ranges), partial: slices.Clone(c.Partial)}
}

// settled reports whether a change that comes from the journal was settled before.
func (w *window) settled(seq uint64) bool {
	if seq <= w.read {
		return true
	}
	i, _ := slices.BinarySearchFunc(w.restored, seq, func(r journal.Range, seq uint64) int { return cmp.Compare(r.Last, seq) })
	return i < len(w.restored) && seq >= w.restored[i].First
}

// pass notes that the journal was read up to seq, and gives the targets at which
// that change was settled in a former run.
func (w *window) pass(seq uint64) (done []string) {
	for len(w.partial) > 0 && w.partial[0].Seq <= seq {
		if w.partial[0].Seq == seq {
			done = w.partial[0].Targets
		}
		w.partial = w.partial[1:]
	}
	w.read = max(w.read, seq)
	for len(w.restored) > 0 && w.restored[0].First <= w.read+1 {
		w.read = max(w.read, w.restored[0].Last)
		w.restored = w.restored[1:]
	}
	return done
}

// add puts the change that was just read at the end.
func (w *window) add(change *cdc.Change, bytes, items int) *entry {
	e := acquire(&w.free)
	e.seq, e.at, e.change, e.bytes, e.prev = change.Seq, change.Time.UnixMicro(), change, bytes, w.last
	e.cost, e.open, e.present = bytes+items*itemCost, items, items
	if w.last == nil {
		w.first = e
	} else {
		w.last.next = e
	}
	w.last = e
	w.bytes += e.cost
	w.entries++
	return e
}

// lose notes that one more of an entry's deliveries has no payload, and with the last
// one gives back the change's own.
func (w *window) lose(e *entry) {
	if e.present--; e.present > 0 {
		return
	}
	w.bytes -= e.cost
	w.parked++
	e.change = e.header()
}

// header is what a notice tells of a change. Where every change goes by itself none
// is told before its payload is read again, so that it needs none.
func (e *entry) header() *cdc.Change {
	for it := e.items; it != nil; it = it.sibling {
		if !it.target.limits.Events {
			h := *e.change
			h.Data, h.Before, h.Trace = nil, nil, ""
			return &h
		}
	}
	return nil
}

// regain notes that one more has its payload again. That of a Recall is another each
// time.
func (w *window) regain(e *entry, change *cdc.Change, bytes int) {
	if e.present++; e.present == 1 {
		e.cost += bytes - e.bytes
		e.bytes = bytes
		w.bytes += e.cost
		w.parked--
		e.change = change
	}
}

// settle takes a delivery off its entry, which goes with the last one.
func (w *window) settle(it *item) {
	e := it.entry
	for at := &e.items; *at != nil; at = &(*at).sibling {
		if *at == it {
			*at = it.sibling
			break
		}
	}
	w.end(e, it.target.name, !it.away)
}

// end notes that one of what an entry is made of is settled at its target; present says
// that it has its payload.
func (w *window) end(e *entry, target string, present bool) {
	if e.open--; e.open == 0 {
		if e.present > 0 {
			w.bytes -= e.cost
		} else {
			w.parked--
		}
		w.remove(e)
		return
	}
	e.done = append(e.done, target)
	if present {
		w.lose(e)
	}
}

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
	w.entries--
	release(&w.free, e)
}

// low is the Seq up to which everything is settled.
func (w *window) low() uint64 {
	if w.first != nil {
		return w.first.seq - 1
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
			end = e.next.seq - 1
		}
		if end > e.seq {
			c.Ranges = append(c.Ranges, journal.Range{First: e.seq + 1, Last: end})
		}
		if len(e.done) > 0 {
			c.Partial = append(c.Partial, journal.Part{Seq: e.seq, Targets: slices.Clone(e.done)})
		}
	}
	c.Ranges = append(c.Ranges, w.restored...)
	c.Partial = append(c.Partial, w.partial...)
	return c
}

// acquire gives a zero value from the free list, or a new one.
func acquire[T any](free *[]*T) *T {
	n := len(*free)
	if n == 0 {
		return new(T)
	}
	v := (*free)[n-1]
	*free = (*free)[:n-1]
	return v
}

// release clears v and keeps it for the next acquire. The list is as long as the most
// that were in use at once, which the window and the bound of what is parked bound.
func release[T any](free *[]*T, v *T) {
	var zero T
	*v = zero
	*free = append(*free, v)
}
