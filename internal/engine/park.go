package engine

import (
	"cmp"
	"container/heap"
	"errors"
	"slices"

	"github.com/s3db-go/replicator/internal/route"
)

// errFickle: the user's functions must give the same for the same change.
var errFickle = errors.New("the route wanted the change, and did not when it was asked again")

// aheadMost is how many changes are read again together where each goes by itself: some
// batches' worth, so that the way back to the journal costs little. The lanes that wait
// share them: the heads of many lie closer to one another than the changes of one.
const aheadMost = 256

// wants is a heap of lanes, the one with the oldest head first: those that are read
// again together then lie close to one another in the journal.
type wants []*lane

func (w wants) Len() int { return len(w) }
func (w wants) Less(i, j int) bool {
	return w[i].queue.front().entry.seq < w[j].queue.front().entry.seq
}
func (w wants) Swap(i, j int) { w[i], w[j] = w[j], w[i] }
func (w *wants) Push(v any)   { *w = append(*w, v.(*lane)) }
func (w *wants) Pop() any {
	last := len(*w) - 1
	v := (*w)[last]
	(*w)[last] = nil
	*w = (*w)[:last]
	return v
}

// stall notes that a lane may stand still for a while. When the window is full, such
// lanes give their payloads back.
func (c *Core) stall(l *lane) {
	if l.place == nil {
		l.place = c.stalled.PushBack(l)
	}
}

func (c *Core) unstall(l *lane) {
	if l.place != nil {
		c.stalled.Remove(l.place)
		l.place = nil
	}
}

// stands reports whether a lane stands still: its head waits for a timer, for its
// payload, for another lane, for a call that does not return, or for a destination
// that refused it already.
func (c *Core) stands(l *lane) bool {
	head := l.queue.front()
	switch {
	case head.busy:
		return head.attempt != nil && c.overran(head.attempt)
	case head.parked, head.away, !head.heads():
		return true
	}
	return c.breaker.open() && head.calls > 0 && head.mark == c.accepted
}

func (c *Core) overran(a *Attempt) bool { return c.now.Sub(a.started) > c.set.Timeout }

// shed takes payloads from lanes that stand still, until a quarter of the window is
// free or there are none.
func (c *Core) shed() {
	for _, a := range c.running {
		if c.overran(a) {
			for _, it := range a.items {
				c.stall(it.lane)
			}
		}
	}
	for c.stalled.Len() > 0 && c.window.bytes > c.set.Window-c.set.Window/4 {
		l := c.stalled.Front().Value.(*lane)
		c.unstall(l)
		if !c.stands(l) {
			continue
		}
		l.away = true
		for i := 0; i < l.queue.len(); i++ {
			if it := l.queue.at(i); it.busy {
				i += it.group - 1
			} else {
				c.giveBack(it)
			}
		}
	}
}

// giveBack lets go of an item's payload; what remains is its place.
func (c *Core) giveBack(it *item) {
	if it.away {
		return
	}
	if !it.target.limits.Events {
		c.digest(it)
	}
	it.away = true
	it.lane.gone++
	release(&c.freeDeliveries, it.delivery)
	it.delivery = nil
	c.window.lose(it.entry)
}

// want asks for the payloads that an item needs to go, which heads its lanes. What is
// behind it takes no room until it has them.
func (c *Core) want(it *item) {
	for l := range it.lanes() {
		c.block(l)
	}
	if l := it.lane; !l.wanted {
		l.wanted = true
		heap.Push(&c.wanted, l)
	}
}

func (c *Core) block(l *lane) {
	l.away = true
	c.stall(l)
}

// fetch has payloads read again, as many as there is room for.
func (c *Core) fetch(room int) {
	budget := min(room, loadBytes)
	ahead := aheadMost / c.wanted.Len()
	for c.wanted.Len() > 0 && budget > 0 {
		l := heap.Pop(&c.wanted).(*lane)
		l.wanted = false
		c.returning = append(c.returning, l)
		n, parts, _ := c.complete(l, 0)
		for _, p := range parts {
			budget -= c.call(p)
		}
		for i := n; i < min(l.queue.len(), ahead) && l.target.limits.Events && budget > 0 && l.queue.at(i).errand != Recall; i++ {
			budget -= c.call(l.queue.at(i))
		}
	}
	slices.SortFunc(c.called, func(a, b *item) int { return cmp.Compare(a.entry.seq, b.entry.seq) })
	ask := Fetch{Seqs: make([]uint64, len(c.called))}
	for i, it := range c.called {
		ask.Seqs[i] = it.entry.seq
		if it.tried > 0 {
			if ask.Tried == nil {
				ask.Tried = map[uint64]uint64{}
			}
			ask.Tried[it.entry.seq] = it.tried
		}
	}
	ask.Seqs = slices.Compact(ask.Seqs)
	c.fetching = true
	c.act(ask)
}

// call puts an item down for the next fetch, and gives what it will take of the
// window.
func (c *Core) call(it *item) int {
	if !it.away {
		return 0
	}
	c.called = append(c.called, it)
	c.coming += it.entry.cost
	return it.entry.cost
}

// onFetched gives items their payload again.
func (c *Core) onFetched(e Fetched) {
	c.fetchFail = retry{}
	i := 0
	for _, it := range c.called {
		for i < len(e.Changes) && e.Changes[i].Change.Seq < it.entry.seq {
			i++
		}
		if i < len(e.Changes) && e.Changes[i].Change.Seq == it.entry.seq {
			c.fill(it, &e.Changes[i])
		}
	}
	c.returned()
}

func (c *Core) onFetchFailed(err error) {
	c.fetchFail.fail(c.now, err)
	c.returned()
}

// returned lets the lanes that waited for a fetch go on; those that got nothing ask
// again.
func (c *Core) returned() {
	lanes := c.returning
	c.returning, c.called = nil, c.called[:0]
	c.fetching, c.coming = false, 0
	for _, l := range lanes {
		c.offer(l.queue.front())
	}
}

// fill gives an item the payload that routing made of its change, once more.
func (c *Core) fill(it *item, r *Routed) {
	if it.errand == Recall && !c.recalled(it, r) {
		return
	}
	it.away = false
	it.lane.gone--
	c.window.regain(it.entry, r.Change, r.Bytes)
	it.delivery = acquire(&c.freeDeliveries)
	i := slices.IndexFunc(r.Verdicts, func(v route.Verdict) bool { return v.Target == it.target.name })
	switch {
	case i >= 0 && skipped(&r.Verdicts[i]) && it.errand != Deliver:
		it.skip = r.Verdicts[i].Skip
	case i < 0 || skipped(&r.Verdicts[i]):
		it.err = cmp.Or(it.err, errFickle)
	case r.Verdicts[i].Err != nil:
		it.err = cmp.Or(it.err, cause(r.Verdicts[i].Err))
	case it.errand == Restate:
		it.take(r.Verdicts)
	default:
		*it.delivery = r.Verdicts[i].Delivery
	}
}
