package engine

import (
	"container/heap"
	"slices"
	"time"

	"github.com/s3db-go/replicator/cdc"
)

// shape is what one rule makes of one resource.
type shape struct {
	resource string
	rule     int
	known    bool // synced or refused, at version
	version  int
	wanted   int           // newest version that a delivery had
	news     queue[reform] // to be brought to the target, in order
	due      bool
	err      error     // the target refused it
	until    time.Time // and is not asked again before
}

// reform is a schema change that the journal has.
type reform struct {
	entry   *entry
	version int
	schema  *cdc.Schema // nil if it has to be asked for
}

// reshape takes in a schema change. It is settled at a target when that has the fields, so
// that a crash before brings it again: the source may have gone on to a version without
// them, and what is asked of it then does not name them.
//
// It does not wait for the deliveries of the resource that come before it, of which some
// thousand may be loaded. That would let one record in backoff hold up all others. It is
// harmless: what a target is given is never less than the source's present schema, and a
// sync takes away nothing, so that whatever was written under an earlier version fits; a
// driver that changes types sees to that itself.
func (c *Core) reshape(r *Routed) {
	done := c.window.pass(r.Change.Seq)
	c.unsaved = true
	ways := r.Verdicts[:0]
	for _, v := range r.Verdicts {
		if c.set.Syncs && !slices.Contains(done, v.Target) {
			ways = append(ways, v)
		}
	}
	if len(ways) == 0 {
		return
	}
	e := c.window.add(r.Change, r.Bytes, len(ways))
	e.at = int64(r.Change.Version>>16) * time.Millisecond.Microseconds() // it is nobody's, and has no time but that
	e.done = done
	for _, v := range ways {
		t := c.targetOf(v.Target)
		s := t.shape(v.Rule, r.Change.Resource)
		s.news.push(reform{entry: e, version: r.Change.SchemaVersion, schema: r.Schema})
		if !s.due {
			c.demand(t, s)
		}
	}
}

// shape gives the shape of a resource by a rule. Targets have one or two, so that a search
// is quicker than a map.
func (t *target) shape(rule int, resource string) *shape {
	for _, known := range t.shapes {
		if known.rule == rule && known.resource == resource {
			return known
		}
	}
	s := &shape{resource: resource, rule: rule}
	t.shapes = append(t.shapes, s)
	return s
}

// shapeOf gives the shape that a delivery of the rule needs at the target, and puts
// it down for syncing if the target does not have it yet.
func (c *Core) shapeOf(t *target, rule int, change *cdc.Change) *shape {
	s := t.shape(rule, change.Resource)
	s.wanted = max(s.wanted, change.SchemaVersion)
	again := s.err != nil && !c.now.Before(s.until)
	if (!s.known || s.wanted > s.version || again) && !s.due {
		c.demand(t, s)
	}
	return s
}

// demand puts a shape down for syncing.
func (c *Core) demand(t *target, s *shape) {
	s.due, s.err = true, nil
	t.due.push(s)
	c.run(t)
}

// sync gives the next sync of a shape.
func (s *shape) sync(t *target, probe bool) Sync {
	a := Sync{Target: t.name, Resource: s.resource, Rule: s.rule, shape: s, wanted: s.wanted, probe: probe}
	if s.news.len() > 0 {
		a.news = new(s.news.front())
		if a.news.schema == nil {
			a.wanted = max(a.wanted, a.news.version)
		}
	}
	return a
}

// onSynced lets a target's deliveries go, or fails them if it refused the schema for
// good; any other failure is the destination's, and tried again.
func (c *Core) onSynced(e Synced) {
	t, s := c.targets[e.Sync.Target], e.Sync.shape
	t.syncing = false
	fault := cdc.FaultOf(e.Err)
	if e.Sync.probe && (e.Err == nil || fault == cdc.RecordFault) {
		// It answers, but only a delivery shows that it accepts any.
		c.breaker.passOver(c.now)
	}
	switch {
	case e.Err == nil:
		s.known, s.version = true, e.Version
		c.synced(t, e.Sync)
		c.limit(t)
	case fault == cdc.RecordFault:
		s.known, s.version = true, s.wanted
		if e.Sync.news != nil {
			s.version = max(s.version, e.Sync.news.version)
		}
		s.err, s.until = e.Err, c.now.Add(schemaRetry)
		c.synced(t, e.Sync)
		// Those that wait go once around: offer ends the ones of this shape.
		for range t.ready.len() {
			c.offer(t.ready.pop())
		}
	default:
		t.failures++
		t.waiting = true
		heap.Push(&c.timers, timer{at: c.now.Add(max(helpless(t.failures), cdc.AfterOf(e.Err))), target: t})
		c.unreach(e.Sync.probe, e.Err)
	}
	if !s.due && (s.wanted > s.version || s.news.len() > 0) {
		c.demand(t, s)
	}
	c.run(t)
}

// synced takes the shape at the front off the list, and settles the schema change that it
// brought.
func (c *Core) synced(t *target, a Sync) {
	t.due.pop().due = false
	t.failures = 0
	if a.news != nil {
		c.window.end(a.shape.news.pop().entry, t.name, true)
		c.unsaved = true
	}
}

// widened gives the present schema with the fields that a former one has beside, for
// records that were written under that.
func widened(present, former cdc.Schema) cdc.Schema {
	present.Fields = slices.Clip(present.Fields)
	for _, f := range former.Fields {
		if _, there := present.Field(f.Name); !there {
			f.Required, f.Native = false, "" // nothing that is written now has it
			present.Fields = append(present.Fields, f)
		}
	}
	return present
}
