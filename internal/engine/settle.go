package engine

import (
	"errors"

	"github.com/s3db-go/replicator/cdc"
)

// end decides how an item ended. What needs a record is settled when that is
// durable, and its lane stays closed until then; all else is settled now.
func (c *Core) end(it *item, s Status) {
	it.status = s
	// What follows one that waits for its record waits too: a lane settles in its order.
	if s == Failed || s == Held || c.set.RecordSuccesses || it.errand != Deliver || c.mayMend(it) || it.lane.queue.front() != it {
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
		// A row for each change whose fields failed with it. What these contain is in
		// their rows.
		for _, part := range it.parts {
			if part != it.tip && it.status == Failed {
				c.outcomes = append(c.outcomes, c.outcome(it, part))
			}
		}
		c.outcomes = append(c.outcomes, c.outcome(it, it.tip))
	}
	c.act(Record{c.outcomes})
}

func (c *Core) outcome(it, of *item) Outcome {
	o := Outcome{Status: it.status, Change: of.entry.change, Target: it.target.name, Calls: it.former + it.calls, Took: it.took, Err: it.err}
	o.Covers, o.Restated = !it.target.limits.Events, it.errand == Restate
	switch {
	case !o.Covers || it.status != Replicated:
	case o.Restated:
		o.Rows = it.rows
	case keyed(it.tip.delivery):
		o.Rows = rowsOf(it.tip.delivery)
	}
	o.Closed = c.closedBehind(it)
	if it.skip != "" {
		o.Err = errors.New(it.skip)
	}
	return o
}

// onRecorded settles what is durable now. What could not be written is tried again;
// until then nothing passes it.
func (c *Core) onRecorded(e Recorded) {
	for i, n := range e.Failures {
		c.failures.add(c.failureHash(c.outcomes[i].Target, c.outcomes[i].Change.RecordKey()), n)
	}
	if e.Err != nil {
		clear(c.outcomes)
		c.recordFail.fail(c.now, e.Err)
		c.ended = append(c.recorded, c.ended...)
		c.recorded = nil
		return
	}
	for i, lanes := range e.Open {
		for _, lane := range lanes {
			delete(c.targets[c.outcomes[i].Target].held, lane)
		}
	}
	clear(c.outcomes)
	c.recordFail = retry{}
	settled := c.recorded
	c.recorded = nil
	for _, it := range settled {
		c.settle(it)
	}
	clear(settled)
	c.recorded = settled[:0]
}

// settle is the one place where deliveries end: the item and those that it speaks for
// are counted and told, their changes leave the window with their last delivery, and
// the lane goes on. Those that are contained in another share its fate, whose record
// has all that they would have brought.
func (c *Core) settle(it *item) {
	if it.errand == Recall {
		c.further(it)
		return
	}
	c.unsaved = true
	l, others := it.lane, it.others
	if it.status == Failed || it.status == Held {
		c.keepHeld(it.tip)
	}
	for range it.group {
		of := l.queue.front()
		s := Coalesced
		if of == it.tip || it.status == Failed && it.made(of) {
			s = it.status
		}
		c.settleOne(it, of, s)
		c.window.settle(of)
		if of.away {
			l.gone--
		} else {
			release(&c.freeDeliveries, of.delivery)
		}
		l.queue.pop()
		if of != it {
			release(&c.freeItems, of)
		}
	}
	c.advance(l)
	c.leave(others)
	release(&c.freeItems, it)
}

// leave takes the head off lanes, one after the other: what heads several of them then is
// to become ready once.
func (c *Core) leave(lanes []*lane) {
	for _, l := range lanes {
		l.queue.pop()
		c.advance(l)
	}
}

func (c *Core) settleOne(it, of *item, s Status) {
	c.counts.add(s)
	n := Notice{Kind: NoteSettled, Status: s, Change: of.entry.change, Target: it.target.name, Took: it.took, RetryCount: it.retries()}
	switch s {
	case Failed, Held:
		n.Err = c.blame(it.target, of.entry.change, it.err)
	case Skipped:
		n.Reason = it.skip
	}
	c.notify(n)
}

// advance lets whoever heads a lane now go, or forgets the lane.
func (c *Core) advance(l *lane) {
	if l.queue.len() > 0 {
		c.offer(l.queue.front())
	} else {
		c.drop(l)
	}
}

// blame names the delivery that an error is about.
func (c *Core) blame(t *target, change *cdc.Change, err error) error {
	return &cdc.DeliveryError{Destination: c.set.Destination, Target: t.name, Resource: change.Resource, RecordID: change.RecordID, Err: err}
}
