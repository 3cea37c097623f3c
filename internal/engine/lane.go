package engine

import (
	"container/list"
	"iter"
	"slices"
	"time"

	"github.com/s3db-go/replicator/cdc"
)

// lane is the queue of one ordering key at one target. Only its head may go.
type lane struct {
	key    string
	target *target
	queue  queue[*item]

	// away: what enters gives its payload back at once, since the head can't go now.
	away   bool
	waits  bool          // stands in lanes.waiting
	gone   int           // items without payload
	wanted bool          // stands in Core.wanted
	place  *list.Element // in Core.stalled, nil if it is not
}

// item is one delivery on its way.
type item struct {
	delivery *cdc.Delivery // nil while away
	entry    *entry
	sibling  *item // the next delivery of the same change
	target   *target
	shape    *shape // nil if the driver syncs no schemas
	lane     *lane
	others   []*lane // further ones: of the former key, if an update changed it
	fields   uint64  // digest of the names of its fields, 0 if not known yet

	// busy: in an attempt, in a check, or with an outcome that is being recorded.
	// parked: a timer is running for it. away: its payload was given back.
	busy, parked, away bool
	deleted            bool
	grouped            bool // its lane is not that of its key
	errand             Errand
	skip               string         // why it is not wanted after all
	counted            bool           // of a Recall: a failure was fetched, and counts as wanted
	spent              bool           // of a Recall: there is nothing left to fetch
	tried              uint64         // of a Recall: the version of the last failure that it carried
	closed             []string       // of a Recall that is spent: the lanes that stay closed
	steps              []cdc.Delivery // of a Restate: what goes after the delivery
	gone               int            // of a Restate: how many of its steps have gone
	rows               []cdc.Record   // of a Restate: the keys that it deals with
	// alone: it was in a batch that was refused as a whole, so it goes by itself.
	alone bool

	// While it is busy it speaks for this many items of its lane, itself the first;
	// tip is the last of them. parts are those whose fields the delivery has, if they
	// are more than the tip.
	group   int
	tip     *item
	parts   []*item
	attempt *Attempt

	mark    uint64 // what the destination had accepted when this was last tried
	calls   int
	former  int           // calls of the steps that have gone
	charged int           // attempts that count against it
	missed  int           // those that may: the destination was unavailable, and others got through
	took    time.Duration // of the last call

	status Status
	err    error // why it failed or can't be sent
	last   error // of the last attempt
	lastAt int64 // when that failed, in microseconds since 1970
}

// heads reports whether nothing stands before the item in any of its lanes.
func (it *item) heads() bool {
	if it.lane.queue.front() != it {
		return false
	}
	for _, l := range it.others {
		if l.queue.front() != it {
			return false
		}
	}
	return true
}

// retries gives how many attempts were charged.
func (it *item) retries() int { return it.charged + it.missed }

// lanes gives all lanes of an item.
func (it *item) lanes() iter.Seq[*lane] {
	return func(yield func(*lane) bool) {
		if !yield(it.lane) {
			return
		}
		for _, l := range it.others {
			if !yield(l) {
				return
			}
		}
	}
}

// refused reports whether the item can't be sent, and fails when its turn comes.
func (it *item) refused() bool {
	return it.err != nil || it.skip != "" || it.shape != nil && it.shape.err != nil
}

// laneOf gives the lane of that key, new if need be.
func (c *Core) laneOf(t *target, key string) *lane {
	l := t.lanes.find(key)
	if l == nil {
		l = acquire(&c.freeLanes)
		l.key, l.target = key, t
		t.lanes.put(l)
	}
	return l
}

// drop forgets a lane that holds nothing any more.
func (c *Core) drop(l *lane) {
	c.unstall(l)
	l.target.lanes.drop(l)
	// The memory of its queue is worth keeping.
	slots := l.queue.slots
	release(&c.freeLanes, l)
	l.queue.slots = slots
}

// enter puts an item at the end of its lanes. An empty name is none.
func (c *Core) enter(it *item, names ...string) {
	away := it.errand == Recall // it has no payload until its turn comes
	for i, name := range names {
		if name == "" || slices.Contains(names[:i], name) {
			continue
		}
		l := c.laneOf(it.target, name)
		l.queue.push(it)
		away = away || l.away
		if it.lane == nil {
			it.lane = l
		} else {
			it.others = append(it.others, l)
		}
	}
	if away {
		c.giveBack(it)
	}
	c.offer(it)
}
