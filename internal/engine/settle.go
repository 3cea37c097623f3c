package engine

import "github.com/s3db-go/replicator/cdc"

// end decides how an item ended. What needs a record is settled when that is
// durable, and its lane stays closed until then; all else is settled now.
func (c *Core) end(it *item, s Status) {
	it.status = s
	if s == Failed || c.set.RecordSuccesses {
		it.busy = true
		c.ended = append(c.ended, it)
		return
	}
	c.settle(it)
}

// record asks for the outcomes that gathered while the last ones were written.
func (c *Core) record() {
	c.recorded, c.ended = c.ended, c.recorded
	c.outcomes = c.outcomes[:0]
	for _, it := range c.recorded {
		c.outcomes = append(c.outcomes, c.outcome(it, it))
		// What a failed item contains never reached the destination, not even for a
		// moment, so it fails too. It is not sent after all: a lost answer may have
		// hidden that the newer state is there already.
		for older := it.covers; older != nil && it.status == Failed; older = older.covers {
			c.outcomes = append(c.outcomes, c.outcome(it, older))
		}
	}
	c.act(Record{c.outcomes})
}

func (c *Core) outcome(it, of *item) Outcome {
	return Outcome{Status: it.status, Change: of.entry.change, Target: it.target.name, Calls: it.calls, Took: it.took, Err: it.err}
}

// onRecorded settles what is durable now. What could not be written is tried again;
// until then nothing passes it.
func (c *Core) onRecorded(err error) {
	clear(c.outcomes)
	if err != nil {
		c.recordFail.fail(c.now, err)
		c.ended = append(c.recorded, c.ended...)
		c.recorded = nil
		return
	}
	c.recordFail = retry{}
	settled := c.recorded
	c.recorded = nil
	for _, it := range settled {
		c.settle(it)
	}
	clear(settled)
	c.recorded = settled[:0]
}

// settle is the one place where a delivery ends: it is counted and told, its change
// leaves the window with its last delivery, and its lane goes on.
func (c *Core) settle(it *item) {
	c.unsaved = true
	c.settleOne(it, it, it.status)
	contained := Coalesced
	if it.status == Failed {
		contained = Failed
	}
	for older := it.covers; older != nil; {
		c.settleOne(it, older, contained)
		next := older.covers
		give(&c.freeItems, older)
		older = next
	}
	c.leave(it)
	give(&c.freeItems, it)
}

func (c *Core) settleOne(it, of *item, s Status) {
	c.counts.add(s)
	n := Notice{Kind: NoteSettled, Status: s, Change: of.entry.change, Target: it.target.name, Took: it.took, RetryCount: it.charged}
	if s == Failed {
		n.Err = c.blame(it.target, of.entry.change, it.err)
	}
	c.notify(n)
	c.release(of.entry)
}

// release takes one hold off a change, and with the last one settles it.
func (c *Core) release(e *entry) {
	if e.open--; e.open > 0 {
		return
	}
	for _, l := range e.tails {
		if l.tail == e {
			l.tail = nil
			c.drop(l)
		}
	}
	followers := e.followers
	c.window.remove(e)
	for _, f := range followers {
		c.release(f)
	}
}

// blame names the delivery that an error is about.
func (c *Core) blame(t *target, change *cdc.Change, err error) error {
	return &cdc.DeliveryError{Destination: c.set.Destination, Target: t.name, Resource: change.Resource, RecordID: change.RecordID, Err: err}
}
