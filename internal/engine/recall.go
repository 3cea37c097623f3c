package engine

// recall takes in a Recall: an item that has no payload until its turn comes, and then
// carries one failure of its lane after the other. Whatever the lane had before it is in
// the ledger by then, and nothing behind it goes before it is done.
func (c *Core) recall(r *Routed) {
	done := c.window.pass(r.Change.Seq)
	v := &r.Verdicts[0]
	if len(done) > 0 {
		c.unsaved = true
		return
	}
	e := c.window.add(r.Change, r.Bytes, 1)
	it := acquire(&c.freeItems)
	it.delivery = acquire(&c.freeDeliveries)
	it.entry, it.errand, it.mark, it.grouped = e, Recall, c.accepted, true
	it.target = c.targetOf(v.Target)
	e.items = it
	it.lane = c.laneOf(it.target, v.Lane)
	it.lane.queue.push(it)
	c.giveBack(it)
	c.offer(it)
}

// recalled takes in what a Fetch gave for a Recall, and reports whether there is a
// failure left. One that is fetched again, since its payload had been given back, counts
// once.
func (c *Core) recalled(it *item, r *Routed) bool {
	if len(r.Verdicts) == 0 {
		it.spent = true
		return false
	}
	if !it.counted {
		it.counted = true
		c.counts.wanted++
	}
	v := &r.Verdicts[0]
	if v.Err == nil && v.Skip == "" && c.set.Syncs {
		it.shape = c.shapeOf(it.target, v.Rule, r.Change)
	}
	return true
}

// further settles the failure that a Recall carried, and goes on to the next. Where what
// follows a failure is held, it ends with one that failed again.
func (c *Core) further(it *item) {
	c.settleOne(it, it, it.status)
	stop := c.set.Hold && it.status == Failed
	it.free()
	it.calls, it.charged, it.took, it.mark = 0, 0, 0, c.accepted
	it.err, it.last, it.lastAt, it.skip = nil, nil, 0, ""
	it.alone, it.counted, it.shape = false, false, nil
	c.giveBack(it)
	if stop {
		it.target.hold(it.lane.key, it.entry.seq)
		c.leave(it)
		return
	}
	c.offer(it)
}

// quit ends a Recall that has left nothing: the lane is open again for what follows.
func (c *Core) quit(it *item) {
	if it.counted {
		c.counts.wanted-- // it was discarded before it went
	}
	delete(it.target.held, it.lane.key)
	c.leave(it)
}

// leave takes a Recall out of its lane.
func (c *Core) leave(it *item) {
	l := it.lane
	c.unsaved = true
	c.window.settle(it)
	l.gone--
	l.queue.pop()
	release(&c.freeItems, it)
	c.advance(l)
}
