package engine

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/s3db-go/replicator/cdc"
)

// Attempt is one call of the driver. What is exported is read-only, and valid until
// the attempt is told as Finished.
type Attempt struct {
	Target     string
	Deliveries []cdc.Delivery

	items    []*item
	target   *target
	bytes    int
	started  time.Time
	accepted uint64 // what the destination had accepted when it started
	probe    bool
}

// form takes the next batch of a target: one item per lane, or a lane's items in
// order where the target keeps the order.
func (c *Core) form(t *target, probe bool) *Attempt {
	a := c.newAttempt(t, probe)
	most := t.limits.Items
	if probe {
		most = 1 // one delivery is enough to learn whether the destination is back
	}
	for len(a.items) < most && t.ready.len() > 0 && a.takes(t.ready.front()) {
		it := t.ready.pop()
		a.add(it)
		if it.alone {
			break
		}
		for i := 1; t.limits.Ordered && it.old == nil && i < it.lane.queue.len() && len(a.items) < most; i++ {
			next := it.lane.queue.at(i)
			if !next.follows() || !a.takes(next) {
				break
			}
			a.add(next)
		}
	}
	return a
}

func (c *Core) newAttempt(t *target, probe bool) *Attempt {
	a := take(&c.freeAttempts)
	c.attempts++
	*a = Attempt{
		Target: t.name, target: t, started: c.now, accepted: c.accepted, probe: probe,
		Deliveries: a.Deliveries[:0], items: a.items[:0],
	}
	return a
}

// takes reports whether there is room in the batch for one more.
func (a *Attempt) takes(it *item) bool {
	return len(a.items) == 0 || !it.alone && a.bytes+it.bytes <= a.target.limits.Bytes
}

// follows reports whether the item may go behind its predecessor in one batch.
func (it *item) follows() bool {
	return it.old == nil && !it.busy && !it.parked && !it.refused()
}

func (a *Attempt) add(it *item) {
	it.busy = true
	a.items = append(a.items, it)
	a.Deliveries = append(a.Deliveries, it.delivery)
	a.bytes += it.bytes
}

// judgement is a failed item on which the core has not decided yet.
type judgement struct {
	item  *item
	err   error
	batch bool // the error was for several items at once
}

func (j judgement) unavailable() bool { return cdc.FaultOf(j.err) == cdc.DestinationFault }

// errBehind marks an item of an ordered batch that failed only because its
// predecessor in the lane did.
var errBehind = errors.New("engine: an earlier change of the record failed")

// finish reads the driver's answer item by item and decides what becomes of each.
func (c *Core) finish(e Finished) {
	a := e.Attempt
	i := slices.Index(c.running, a)
	c.running = slices.Delete(c.running, i, i+1)
	var whole bool
	c.answers, whole = answers(c.answers[:0], e.Err, len(a.items))
	accepted := 0
	for i, it := range a.items {
		if i > 0 && a.target.limits.Ordered && it.lane == a.items[i-1].lane && c.answers[i-1] != nil {
			c.answers[i] = errBehind
		}
		if c.answers[i] == nil {
			accepted++
		}
	}
	c.accepted += uint64(accepted)
	if accepted > 0 {
		c.reach()
	}
	open := c.judgements[:0]
	for i, it := range a.items {
		err := c.answers[i]
		if err == errBehind {
			it.busy = false
			continue
		}
		it.calls++
		it.took = e.Took
		if err == nil {
			c.end(it, Replicated)
			continue
		}
		if j := (judgement{it, err, whole && len(a.items) > 1}); !c.judge(a, j) {
			open = append(open, j)
		}
	}
	c.judgements = open
	switch {
	case len(open) == 0:
		if a.probe && accepted == 0 {
			c.breaker.judged(c.now)
		}
	case c.set.Checks && c.alone() && !slices.ContainsFunc(open, judgement.unavailable):
		c.checking = append(c.checking, open...)
		c.checkProbe = a.probe
		c.act(Check{})
	default:
		c.excuse(open, a.probe, open[0].err)
	}
	c.recycle(a)
}

// alone reports whether there is nothing else whose success could tell whose fault a
// failure is: all that is ready has failed too since the last success.
func (c *Core) alone() bool {
	if len(c.running) > 0 || len(c.checking) > 0 {
		return false
	}
	for _, t := range c.targets {
		for i := range t.ready.len() {
			if it := t.ready.at(i); it.calls == 0 || it.mark < c.accepted {
				return false
			}
		}
	}
	return true
}

// recycle keeps the attempt's memory and lets go of what it points at.
func (c *Core) recycle(a *Attempt) {
	clear(a.Deliveries)
	clear(a.items)
	c.freeAttempts = append(c.freeAttempts, a)
}

// answers appends the driver's answer for each of n deliveries to buf. whole says
// that it made no difference between them.
func answers(buf []error, err error, n int) (errs []error, whole bool) {
	if batch, ok := errors.AsType[*cdc.BatchError](err); ok {
		if len(batch.Errs) == n {
			return append(buf, batch.Errs...), false
		}
		err = fmt.Errorf("engine: the driver answered for %d deliveries of %d", len(batch.Errs), n)
	}
	for range n {
		buf = append(buf, err)
	}
	return buf, true
}

// judge decides about a failed item, if it is the item's fault. If it is the
// destination's it gives false.
//
// An attempt is charged only if the destination accepted something else since the
// item's last one, so that there is reason to think that the item is at fault. For
// the first attempt that is since it was queued. When the driver itself says that
// the destination is unavailable, a success of before the attempt began proves
// nothing: else the first moment of every outage would cost an attempt.
func (c *Core) judge(a *Attempt, j judgement) (done bool) {
	it, fault := j.item, cdc.FaultOf(j.err)
	since := it.mark
	it.mark = c.accepted
	if fault == cdc.RecordFault {
		if j.batch {
			// One bad item spoils a batch in many a protocol.
			it.alone = true
			c.again(j, 0)
			return true
		}
		it.err = j.err
		c.end(it, Failed)
		return true
	}
	if it.calls == 1 && fault == cdc.DestinationFault {
		since = max(since, a.accepted)
	}
	if c.breaker.open() || c.accepted == since {
		return false
	}
	c.charge(j)
	return true
}

// charge counts the attempt against the item, and gives it up if it was the last.
func (c *Core) charge(j judgement) {
	it := j.item
	switch {
	case it.charged < c.set.Retries:
		wait := c.set.Backoff.Delay(it.charged+1, c.set.Rand)
		c.again(j, wait)
		it.charged++
	case j.batch:
		// Given up is only what failed by itself.
		it.alone = true
		c.again(j, c.set.Backoff.Delay(it.charged, c.set.Rand))
	default:
		it.err = j.err
		c.end(it, Failed)
	}
}

// excuse puts failed items back that are not to blame. While the breaker is open it
// does the waiting for them.
func (c *Core) excuse(failed []judgement, probe bool, err error) {
	c.unreach(probe, err)
	for _, j := range failed {
		var wait time.Duration
		if !c.breaker.open() {
			wait = c.set.Backoff.Delay(j.item.charged+1, c.set.Rand)
		}
		c.again(j, wait)
	}
}

// again lets an item wait for its next attempt, as long as it was asked to.
func (c *Core) again(j judgement, wait time.Duration) {
	it := j.item
	c.counts.retried++
	c.notify(Notice{
		Kind: NoteRetrying, Change: it.entry.change, Target: it.target.name,
		Took: it.took, RetryCount: it.charged, Err: c.blame(it.target, it.entry.change, j.err),
	})
	c.park(it, max(wait, cdc.AfterOf(j.err)))
}

// onChecked decides about the items that failed while there was nothing else to send.
func (c *Core) onChecked(err error) {
	failed, probe := c.checking, c.checkProbe
	c.checking = nil
	if err != nil {
		c.excuse(failed, probe, err)
		return
	}
	for _, j := range failed {
		c.charge(j)
	}
	if probe {
		c.breaker.judged(c.now)
	}
}
