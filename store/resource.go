package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/s3db-go/replicator/cdc"
)

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

// Recast gives a record that was written under an earlier definition as it is read under the
// present one: a value of another type becomes one of the attribute's, as text of digits
// becomes a number, or is left out where it can't. What is not declared stays. It reads and
// writes nothing.
func (r *Resource) Recast(rec Record) (Record, error) {
	s, err := r.db.schema(r.name)
	if err != nil {
		return nil, err
	}
	normal, err := cdc.Normalize(rec)
	if err != nil {
		return nil, fmt.Errorf("store: %s: %w", r.name, err)
	}
	return recast(s.attributes, normal), nil
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
