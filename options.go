package replicator

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/route"
)

// Options configure a Replicator. The zero value of every field is its default.
type Options struct {
	// Dir is the directory of the journal, the cursors and the log. It must outlive
	// the process: what is not delivered yet waits there. Created with mode 0700 if
	// missing. One process uses it at a time. Required.
	Dir string

	// Destinations to carry changes to. At least one.
	Destinations []Destination

	// Retired names destinations that were configured in a former run and are given
	// up, with the changes that still wait for them. Without it, Start refuses to
	// go on with a cursor that belongs to nobody, since it would keep the journal
	// from ever being trimmed.
	Retired []string

	// MaxRetries is how often a delivery is tried again after its first attempt
	// before it is given up; -1 means never again. Only attempts that the record
	// itself is to blame for count: an outage of the destination spends none.
	// Defaults to 3.
	MaxRetries int

	// Timeout bounds one attempt. Defaults to 30 s.
	Timeout time.Duration

	// Log says what is kept of the outcomes.
	Log LogOptions

	// Logger receives warnings when a delivery is given up or a destination goes
	// away and comes back, and a line per delivery at Debug. nil is silence.
	Logger *slog.Logger
}

// LogOptions say what is kept of the outcomes. Failed deliveries always are.
type LogOptions struct {
	// Successes keeps a row for every delivery that succeeded, too. It costs a
	// durable write per batch of outcomes.
	Successes bool
}

// Destination is a named driver with its routes.
type Destination struct {
	// Name is the destination's identity: its place in the journal is kept under
	// it, so renaming a destination makes a new one. Unique. Defaults to the
	// driver's name.
	Name string

	// Driver carries the deliveries. Each destination needs a driver of its own,
	// since it opens and closes it. Required.
	Driver Driver

	// Routes say what is wanted, in what shape and under what name. At least one.
	Routes []Route

	// ShouldReplicate is asked before any route's own; false skips the change here.
	// nil lets everything pass. See Route.ShouldReplicate for what it may do.
	ShouldReplicate func(Change) bool
}

// Route is one resource's way to one target. Its zero value, but for From, carries
// every operation of every record, unchanged, under the same name. A resource may
// have several routes at one destination if their targets differ.
//
// The functions of a route run in the destination's goroutine, never in the path of
// a write. They get a copy of the change whose top level they may alter; nested
// values are read-only. They must be quick and depend on nothing but the change:
// they run again after a restart. A panic is the record's failure.
type Route struct {
	// From is the name of a resource, or "*" for all whose names don't begin with
	// "plg_"; a route that names a resource takes the place of "*" for the same
	// target. The resource may come into being later. Required.
	From string
	// To is the name of the target: a table, a resource, a queue. Defaults to the
	// resource's name.
	To string
	// Key names the fields, after Transform, that identify a row at the target.
	// Defaults to the target's own key columns if the record has them, else to id.
	Key []string
	// Actions are the operations that are carried. Zero is all.
	Actions Op
	// ShouldReplicate filters; false skips the change. nil lets everything pass.
	ShouldReplicate func(Change) bool
	// Transform gives the record as it is to be written. A nil record without an
	// error skips the change; an error is that record's failure. For a delete it
	// gets the last known state in Data. It may be called with the state before, to
	// shape Delivery.Before. nil passes records unchanged.
	Transform func(Change) (Record, error)
	// Secrets names the secret fields that this route lets through. Without it they
	// are removed before Transform, except for destinations that encrypt them.
	Secrets []string
	// Schema is the shape that Transform gives. Without it the target's shape grows
	// from the records.
	Schema *Schema
}

// Routes gives one plain Route for each resource.
func Routes(resources ...string) []Route {
	routes := make([]Route, len(resources))
	for i, name := range resources {
		routes[i].From = name
	}
	return routes
}

const (
	defaultMaxRetries = 3
	defaultTimeout    = 30 * time.Second
)

// withDefaults gives a copy in which every field that has a default is set.
func (o Options) withDefaults() Options {
	o.MaxRetries = cmp.Or(o.MaxRetries, defaultMaxRetries)
	o.Timeout = cmp.Or(o.Timeout, defaultTimeout)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Destinations = slices.Clone(o.Destinations)
	for i := range o.Destinations {
		d := &o.Destinations[i]
		d.Routes = slices.Clone(d.Routes)
		if d.Name == "" && !missing(d.Driver) {
			d.Name = d.Driver.Name()
		}
	}
	return o
}

// validate judges the options, defaults filled in, and gives every fault at once.
func (o Options) validate() error {
	var faults []error
	add := func(format string, args ...any) { faults = append(faults, fmt.Errorf("replicator: "+format, args...)) }

	if o.Dir == "" {
		add("Dir is empty; the journal needs a directory that outlives the process")
	}
	if o.MaxRetries < -1 {
		add("MaxRetries is %d; -1 is the least and means no retry", o.MaxRetries)
	}
	if o.Timeout < 0 {
		add("Timeout is %v; it can't be negative", o.Timeout)
	}
	if len(o.Destinations) == 0 {
		add("Destinations is empty; there is nowhere to replicate to")
	}
	for i, d := range o.Destinations {
		where := fmt.Sprintf("destination %q", d.Name)
		if d.Name == "" {
			where = fmt.Sprintf("Destinations[%d]", i)
		}
		for j, other := range o.Destinations[:i] {
			if d.Name != "" && d.Name == other.Name {
				add("%s: Name is used twice, by Destinations[%d] and Destinations[%d]", where, j, i)
			}
			if !missing(d.Driver) && reflect.TypeOf(d.Driver).Comparable() && d.Driver == other.Driver {
				add("%s: Driver is shared with %q; each destination needs its own", where, other.Name)
			}
		}
		for _, err := range d.faults() {
			add("%s: %w", where, err)
		}
		if slices.Contains(o.Retired, d.Name) {
			add("%s: is configured and in Retired", where)
		}
	}
	return errors.Join(faults...)
}

func (d Destination) faults() (faults []error) {
	add := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if missing(d.Driver) {
		add("Driver is nil")
	} else if v, ok := d.Driver.(cdc.Validator); ok {
		if err := v.Validate(); err != nil {
			add("Driver: %w", err)
		}
	}
	if len(d.Routes) == 0 {
		add("Routes is empty; nothing would be replicated")
	}
	for i, r := range d.Routes {
		if r.From == "" {
			add("Routes[%d].From is empty", i)
		}
		if r.Actions&^cdc.AllOps != 0 {
			add("Routes[%d].Actions has an unknown operation: %v", i, r.Actions)
		}
		for k, field := range r.Key {
			if field == "" {
				add("Routes[%d].Key[%d] is empty", i, k)
			} else if slices.Contains(r.Key[:k], field) {
				add("Routes[%d].Key names %q twice", i, field)
			}
		}
		if r.Schema != nil && r.Transform == nil {
			add("Routes[%d].Schema is the shape that Transform gives, but Transform is nil", i)
		}
		for j, other := range d.Routes[:i] {
			if r.From != "" && r.From == other.From && cmp.Or(r.To, r.From) == cmp.Or(other.To, other.From) {
				add("Routes[%d] and Routes[%d] both carry %q to %q", j, i, r.From, cmp.Or(r.To, r.From))
			}
		}
	}
	return faults
}

// missing reports whether a driver is nil, also when it is a nil pointer in an
// interface.
func missing(d Driver) bool {
	if d == nil {
		return true
	}
	v := reflect.ValueOf(d)
	return v.Kind() == reflect.Pointer && v.IsNil()
}

// rules gives the destination's routes as the router takes them.
func (d Destination) rules() []route.Rule {
	rules := make([]route.Rule, len(d.Routes))
	for i, r := range d.Routes {
		rules[i] = route.Rule(r)
	}
	return rules
}
