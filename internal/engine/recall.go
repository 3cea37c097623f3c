package engine

import (
	"slices"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/route"
)

// replay takes in what a Retry put into the journal: an item that stands in all of its
// lanes at once.
func (c *Core) replay(r *Routed) {
	done := c.window.pass(r.Change.Seq)
	if len(done) > 0 || len(r.Verdicts) == 0 {
		c.unsaved = true
		return
	}
	v := &r.Verdicts[0]
	it := acquire(&c.freeItems)
	it.delivery = acquire(&c.freeDeliveries)
	it.entry, it.errand, it.mark, it.grouped = c.window.add(r.Change, r.Bytes, 1), r.Kind, c.accepted, true
	it.target, it.err, it.skip = c.targetOf(v.Target), cause(v.Err), v.Skip
	it.entry.items = it
	if it.errand == Restate {
		c.counts.wanted++
		it.take(r.Verdicts)
		c.fit(it, v.Rule, r.Change)
	}
	c.enter(it, r.Lanes...)
}

// fit sees to it that the target has the shape that a replay needs.
func (c *Core) fit(it *item, rule int, change *cdc.Change) {
	if c.set.Syncs && it.err == nil && it.skip == "" {
		it.shape = c.shapeOf(it.target, rule, change)
	}
}

// take gives a restatement its steps, but for those that have gone.
func (it *item) take(steps []route.Verdict) {
	it.rows, it.steps = nil, nil
	for i := range steps {
		d := &steps[i].Delivery
		it.rows = append(it.rows, d.Key)
		switch first := min(it.gone, len(steps)-1); {
		case i == first:
			*it.delivery = *d
		case i > first:
			it.steps = append(it.steps, *d)
		}
	}
}

// goOn takes a restatement to its next step, and reports whether there is one.
func (c *Core) goOn(it *item) bool {
	if len(it.steps) == 0 {
		return false
	}
	*it.delivery, it.steps = it.steps[0], it.steps[1:]
	it.gone++
	it.former += it.calls
	it.calls, it.charged, it.missed, it.mark, it.alone = 0, 0, 0, c.accepted, false
	it.free()
	c.offer(it)
	return true
}

// recalled takes in what a Fetch gave for a Recall, and reports whether there is a
// failure left. One that is fetched again, since its payload had been given back, counts
// once.
func (c *Core) recalled(it *item, r *Routed) bool {
	if len(r.Verdicts) == 0 {
		it.spent, it.closed = true, r.Lanes
		return false
	}
	if !it.counted {
		it.counted = true
		c.counts.wanted++
	}
	if v := &r.Verdicts[0]; v.Err == nil && v.Skip == "" {
		c.fit(it, v.Rule, r.Change)
	}
	return true
}

// further settles the failure that a Recall carried, and goes on to the next.
func (c *Core) further(it *item) {
	c.settleOne(it, it, it.status)
	it.tried = it.entry.change.Version
	it.free()
	it.calls, it.charged, it.missed, it.took, it.mark = 0, 0, 0, 0, c.accepted
	it.err, it.last, it.lastAt, it.skip = nil, nil, 0, ""
	it.alone, it.counted, it.shape = false, false, nil
	c.giveBack(it)
	c.offer(it)
}

// quit ends a Recall that has left nothing that may go. Its lanes are open for what
// follows, but for those in which something failed again.
func (c *Core) quit(it *item) {
	if it.counted {
		c.counts.wanted-- // it was discarded before it went
	}
	for l := range it.lanes() {
		if slices.Contains(it.closed, l.key) {
			it.target.hold(l.key, it.entry.seq)
		} else {
			delete(it.target.held, l.key)
		}
	}
	c.unsaved = true
	c.window.settle(it)
	it.lane.gone--
	c.leave(slices.Collect(it.lanes()))
	release(&c.freeItems, it)
}
