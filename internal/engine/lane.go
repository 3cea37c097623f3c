package engine

import (
	"time"

	"github.com/s3db-go/replicator/cdc"
)

// lane is the queue of one ordering key at one target. Only its head may go.
type lane struct {
	key    string
	target *target
	queue  queue[*item]
	tail   *entry // the last change that entered, if it is shared and not settled
}

// item is one delivery on its way.
type item struct {
	delivery cdc.Delivery
	entry    *entry
	target   *target
	shape    *shape // nil if the driver syncs no schemas
	lane     *lane
	old      *lane // the lane of the former key, if an update changed it
	bytes    int
	covers   *item // the older change whose place this one took

	// busy: in an attempt, in a check, or with an outcome that is being recorded.
	// parked: a timer is running for it.
	busy, parked bool
	// alone: it was in a batch that was refused as a whole, so it goes by itself.
	alone   bool
	mark    uint64 // what the destination had accepted when this was last tried
	calls   int
	charged int
	took    time.Duration // of the last call

	status Status
	err    error // why it failed or can't be sent
}

// heads reports whether nothing stands before the item in any of its lanes.
func (it *item) heads() bool {
	return it.lane.queue.front() == it && (it.old == nil || it.old.queue.front() == it)
}

// refused reports whether the item can't be sent, and fails when its turn comes.
func (it *item) refused() bool {
	return it.err != nil || it.shape != nil && it.shape.err != nil
}

// laneOf gives the lane of that key, new if need be.
func (c *Core) laneOf(t *target, key string) *lane {
	l := t.lanes[key]
	if l == nil {
		l = take(&c.freeLanes)
		l.key, l.target = key, t
		t.lanes[key] = l
	}
	return l
}

// drop forgets a lane that holds nothing any more.
func (c *Core) drop(l *lane) {
	if l.queue.len() > 0 || l.tail != nil {
		return
	}
	delete(l.target.lanes, l.key)
	// The memory of its queue is worth keeping.
	slots := l.queue.slots
	give(&c.freeLanes, l)
	l.queue.slots = slots
}

// follow makes an entry wait with settling for the one before it in the lane, where
// that is needed.
func (l *lane) follow(e *entry) {
	if l.tail != nil && l.tail != e {
		l.tail.followers = append(l.tail.followers, e)
		e.open++
		e.shared = true
	}
}

// remember makes an entry the one that the next in the lane follows.
func (l *lane) remember(e *entry) {
	if l.tail == e {
		return
	}
	l.tail = nil
	if e.shared {
		l.tail = e
		e.tails = append(e.tails, l)
	}
}

// enter puts an item at the end of its lanes, or in the place of the one that
// waits there and is contained in it.
func (c *Core) enter(it *item, key, oldKey string) {
	t := it.target
	it.lane = c.laneOf(t, key)
	it.lane.follow(it.entry)
	if oldKey != "" && oldKey != key {
		it.old = c.laneOf(t, oldKey)
		it.old.follow(it.entry)
		it.old.remember(it.entry)
	}
	it.lane.remember(it.entry)
	if !t.limits.Events && it.lane.queue.len() > 0 {
		if last := it.lane.queue.back(); covers(it, last) {
			c.cover(last, it)
			return
		}
	}
	it.lane.queue.push(it)
	if it.old != nil {
		it.old.queue.push(it)
	}
	c.ready(it)
}

// covers reports whether a state target that has applied newer needs older no
// more. The target writes whole rows: an upsert contains another one only if it
// has each of its fields, since a transform may leave out some. A key change is
// never passed over, nor is a delete by an upsert: it may clear what the upsert
// does not write.
func covers(newer, older *item) bool {
	n, o := &newer.delivery, &older.delivery
	if older.busy || older.refused() || newer.refused() || newer.old != nil || older.old != nil ||
		n.OldKey != nil || o.OldKey != nil || !n.Key.Equal(o.Key) {
		return false
	}
	if n.Op == cdc.Deleted {
		return true
	}
	if o.Op == cdc.Deleted {
		return false
	}
	for field := range o.Record {
		if !n.Record.Has(field) {
			return false
		}
	}
	return true
}

// cover lets newer take over the place of an item that waits: its position in
// lanes and queues, its timer, its attempts. The older one settles with it.
func (c *Core) cover(place, newer *item) {
	older := take(&c.freeItems)
	older.delivery, older.entry, older.covers = place.delivery, place.entry, place.covers
	place.delivery, place.entry, place.covers = newer.delivery, newer.entry, older
	place.bytes, place.shape = newer.bytes, newer.shape
	give(&c.freeItems, newer)
}

// leave takes a settled item out of its lanes; whoever heads them now may go.
func (c *Core) leave(it *item) {
	for _, l := range [...]*lane{it.lane, it.old} {
		if l == nil {
			continue
		}
		l.queue.pop()
		if l.queue.len() > 0 {
			c.ready(l.queue.front())
		} else {
			c.drop(l)
		}
	}
}
