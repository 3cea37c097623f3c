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

	items     []*item
	target    *target
	bytes     int
	started   time.Time
	timeout   time.Duration
	accepted  uint64 // what the destination had accepted when it started
	probe     bool
	bisection *bisection // that it is a half of, else nil
}

// form takes the next batch of a target: one run per lane, or a lane's runs in order
// where the target keeps the order. It gives nil if all that was ready has to be read
// again first.
func (c *Core) form(t *target, probe bool) *Attempt {
	a := c.newAttempt(t, probe)
	most := min(t.limits.Items, c.bucket.most(c.now))
	if probe {
		most = 1 // one delivery is enough to learn whether the destination is back
	}
	for len(a.items) < most && t.ready.len() > 0 {
		it := t.ready.front()
		n, parts, complete := c.complete(it.lane, 0)
		if !complete {
			t.ready.pop()
			c.want(it)
			continue
		}
		if !a.fits(it, parts) {
			break
		}
		t.ready.pop()
		a.add(it, n, parts)
		if it.alone {
			break
		}
		for i := n; t.limits.Ordered && it.others == nil && it.errand == Deliver && i < it.lane.queue.len() && len(a.items) < most; i += n {
			next := it.lane.queue.at(i)
			if !next.follows() || c.isHeld(next) {
				break
			}
			if n, parts, complete = c.complete(it.lane, i); !complete || !a.fits(next, parts) {
				break
			}
			a.add(next, n, parts)
		}
	}
	if len(a.items) == 0 {
		c.recycle(a)
		return nil
	}
	c.attempts++
	return a
}

func (c *Core) newAttempt(t *target, probe bool) *Attempt {
	a := acquire(&c.freeAttempts)
	*a = Attempt{
		Target: t.name, target: t, started: c.now, accepted: c.accepted, probe: probe,
		timeout:    c.set.Timeout,
		Deliveries: a.Deliveries[:0], items: a.items[:0],
	}
	if own := t.limits.Timeout; own > 0 {
		a.timeout = min(a.timeout, own)
	}
	return a
}

// fits reports whether there is room in the batch for one more.
func (a *Attempt) fits(it *item, parts []*item) bool {
	return len(a.items) == 0 || !it.alone && a.bytes+size(parts) <= a.target.limits.Bytes
}

func size(parts []*item) (bytes int) {
	for _, p := range parts {
		bytes += p.entry.bytes
	}
	return bytes
}

// follows reports whether the item may go behind its predecessor in one batch.
func (it *item) follows() bool {
	return it.others == nil && it.errand == Deliver && !it.busy && !it.parked && !it.refused()
}

func (a *Attempt) add(it *item, n int, parts []*item) {
	it.hold(n, parts)
	a.put(it)
}

// put takes in an item that knows for which it speaks.
func (a *Attempt) put(it *item) {
	parts := it.parts
	if parts == nil {
		parts = []*item{it.tip}
	}
	it.attempt = a
	a.items = append(a.items, it)
	a.Deliveries = append(a.Deliveries, spoken(parts))
	a.bytes += size(parts)
}

// refusal is a failed item on which the core has not decided yet.
type refusal struct {
	item  *item
	err   error
	batch bool // the error was for several items at once
}

func (j refusal) unavailable() bool { return cdc.FaultOf(j.err) == cdc.DestinationFault }

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
	open := c.refusals[:0]
	var bad []*item
	passed := true
	var gone error
	for i, it := range a.items {
		it.attempt = nil
		err := c.answers[i]
		if cdc.IsGone(err) {
			gone = err
		}
		if err == errBehind {
			it.free()
			continue
		}
		it.calls++
		it.took = e.Took
		if err == nil {
			if !c.goOn(it) {
				c.end(it, Replicated)
			}
			continue
		}
		passed = false
		j := refusal{it, err, whole && len(a.items) > 1}
		switch c.decide(a, j) {
		case suspected:
			c.tell(j)
			bad = append(bad, it)
		case excused:
			// Once more in a crowd, and it could not be told from the others again.
			it.alone = it.alone || a.bisection != nil && !j.batch
			open = append(open, j)
		}
	}
	c.refusals = open
	switch {
	case a.bisection != nil:
		c.narrow(a.bisection, bad, passed)
	case len(bad) > 0:
		c.bisect(a.target, bad, cdc.FaultOf(e.Err))
	}
	switch {
	case gone != nil:
		c.excuse(open, a.probe, gone)
	case len(open) == 0:
		if a.probe && accepted == 0 {
			c.breaker.passOver(c.now)
		}
	case c.set.Checks && c.alone() && !slices.ContainsFunc(open, refusal.unavailable):
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
		if t.halves.len() > 0 {
			return false
		}
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

// ruling is what decide says of a failed item.
type ruling uint8

const (
	decided   ruling = iota // and done
	suspected               // it, or another of its batch, is at fault
	excused                 // the destination is
)

// decide rules about a failed item, if it is the item's own fault.
//
// An attempt is charged only if the destination accepted something else since the
// item's last one, so that there is reason to think that the item is at fault. For
// the first attempt that is since it was queued. When the driver itself says that
// the destination is unavailable, a success of before the attempt began proves
// nothing: else the first moment of every outage would cost an attempt.
func (c *Core) decide(a *Attempt, j refusal) ruling {
	it, fault := j.item, cdc.FaultOf(j.err)
	since := it.mark
	it.mark = c.accepted
	if j.batch && (fault == cdc.RecordFault || a.bisection != nil && fault == a.bisection.fault) {
		return suspected // one bad item spoils a batch in many a protocol
	}
	if fault == cdc.RecordFault {
		it.err = j.err
		c.end(it, Failed)
		return decided
	}
	if it.calls == 1 && fault == cdc.DestinationFault {
		since = max(since, a.accepted)
	}
	if c.breaker.open() || c.accepted == since || cdc.IsGone(j.err) {
		return excused
	}
	return c.charge(j)
}

// patience is how many attempts of a delivery may fail because the destination is
// unavailable, as the driver says, while others get through. A record that brings the
// destination down has to be found out some time; but a connection that breaks at every
// second attempt fails four times in a row for one record in sixteen, and for one in two
// million it fails as often as this. With the waits between them that takes some minutes.
const patience = 20

// charge counts the attempt against the item, and gives it up if it was the last.
// Given up is only what failed by itself.
func (c *Core) charge(j refusal) ruling {
	it := j.item
	switch {
	case j.unavailable() && it.missed < max(patience, c.set.Retries):
		c.again(j, probing.Delay(it.missed+1, c.set.Rand))
		it.missed++
	case !j.unavailable() && it.charged < c.set.Retries:
		c.again(j, c.set.Backoff.Delay(it.charged+1, c.set.Rand))
		it.charged++
	case j.batch:
		return suspected
	default:
		it.err = j.err
		c.end(it, Failed)
	}
	return decided
}

// excuse puts failed items back that are not to blame. While the breaker is open it
// does the waiting for them.
func (c *Core) excuse(failed []refusal, probe bool, err error) {
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
func (c *Core) again(j refusal, wait time.Duration) {
	c.tell(j)
	c.park(j.item, max(wait, cdc.AfterOf(j.err)))
}

// tell tells of a failure that another attempt follows.
func (c *Core) tell(j refusal) {
	it := j.item
	change := it.tip.entry.change
	it.last, it.lastAt = c.blame(it.target, change, j.err), c.now.UnixMicro()
	c.counts.retried++
	c.notify(Notice{
		Kind: NoteRetrying, Change: change, Target: it.target.name,
		Took: it.took, RetryCount: it.retries(), Err: it.last,
	})
}

// onChecked decides about the items that failed while there was nothing else to send.
func (c *Core) onChecked(err error) {
	failed, probe := c.checking, c.checkProbe
	c.checking = nil
	if err != nil {
		c.excuse(failed, probe, err)
		return
	}
	var bad []*item
	for _, j := range failed {
		if c.charge(j) == suspected {
			c.tell(j)
			bad = append(bad, j.item)
		}
	}
	if len(bad) > 0 {
		c.bisect(bad[0].target, bad, cdc.Transient)
	}
	if probe {
		c.breaker.passOver(c.now)
	}
}
