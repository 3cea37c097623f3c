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
// A secret field reaches a delivery only if the rule names it, or if the target
// encrypts secrets and no Transform, which could put it under another name, stands
// between. In a list no target encrypts it. While the schema that would tell the
// secret fields can't be asked, nothing is decided.
//
// # What it does not
//
// Nested values are shared between all who see a change and must not be changed.
// A row that no longer passes a filter stays at the target as it is, unless its rule
// says otherwise.
package route

import (
	"errors"
	"slices"
	"strings"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/panics"
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
	// false if the source has none, an error if it can't be asked now. Asked for every
	// verdict, so it should be a look-up in memory. nil means that the source has no
	// schemas.
	Schema func(resource string, version int) (cdc.Schema, bool, error)
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
		o.Schema = func(string, int) (cdc.Schema, bool, error) { return cdc.Schema{}, false, nil }
	}
	r := &Router{options: o, rules: slices.Clone(rules), named: map[string]selection{}}
	for i := range r.rules {
		if r.rules[i].Actions == 0 {
			r.rules[i].Actions = cdc.AllOps
		}
	}
	for _, rule := range r.rules {
		if rule.From != Everything {
			r.named[rule.From] = r.selectFor(rule.From)
		}
	}
	r.others = r.selectFor("")
	return r
}

const (
	// Everything is the From of a rule for all resources but those of plugins.
	Everything = "*"
	// Plugins begins the names of the resources in which plugins keep their own
	// state, the log's copy among them: carrying those unasked would feed back.
	Plugins = "plg_"
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
			rule.From == Everything && !strings.HasPrefix(resource, Plugins) && !named(rule.target(resource)) {
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
	if strings.HasPrefix(resource, Plugins) {
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
// change is not modified; a delivery shares the parts of it that pass unchanged. An
// error means that the schema, which tells the secret fields, or the limits of a target
// can't be asked now: nothing is decided then.
func (r *Router) Route(dst []Verdict, c *cdc.Change) ([]Verdict, error) {
	s := r.selection(c.Resource)
	if s.ops&c.Op == 0 {
		return dst, nil
	}
	schema, _, err := r.options.Schema(c.Resource, c.SchemaVersion)
	if err != nil {
		return dst, err
	}
	secrets := secretFields(schema, c.SchemaVersion)
	skip, err := r.admit(c)
	for _, i := range s.rules {
		rule := &r.rules[i]
		if !rule.Actions.Has(c.Op) {
			continue
		}
		dst = append(dst, Verdict{Rule: i, Target: rule.target(c.Resource), Skip: skip, Err: err})
		v := &dst[len(dst)-1]
		of := c
		if skip == "" && err == nil {
			v.Skip, v.Err = rule.admit(c)
		}
		if v.Skip != "" && v.Err == nil && rule.OnLeave == LeaveRemove {
			if gone, err := r.leaving(rule, c); gone != nil || err != nil {
				of, v.Skip, v.Err = gone, "", err
			}
		}
		if v.Skip == "" && v.Err == nil {
			limits, err := r.limits(v.Target)
			if err != nil {
				return dst, err
			}
			v.Skip, v.Err = r.shape(v, rule, of, limits, secrets)
			if of != c && v.Grouped {
				v.goesTo(rule, c)
			}
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
	return dst, nil
}

// admit asks the destination's filter.
func (r *Router) admit(c *cdc.Change) (skip string, err error) {
	return filter(r.options.ShouldReplicate, c, "the destination's ShouldReplicate", SkipDestination)
}

// admit asks the rule's filter.
func (r *Rule) admit(c *cdc.Change) (skip string, err error) {
	return filter(r.ShouldReplicate, c, "the route's ShouldReplicate", SkipRule)
}

// leaving gives the delete that takes a row away whose update did not pass, nil if the
// target does not have it or the filters don't want it to go.
func (r *Router) leaving(rule *Rule, c *cdc.Change) (*cdc.Change, error) {
	if c.Op != cdc.Updated || c.Before == nil {
		return nil, nil
	}
	was := *c
	was.Data, was.Before = c.Before, nil
	gone := was
	gone.Op = cdc.Deleted
	for _, asked := range []*cdc.Change{&was, &gone} {
		skip, err := r.admit(asked)
		if skip == "" && err == nil {
			skip, err = rule.admit(asked)
		}
		if skip != "" || err != nil {
			return nil, err
		}
	}
	return &gone, nil
}

// goesTo has the delete of what left a filter stand in the lane that its change went to,
// too: what comes next of the record stands there.
func (v *Verdict) goesTo(rule *Rule, c *cdc.Change) {
	if lane, _, key, err := rule.order(c); err == nil && key != "" && lane != v.Lane {
		v.OldLane = lane
	}
}

// limits asks the driver, whose code may panic.
func (r *Router) limits(target string) (l cdc.Limits, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = panics.Error("the driver's Limits", v)
		}
	}()
	return r.options.Limits(target), nil
}

// shape fills in the delivery and its lanes.
func (r *Router) shape(v *Verdict, rule *Rule, c *cdc.Change, limits cdc.Limits, secrets []cdc.Field) (skip string, err error) {
	var order string
	if rule.OrderBy != nil { // first, so that what fails stands where it would have gone
		v.Grouped = true
		if v.Lane, v.OldLane, order, err = rule.order(c); err != nil {
			return "", err
		}
	}
	pass := rule.pass(limits)
	data, before := pass.record(c.Data, secrets, ""), pass.record(c.Before, secrets, "")

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
	key, lane, err := keyOf(columns, record, c.RecordID)
	if err != nil {
		return "", err
	}
	if limits.Rows == cdc.RowsMerged && c.Op == cdc.Updated {
		record = withRemoved(record, was, key)
	}
	if !v.Grouped {
		v.Lane, order = lane, lane
	}
	d := &v.Delivery
	d.Change = *c
	d.Data, d.Change.Before = nil, nil
	d.Target, d.Key, d.OrderKey, d.Record, d.Before = v.Target, key, order, record, was
	if c.Op == cdc.Deleted {
		d.Record, d.Before = nil, record
	}
	if was != nil && !hasKey(was, key, c.RecordID) {
		if old, lane, err := keyOf(columns, was, c.RecordID); err == nil {
			if d.OldKey = old; !v.Grouped {
				v.OldLane = lane
			}
		}
	}
	return "", nil
}

// Shape gives the schema of what a rule sends of a resource to its target, made of the
// resource's own in the given version or a later one; false if the resource has none
// and it is needed, an error if it can't be asked now.
//
// It is what [Router.ShapeOf] makes of that.
func (r *Router) Shape(resource string, rule, version int) (cdc.Schema, bool, error) {
	source, known, err := r.options.Schema(resource, version)
	if err != nil {
		return cdc.Schema{}, false, err
	}
	source.Resource = resource
	out, err := r.ShapeOf(source, rule)
	if err != nil || !known && !r.rules[rule].shaped() {
		return cdc.Schema{}, false, err
	}
	return out, true, nil
}

// ShapeOf gives the schema of what a rule sends to its target of a resource with this
// schema; an error if the limits of the target can't be asked.
//
// Without Transform it is the resource's schema, less the secrets that are not
// sent. With one it is the rule's; if that is nil, the resource's as an open schema
// (see [cdc.Schema]). Its Key holds the columns that [Rule.Key] describes, its
// Version is that of the resource's schema.
func (r *Router) ShapeOf(source cdc.Schema, rule int) (cdc.Schema, error) {
	by := &r.rules[rule]
	limits, err := r.limits(by.target(source.Resource))
	if err != nil {
		return cdc.Schema{}, err
	}
	out := source
	if by.shaped() {
		out = *by.Schema
		out.Version = source.Version
	} else {
		out.Fields = by.pass(limits).fields(source.Fields, "", false)
		out.Open = source.Open || by.Transform != nil
	}
	out.Retired = nil
	out.Resource = source.Resource
	if out.Key = keyColumns(by.Key, limits.Key, nil); out.Key == nil {
		out.Key = []string{idColumn}
	}
	return out, nil
}

// Way is where a rule takes a resource.
type Way struct {
	Rule   int
	Target string
}

// Ways gives the rules for a resource, in their order, with their targets.
func (r *Router) Ways(resource string) []Way {
	s := r.selection(resource)
	ways := make([]Way, len(s.rules))
	for i, rule := range s.rules {
		ways[i] = Way{rule, r.rules[rule].target(resource)}
	}
	return ways
}
