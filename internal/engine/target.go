package engine

import (
	"fmt"
	"slices"

	"github.com/s3db-go/replicator/cdc"
)

// target is where routes end: its lanes, what is ready to go, and its schema.
type target struct {
	name   string
	limits cdc.Limits
	// limitsErr is why they could not be asked, nil if they could.
	limitsErr error
	lanes     lanes
	held      map[string]uint64 // lanes closed for what comes after this Seq
	ready     queue[*item]      // heads of lanes, in the order in which they became ready
	halves    queue[*bisection] // to be asked next
	queued    bool              // stands in Core.runnable

	shapes   []*shape
	due      queue[*shape] // to be synced before anything goes
	syncing  bool
	waiting  bool // a timer is running for the next sync
	failures int  // of syncs in a row
}

func (c *Core) targetOf(name string) *target {
	t := c.targets[name]
	if t == nil {
		t = &target{name: name, lanes: newLanes(c.seed), held: map[string]uint64{}}
		t.limits, t.limitsErr = c.set.Limits(name)
		c.targets[name] = t
	}
	return t
}

// offer lets an item go as soon as there is a place for it, if it is its turn.
func (c *Core) offer(it *item) {
	if it.busy || it.parked {
		return
	}
	if !it.heads() {
		for l := range it.lanes() {
			if l.queue.front() == it {
				c.stall(l)
			}
		}
		return
	}
	if it.spent {
		c.quit(it)
		return
	}
	if it.lane.gone > 0 {
		if _, _, complete := c.complete(it.lane, 0); !complete {
			c.want(it)
			return
		}
	}
	it.lane.away = false
	for _, l := range it.others {
		l.away = false
	}
	if it.err == nil && it.shape != nil {
		it.err = it.shape.err
	}
	switch {
	case it.err != nil:
		it.hold(1, []*item{it})
		c.end(it, Failed)
		return
	case it.skip != "":
		it.hold(1, []*item{it})
		c.end(it, Skipped)
		return
	case c.isHeld(it):
		it.err = errHeld
		it.hold(1, []*item{it})
		c.end(it, Held)
		return
	case c.hopeless(it):
		// First for whom it speaks: with an error it would be for itself, whose payload may be
		// away.
		n, parts, _ := c.complete(it.lane, 0)
		it.err = fmt.Errorf("unavailable for more than %v: %w", c.set.GiveUpAfter, c.breaker.err)
		it.hold(n, parts)
		c.end(it, Failed)
		return
	}
	it.target.ready.push(it)
	c.run(it.target)
}

// run puts a target among those that have something to start.
func (c *Core) run(t *target) {
	if !t.queued && !t.syncing && !t.waiting && (t.ready.len() > 0 || t.due.len() > 0 || t.halves.len() > 0) {
		t.queued = true
		c.runnable.push(t)
	}
}

// start starts whatever may run now, the targets taking turns.
func (c *Core) start() {
	if c.halted {
		return
	}
	if !c.opened {
		if !c.opening && c.breaker.allows(c.now) {
			c.opening, c.breaker.probing = true, true
			c.act(Open{})
		}
		return
	}
	for idle := 0; idle < c.runnable.len() && len(c.running) < c.set.Concurrency && c.breaker.allows(c.now) && c.bucket.most(c.now) > 0; {
		t := c.runnable.pop()
		t.queued = false
		started := c.startOne(t)
		c.run(t)
		if started {
			idle = 0
		} else if t.queued {
			idle++
		}
	}
}

// readyLeast is kept ready in any case: about a load of small changes, so that small batches
// don't wait for one.
const readyLeast = 512

// plenty reports whether every target has ready what all its attempts take at once. What
// would be read then lay about until its turn: out of the processor's cache, which made
// single webhooks a tenth dearer, and in the collector's way. While the breaker is open there
// is never plenty: what is ready may be all that the destination does not take, and a probe
// with what lies behind it the one that finds that out.
func (c *Core) plenty() bool {
	if c.breaker.open() {
		return false
	}
	for _, t := range c.targets {
		if t.ready.len() < max(readyLeast, t.limits.Items*t.limits.Concurrency) {
			return false
		}
	}
	return len(c.targets) > 0
}

// startOne starts one sync or one attempt at the target.
func (c *Core) startOne(t *target) bool {
	probe := c.breaker.open()
	switch {
	case t.due.len() > 0:
		t.syncing = true
		c.act(t.due.front().sync(t, probe))
	case len(c.running) < t.limits.Concurrency:
		a := c.next(t, probe)
		if a == nil {
			return false
		}
		c.bucket.spend(len(a.items))
		c.running = append(c.running, a)
		c.act(Apply{a})
	default:
		return false
	}
	c.breaker.probing = probe
	return true
}

// next gives the next attempt at a target, nil if there is none after all.
func (c *Core) next(t *target, probe bool) *Attempt {
	for t.halves.len() > 0 {
		b := t.halves.pop()
		if !probe {
			return c.half(b)
		}
		c.abandon(b)
	}
	return c.form(t, probe)
}

func (c *Core) onOpened(err error) {
	c.opening = false
	if err == nil {
		c.opened = true
		c.reach()
		for _, t := range c.targets {
			c.limit(t)
		}
		return
	}
	if c.breaker.open() {
		c.unreach(true, err)
	} else {
		c.trip(err)
	}
}

// limit asks for a target's limits again. If its key is another now, or what secrets it
// may have, what was routed before is routed once more.
func (c *Core) limit(t *target) {
	was := t.limits
	t.limits, t.limitsErr = c.set.Limits(t.name)
	if slices.Equal(was.Key, t.limits.Key) && was.Secrets == t.limits.Secrets {
		return
	}
	for l := range t.lanes.all() {
		for i := range l.queue.len() {
			if it := l.queue.at(i); !it.busy && it.lane == l {
				c.giveBack(it)
			}
		}
		c.stall(l)
	}
}

// reach and unreach tell the breaker how a call of the destination went.
func (c *Core) reach() {
	c.left = false
	if c.breaker.succeed() {
		c.notify(Notice{Kind: NoteBreakerClosed})
	}
}

func (c *Core) unreach(probe bool, err error) {
	if cdc.IsGone(err) {
		if !c.breaker.open() {
			c.trip(err)
		}
		if !c.left {
			c.left = true
			c.notify(Notice{Kind: NoteGone, Err: err})
		}
	}
	if c.breaker.fail(c.now, probe, err) {
		c.notify(Notice{Kind: NoteBreakerOpened, Err: err})
	}
}

// trip opens the breaker at once.
func (c *Core) trip(err error) {
	if c.breaker.trip(c.now, err) {
		c.notify(Notice{Kind: NoteBreakerOpened, Err: err})
	}
}
