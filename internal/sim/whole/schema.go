package whole

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/engine"
	"github.com/s3db-go/replicator/internal/journal"
)

var _ cdc.Describer = (*source)(nil)

// shapes is what is known of a resource's schema.
type shapes struct {
	version atomic.Int64 // in force, 0 if the resource has none

	// The world's mutex guards what follows.
	since time.Time
	noted int // the newest that the journal took
}

func (s *shapes) now() int { return int(s.version.Load()) }

// quiet is how long a version is in force at least where fields go: no write is under way for
// longer, so that what follows a version is announced while the next one names its fields.
const quiet = 10 * time.Second

// fieldOf names the field that came with a version.
func fieldOf(version int) string { return fmt.Sprint(versioned, version) }

// versioned is how the names of those fields begin.
const versioned = "since"

// schema gives a resource's schema in a version. With Drops it names the fields of that
// version and of the one before, which a write that is under way may still follow.
func (c *Config) schema(resource string, version int) cdc.Schema {
	s := cdc.Schema{Resource: resource, Version: version, Key: []string{"id"}, Fields: []cdc.Field{
		{Name: "id", Type: cdc.TypeString}, {Name: "n", Type: cdc.TypeInt}, {Name: "extra", Type: cdc.TypeInt},
		{Name: keyField, Type: cdc.TypeString}, {Name: groupField, Type: cdc.TypeInt},
	}}
	first := 1
	if c.Drops {
		first = max(version-1, 1)
	}
	for v := first; v <= version; v++ {
		s.Fields = append(s.Fields, cdc.Field{Name: fieldOf(v), Type: cdc.TypeInt})
	}
	return s
}

// Describe gives the schema that is in force.
func (s *source) Describe(ctx context.Context, resource string) (cdc.Schema, bool, error) {
	w := s.p.w
	if w.Schemas == 0 {
		return cdc.Schema{}, false, nil
	}
	r := w.draw("describe " + resource)
	if err := s.p.pause(ctx, s.latency(r.Float64())); err != nil {
		return cdc.Schema{}, false, err
	}
	// What can't be asked for when a version comes can't be asked for when it is gone.
	if !w.Drops && w.faulty(r) {
		return cdc.Schema{}, false, errStore
	}
	schema, ok, _ := w.present(resource, 0)
	return schema, ok, nil
}

// present gives a resource's schema in a version or a later one, as routes ask for it.
func (w *world) present(resource string, version int) (cdc.Schema, bool, error) {
	now := w.shapes[resource].now()
	if now < version {
		return cdc.Schema{}, false, fmt.Errorf("version %d of %s is not there yet", version, resource)
	}
	return w.schema(resource, now), now > 0, nil
}

// alter brings a new version of a resource's schema into force, and tells the recorder,
// unless there is none or the process dies before.
func (s *source) alter(resource string) {
	w := s.p.w
	r := w.draw("alter")
	w.mu.Lock()
	now := w.shapes[resource]
	if s.p.isDead || w.Drops && time.Since(now.since) < quiet {
		w.mu.Unlock()
		return
	}
	now.since = time.Now()
	version := int(now.version.Add(1))
	w.log("schema %d of %s", version, resource)
	w.mu.Unlock()
	if r.Float64() < 0.3 || s.p.pause(context.Background(), s.latency(r.Float64())) != nil {
		return // it died, or nobody told it
	}
	recorder, leave := s.Enter()
	defer leave()
	if known, ok := recorder.(cdc.SchemaRecorder); ok {
		known.SchemaChanged(context.Background(), resource, version)
	}
}

// alterAsleep changes schemas while no process runs.
func (w *world) alterAsleep(r *rand.Rand) {
	if time.Now().After(w.healthy) {
		return // as with all else that may change for the worse
	}
	for _, resource := range resources {
		if w.Schemas > 0 && w.lives > 1 && r.IntN(3) == 0 {
			w.log("schema %d of %s, while nobody runs", w.shapes[resource].version.Add(1), resource)
		}
	}
}

// follow makes a change follow the schema that is in force. The caller holds the world's
// mutex.
func (w *world) follow(c *cdc.Change) {
	c.SchemaVersion = w.shapes[c.Resource].now()
	if c.SchemaVersion > 0 && c.Op != cdc.Deleted {
		c.Data[fieldOf(c.SchemaVersion)] = int64(w.made)
	}
}

// described gives the resources whose schemas may have changed while nobody ran.
func (w *world) described() []string {
	if w.Schemas == 0 {
		return nil
	}
	return resources[:]
}

// noting is the journal as a recorder has it, which tells the checks of schemas.
type noting struct {
	journal.Journal
	w *world
}

func (n noting) AppendSchema(ctx context.Context, resource string, version int, schema *cdc.Schema) error {
	err := n.Journal.AppendSchema(ctx, resource, version, schema)
	if err == nil {
		n.w.mu.Lock()
		defer n.w.mu.Unlock()
		n.w.shapes[resource].noted = max(n.w.shapes[resource].noted, version)
	}
	return err
}

// SyncSchema takes a while and makes the columns at some moment in between, or fails with
// or without having made them.
func (d driver) SyncSchema(ctx context.Context, target string, schema cdc.Schema) error {
	r := d.w.draw(fmt.Sprint("sync ", d.place.Name, target))
	took := time.Duration(r.Int64N(int64(300 * time.Millisecond)))
	if err := d.p.pause(ctx, took); err != nil {
		return err
	}
	if err := d.down(); err != nil {
		return err
	}
	broken := d.w.faulty(r)
	if !broken || r.IntN(2) == 0 {
		if err := d.widen(target, schema); err != nil {
			return err
		}
	}
	if broken {
		return errors.New("a lock could not be had")
	}
	return d.p.pause(ctx, took)
}

// widen gives a target the fields of a schema.
func (d driver) widen(target string, schema cdc.Schema) error {
	d.w.mu.Lock()
	defer d.w.mu.Unlock()
	if d.p.isDead {
		return errDead
	}
	for _, f := range schema.Fields {
		d.columns[columnName{target, f.Name}] = true
	}
	d.w.log("%s: %s has the fields of %d", d.place.Name, target, schema.Version)
	return nil
}

type columnName struct{ target, field string }

// lacks gives a field of a record that its target was never given, "" if it has all.
func (pl *place) lacks(target string, r cdc.Record) string {
	for field := range r {
		if strings.HasPrefix(field, versioned) && !pl.columns[columnName{target, field}] {
			return field
		}
	}
	return ""
}

// targets are those that a place's routes have for a resource, as what the engine is to
// know before the first change.
func (pl *place) targets() (known []engine.Sync) {
	for _, resource := range resources {
		for _, way := range pl.router.Ways(resource) {
			known = append(known, engine.Sync{Target: way.Target, Resource: resource, Rule: way.Rule})
		}
	}
	return known
}

// checkShapes: a schema that the journal took has come to every target that was there by
// then, also where no record followed it. The caller holds the mutex.
func (pl *place) checkShapes() {
	for _, t := range pl.targets() {
		if noted := pl.w.shapes[t.Resource].noted; noted > 0 && !pl.columns[columnName{t.Target, fieldOf(noted)}] {
			pl.w.violation("%s: schema %d of %s never came to %s", pl.Name, noted, t.Resource, t.Target)
		}
	}
}

// chooseSchemas draws whether schemas change. Fields go again only where every version is
// sure to be met while it is in force, and nothing that is older is read anew.
func (c *Config) chooseSchemas(r *rand.Rand) {
	if r.Float64() > 0.25 {
		return
	}
	c.Schemas = 1 + r.IntN(6)
	for i := range c.Destinations {
		c.Destinations[i].Syncs = r.Float64() < 0.8
	}
	late := slices.ContainsFunc(c.Destinations, func(d Destination) bool { return d.Late })
	c.Drops = !late && c.Fills == 0 && c.Broken == 0 && c.Full == 0 && c.MaxBytes == 0 && c.Sync == journal.SyncAlways
}
