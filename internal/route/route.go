// Package route decides whether, and in what shape, a change goes to the targets
// of one destination. It does no I/O and keeps no state: the same change routed
// twice gives the same verdicts, as far as the user's functions do.
//
// # What it promises
//
// A change meets, in this order: the rule's Actions, the destination's
// ShouldReplicate, the rule's ShouldReplicate, the removal of secret fields, and
// Transform. User functions get a Change with their own top-level copies of Data
// and Before, so whatever they do to those is seen by nobody else. A panic in one
// is the record's permanent failure, like an error.
//
// A secret field reaches a delivery only if the target encrypts secrets or the
// rule names the field. Where the schema that would tell the secret fields is not
// known, nothing is sent.
//
// # What it does not
//
// Nested values are shared between all who see a change and must not be changed.
// A row that no longer passes a filter stays at the target as it is.
package route

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/s3db-go/replicator/cdc"
)

// Options are what a destination brings to its rules.
type Options struct {
	// Destination is its name, for errors.
	Destination string
	// ShouldReplicate is asked before any rule's. nil lets all through.
	ShouldReplicate func(cdc.Change) bool
	// Limits tells the nature of a target: its own key, and whether it encrypts
	// secrets. Asked for every verdict. nil gives every target the zero Limits.
	Limits func(target string) cdc.Limits
	// Schema gives the schema of a resource at the given version or a later one,
	// false if it is not known. Asked for every verdict, so it should be a look-up
	// in memory. nil means that the source has no schemas.
	Schema func(resource string, version int) (cdc.Schema, bool)
}

// Router holds the rules of one destination. Safe for concurrent use, if the
// functions in Options and rules are.
type Router struct {
	options Options
	rules   []Rule
	named   map[string]selection // by resource: the rules that name it, and those for all
	others  selection            // of a resource that no rule names
}

// selection is the part of the rules that is for one resource, in their order, and
// the operations that at least one of them wants.
type selection struct {
	rules []int
	ops   cdc.Op
}

// New makes a router of a destination's rules. It neither changes the rules nor
// keeps the slice.
func New(rules []Rule, o Options) *Router {
	if o.Limits == nil {
		o.Limits = func(string) cdc.Limits { return cdc.Limits{} }
	}
	if o.Schema == nil {
		o.Schema = func(string, int) (cdc.Schema, bool) { return cdc.Schema{}, false }
	}
	r := &Router{options: o, rules: slices.Clone(rules), named: map[string]selection{}}
	for i := range r.rules {
		if r.rules[i].Actions == 0 {
			r.rules[i].Actions = cdc.AllOps
		}
	}
	for _, rule := range r.rules {
		if rule.From != everything {
			r.named[rule.From] = r.selectFor(rule.From)
		}
	}
	r.others = r.selectFor("")
	return r
}

const (
	everything = "*"
	// internal begins the names of the resources in which plugins keep their own
	// state, the log's copy among them: carrying those unasked would feed back.
	internal = "plg_"
)

// selectFor gives the rules for a resource, "" for one that none names. A rule for
// everything yields to one that names the resource and has the same target: two
// deliveries of one change to one target would be the same delivery twice.
func (r *Router) selectFor(resource string) selection {
	var s selection
	named := func(target string) bool {
		return slices.ContainsFunc(r.rules, func(other Rule) bool { return other.From == resource && other.target(resource) == target })
	}
	for i, rule := range r.rules {
		if rule.From == resource ||
			rule.From == everything && !strings.HasPrefix(resource, internal) && !named(rule.target(resource)) {
			s.rules = append(s.rules, i)
			s.ops |= rule.Actions
		}
	}
	return s
}

func (r *Router) selection(resource string) selection {
	if s, ok := r.named[resource]; ok {
		return s
	}
	if strings.HasPrefix(resource, internal) {
		return selection{}
	}
	return r.others
}

// Wants reports whether any rule is interested in this kind of change.
func (r *Router) Wants(resource string, op cdc.Op) bool {
	return r.selection(resource).ops&op != 0
}

// Route appends to dst one verdict for every rule that wants the change by its
// resource and operation, in the order of the rules, and returns the result. The
// change is not modified; a delivery shares the parts of it that pass unchanged.
func (r *Router) Route(dst []Verdict, c *cdc.Change) []Verdict {
	s := r.selection(c.Resource)
	if s.ops&c.Op == 0 {
		return dst
	}
	skip, err := filter(r.options.ShouldReplicate, c, "the destination's ShouldReplicate", SkipDestination)
	for _, i := range s.rules {
		rule := &r.rules[i]
		if !rule.Actions.Has(c.Op) {
			continue
		}
		dst = append(dst, Verdict{Rule: i, Target: rule.target(c.Resource), Skip: skip, Err: err})
		v := &dst[len(dst)-1]
		if skip == "" && err == nil {
			v.Skip, v.Err = r.shape(v, rule, c)
		}
		if v.Err != nil {
			v.Err = cdc.Permanent(&cdc.DeliveryError{
				Destination: r.options.Destination,
				Target:      v.Target,
				Resource:    c.Resource,
				RecordID:    c.RecordID,
				Err:         v.Err,
			})
		}
	}
	return dst
}

// shape asks the rule's filter and fills in the delivery and its lanes.
func (r *Router) shape(v *Verdict, rule *Rule, c *cdc.Change) (skip string, err error) {
	skip, err = filter(rule.ShouldReplicate, c, "the route's ShouldReplicate", SkipRule)
	if skip != "" || err != nil {
		return skip, err
	}
	limits := r.options.Limits(v.Target)
	data, before := c.Data, c.Before
	if !limits.Secrets {
		schema, err := r.schema(c)
		if err != nil {
			return "", err
		}
		fields := secretFields(schema, c.SchemaVersion)
		data = withoutSecrets(data, fields, "", rule.Secrets)
		before = withoutSecrets(before, fields, "", rule.Secrets)
	}

	var record, was cdc.Record
	switch {
	case data != nil:
		record, err = transform(rule.Transform, c, data, before)
		if err != nil {
			return "", err
		}
		if record == nil {
			return SkipTransform, nil
		}
	case c.Op != cdc.Deleted:
		return "", errors.New("the change has no data")
	}
	if c.Op == cdc.Updated && before != nil {
		// A former state that can't be routed was not delivered either, so the update
		// that mends the record goes like one whose former state is not known.
		was, _ = transform(rule.Transform, c, before, nil)
	}

	columns := keyColumns(rule.Key, limits.Key, record)
	key, err := keyOf(columns, record, c.RecordID)
	if err != nil {
		return "", err
	}
	v.Lane = lane(key)
	v.Delivery = cdc.Delivery{Change: *c, Target: v.Target, Key: key, Record: record, Before: was}
	d := &v.Delivery
	d.Data, d.Change.Before = nil, nil
	if c.Op == cdc.Deleted {
		d.Record, d.Before = nil, record
	}
	if was != nil && !hasKey(was, key, c.RecordID) {
		if old, err := keyOf(columns, was, c.RecordID); err == nil {
			d.OldKey, v.OldLane = old, lane(old)
		}
	}
	return "", nil
}

// schema gives the schema that tells the secret fields of a change, the empty one
// if its source has none.
func (r *Router) schema(c *cdc.Change) (cdc.Schema, error) {
	s, ok := r.options.Schema(c.Resource, c.SchemaVersion)
	if c.SchemaVersion > 0 && (!ok || s.Version < c.SchemaVersion) {
		return cdc.Schema{}, fmt.Errorf("schema version %d is not known, so secret fields can't be told", c.SchemaVersion)
	}
	return s, nil
}

// Shape gives the schema of what a rule sends of a resource to its target, false
// if the resource's own is not known where it is needed.
//
// Without Transform it is the resource's schema, less the secrets that are not
// sent. With one it is the rule's; if that is nil, the resource's as an open schema
// (see [cdc.Schema]). Its Key holds the columns that [Rule.Key] describes, its
// Version is that of the resource's schema.
func (r *Router) Shape(resource string, rule int) (cdc.Schema, bool) {
	by := &r.rules[rule]
	limits := r.options.Limits(by.target(resource))
	source, known := r.options.Schema(resource, 0)
	out := source
	switch {
	case by.Transform != nil && by.Schema != nil:
		out = *by.Schema
		out.Version = source.Version
	case !known:
		return cdc.Schema{}, false
	default:
		if !limits.Secrets {
			out.Fields = publicFields(source.Fields, "", by.Secrets)
		}
		out.Open = source.Open || by.Transform != nil
	}
	out.Resource = resource
	if out.Key = keyColumns(by.Key, limits.Key, nil); out.Key == nil {
		out.Key = []string{idColumn}
	}
	return out, true
}
