package engine

import (
	"container/heap"
	"time"
)

// timer brings an item, or a target whose schema sync failed, back at a time.
type timer struct {
	at     time.Time
	item   *item
	target *target
}

// timers is a heap, the soonest first. Nothing is ever taken out before its time.
type timers []timer

func (t timers) Len() int           { return len(t) }
func (t timers) Less(i, j int) bool { return t[i].at.Before(t[j].at) }
func (t timers) Swap(i, j int)      { t[i], t[j] = t[j], t[i] }
func (t *timers) Push(v any)        { *t = append(*t, v.(timer)) }
func (t *timers) Pop() any {
	last := len(*t) - 1
	v := (*t)[last]
	(*t)[last] = timer{}
	*t = (*t)[:last]
	return v
}

// park lets an item wait, and brings it back by way of its lane.
func (c *Core) park(it *item, wait time.Duration) {
	it.free()
	for l := range it.lanes() {
		c.stall(l)
	}
	if wait <= 0 {
		c.offer(it)
		return
	}
	it.parked = true
	it.target.lanes.wait(it.lane)
	heap.Push(&c.timers, timer{at: c.now.Add(wait), item: it})
}

// unpark brings back everything whose time has come.
func (c *Core) unpark() {
	for len(c.timers) > 0 && !c.timers[0].at.After(c.now) {
		t := heap.Pop(&c.timers).(timer)
		if t.item != nil {
			t.item.parked = false
			t.item.target.lanes.wake(t.item.lane)
			c.offer(t.item)
		} else {
			t.target.waiting = false
			c.run(t.target)
		}
	}
}
