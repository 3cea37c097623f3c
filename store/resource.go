package store

import (
	"context"
	"fmt"
	"slices"
)

// Names of the attributes that Timestamps adds.
const (
	createdAt = "createdAt"
	updatedAt = "updatedAt"
	timeRule  = "datetime|optional"
)

// Attributes maps an attribute's name to its definition: a string like
// "string|required|min:3", or Attributes (or a map[string]any) of their own.
//
// Types, with the Go type that a record holds them in:
//
//	string, email, url         string
//	secret                     string, encrypted at rest
//	number                     float64
//	number|integer             int64
//	boolean                    bool
//	datetime                   time.Time in UTC, cut to milliseconds
//	dateonly                   string like 2006-01-02
//	json                       anything; times and bytes become text
//	object                     map[string]any
//	array|items:string         []any of string
//	array|items:number         []any of float64, or of int64 with |integer
//	array, array|items:json    []any of anything
//	embedding, embedding:256   []any of float64, rounded to six decimals
//
// Modifiers are required, optional (the default), default:x, and min:n and max:n
// for the value of a number or the length of anything else, for which
// minlength:n, maxlength:n and length:n are other names.
type Attributes map[string]any

// Definition says what a resource's records look like.
type Definition struct {
	// Name of the resource. Like an id, it can't hold / \ = % or control characters.
	Name string
	// Attributes of a record besides its id.
	Attributes Attributes
	// Timestamps keeps the times of a record's insert and last write in the
	// attributes createdAt and updatedAt.
	Timestamps bool
}

// compile gives the attributes in the order of their names, those of Timestamps
// included, or a *ValidationError.
func (d Definition) compile() ([]*attribute, error) {
	var faults []Fault
	if reason := unfitID(d.Name); reason != "" {
		faults = append(faults, Fault{"", "the name of a resource " + reason})
	}
	for _, name := range []string{createdAt, updatedAt} {
		if rule, ok := d.Attributes[name]; d.Timestamps && ok && rule != timeRule {
			faults = append(faults, Fault{name, "is an attribute that timestamps define"})
		}
	}
	attrs, bad := parseAttributes("", d.declared())
	return attrs, invalid(d.Name, "", append(faults, bad...))
}

// declared gives the attributes as the catalogue holds them.
func (d Definition) declared() map[string]any {
	out := plain(d.Attributes)
	if d.Timestamps {
		out[createdAt], out[updatedAt] = timeRule, timeRule
	}
	return out
}

// plain copies attributes to the types that JSON decodes to.
func plain(attrs map[string]any) map[string]any {
	out := make(map[string]any, len(attrs))
	for name, def := range attrs {
		switch def := def.(type) {
		case Attributes:
			out[name] = plain(def)
		case map[string]any:
			out[name] = plain(def)
		default:
			out[name] = def
		}
	}
	return out
}

// Resource is a named kind of records in a store. Safe for concurrent use. Its
// methods give [ErrNoResource] while there is no resource of that name, and
// otherwise follow its present definition.
type Resource struct {
	db   *DB
	name string
}

// Name is the resource's name.
func (r *Resource) Name() string { return r.name }

// Definition gives a copy of the present definition.
func (r *Resource) Definition() (Definition, error) {
	s, err := r.db.schema(r.name)
	if err != nil {
		return Definition{}, err
	}
	return s.definition(), nil
}

// definition gives what the schema was compiled from.
func (s *schema) definition() Definition {
	def := Definition{Name: s.resource, Attributes: redeclare(s.attributes), Timestamps: s.timestamps}
	if s.timestamps {
		delete(def.Attributes, createdAt)
		delete(def.Attributes, updatedAt)
	}
	return def
}

func redeclare(attrs []*attribute) Attributes {
	out := make(Attributes, len(attrs))
	for _, a := range attrs {
		out[a.name] = a.definition
		if a.kind == kindNested {
			out[a.name] = redeclare(a.fields)
		}
	}
	return out
}

// Get gives a record, with its id, or [ErrNotFound]. The record is the caller's.
func (r *Resource) Get(ctx context.Context, id string) (Record, error) {
	s, err := r.db.schema(r.name)
	if err != nil {
		return nil, err
	}
	rec, err := r.db.read(ctx, s, id)
	if rec == nil && err == nil {
		err = recordError(r.name, id, ErrNotFound)
	}
	return rec, err
}

// Insert writes a new record and gives it as Get would. Without an id it gets one;
// a taken one is [ErrExists]. Absent attributes get their defaults; timestamps are
// set, whatever the record says.
func (r *Resource) Insert(ctx context.Context, rec Record) (Record, error) {
	return r.one(ctx, func(s *schema) (mutation, error) { return s.insert(rec) })
}

// InsertMany inserts records in one announcement. If one is not valid, or an id
// occurs twice, nothing is written, and the error tells everything. Otherwise each
// is written for itself: the result holds nil for one that failed, and the error
// joins the reasons.
func (r *Resource) InsertMany(ctx context.Context, recs []Record) ([]Record, error) {
	return r.many(ctx, len(recs), func(s *schema, i int) (mutation, error) { return s.insert(recs[i]) })
}

// Update merges patch into a record and gives the result; [ErrNotFound] if there is
// no record. Nested attributes are merged field by field, any other value is
// replaced; nil is a value, not a removal.
func (r *Resource) Update(ctx context.Context, id string, patch Record) (Record, error) {
	return r.one(ctx, func(s *schema) (mutation, error) { return s.update(id, patch) })
}

// Replace writes a whole new content for a record; [ErrNotFound] if there is none.
// Attributes that rec lacks get their defaults or go. createdAt is kept, unless rec
// gives one.
func (r *Resource) Replace(ctx context.Context, id string, rec Record) (Record, error) {
	return r.one(ctx, func(s *schema) (mutation, error) { return s.replace(id, rec) })
}

// Upsert inserts the record, or updates the one of its id.
func (r *Resource) Upsert(ctx context.Context, rec Record) (Record, error) {
	return r.one(ctx, func(s *schema) (mutation, error) { return s.upsert(rec) })
}

// Put creates or replaces a record exactly as it is given, for copies: nothing is
// filled in, and of the definition only types count, not what is required nor
// limits. The record must have an id.
func (r *Resource) Put(ctx context.Context, rec Record) error {
	_, err := r.one(ctx, func(s *schema) (mutation, error) { return s.put(rec) })
	return err
}

// Delete removes a record; [ErrNotFound] if there is none.
func (r *Resource) Delete(ctx context.Context, id string) error {
	_, err := r.one(ctx, func(s *schema) (mutation, error) { return s.delete(id) })
	return err
}

// DeleteMany removes records in one announcement. Each is removed for itself: the
// error joins the reasons of those that could not be, [ErrNotFound] among them. An
// id that occurs twice counts once.
func (r *Resource) DeleteMany(ctx context.Context, ids ...string) error {
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	_, err := r.many(ctx, len(ids), func(s *schema, i int) (mutation, error) { return s.delete(ids[i]) })
	return err
}

// writable gives the schema if records can be written under it.
func (r *Resource) writable() (*schema, error) {
	s, err := r.db.schema(r.name)
	if err == nil && s.readonly != "" {
		err = fmt.Errorf("store: %s: the resource %s", r.name, s.readonly)
	}
	return s, err
}
