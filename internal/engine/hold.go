package engine

import (
	"errors"
	"slices"
	"time"
)

// errHeld: why a delivery stands in the ledger as held.
var errHeld = errors.New("held behind an earlier change of the record that failed")

// Hold closes a lane for what comes after a change, because that stands in the ledger
// as failed. It is called before the first Step, for what former runs left.
func (c *Core) Hold(target, lane string, seq uint64) { c.targetOf(target).hold(lane, seq) }

// hold closes a lane. Only the first failure counts: what comes before it was, or will
// be, tried.
func (t *target) hold(lane string, seq uint64) {
	if first, closed := t.held[lane]; !closed || seq < first {
		t.held[lane] = seq
	}
}

// isHeld reports whether an item stands behind a failed one.
func (c *Core) isHeld(it *item) bool {
	if !c.set.Hold || it.errand != Deliver {
		return false
	}
	closed := func(l *lane) bool {
		first, closed := it.target.held[l.key]
		return closed && it.entry.seq > first
	}
	return closed(it.lane) || slices.ContainsFunc(it.others, closed)
}

// closedBehind gives the lanes of an item that are closed although it was accepted: it had
// failed in a former run, and was repeated. They are open again if no other failure is left
// of them.
func (c *Core) closedBehind(it *item) (lanes []string) {
	if !c.set.Hold || it.status != Replicated || it.errand != Deliver {
		return nil
	}
	for l := range it.lanes() {
		if _, closed := it.target.held[l.key]; closed {
			lanes = append(lanes, l.key)
		}
	}
	return lanes
}

// keepHeld closes the lanes of an item that failed.
func (c *Core) keepHeld(it *item) {
	if !c.set.Hold {
		return
	}
	for l := range it.lanes() {
		it.target.hold(l.key, it.entry.seq)
	}
}

// hopeless reports whether an item, and the newest for which it speaks, have waited too long
// for a destination that has been away for as long.
func (c *Core) hopeless(it *item) bool {
	after := c.set.GiveUpAfter
	if after == 0 || !c.breaker.open() || c.now.Sub(c.breaker.since) < after {
		return false
	}
	tip := it.lane.queue.at(c.span(it.lane, 0) - 1)
	return c.now.Sub(time.UnixMicro(tip.entry.at)) >= after
}

// despair gives up what has become hopeless while it was ready to go.
func (c *Core) despair() {
	if c.set.GiveUpAfter == 0 || !c.breaker.open() || c.now.Before(c.despairAt) {
		return
	}
	c.despairAt = c.now.Add(giveUpEvery)
	if soonest := c.breaker.since.Add(c.set.GiveUpAfter); soonest.After(c.despairAt) {
		c.despairAt = soonest
	}
	for _, t := range c.targets {
		for range t.ready.len() {
			c.offer(t.ready.pop())
		}
	}
}
