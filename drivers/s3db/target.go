package s3db

import (
	"context"
	"errors"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/store"
)

// target is one resource of the destination.
type target struct {
	db   *store.DB
	name string
}

// sync changes the definition as the schema asks.
func (t target) sync(ctx context.Context, schema cdc.Schema) error {
	_, err := t.define(ctx, func(there store.Definition) store.Definition {
		return withSchema(there, schema)
	})
	return err
}

// put writes the record under the id, after making room in the definition for
// fields that it lacks. One of a former definition is made to fit the present one.
func (t target) put(ctx context.Context, id string, record cdc.Record, former bool) error {
	def, err := t.define(ctx, func(there store.Definition) store.Definition {
		return withValues(there, record, former)
	})
	if err != nil {
		return err
	}
	if faults := tooPrecise("", record, def.Attributes); faults != nil {
		return &store.ValidationError{Resource: t.name, RecordID: id, Faults: faults}
	}
	resource := t.db.Resource(t.name)
	if former {
		if record, err = resource.Recast(record); err != nil {
			return err
		}
	}
	return resource.Put(ctx, fit(id, record, def))
}

// delete removes the record; one that is not there is as good as removed.
func (t target) delete(ctx context.Context, id string) error {
	err := t.db.Resource(t.name).Delete(ctx, id)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrNoResource) {
		return nil
	}
	return err
}

// define makes the resource what change makes of its present definition, and gives
// that. Nothing is written if nothing changes. If something does, it changes what is
// stored by then, so that what others added meanwhile stays: another batch, or
// whoever else works with the destination.
func (t target) define(ctx context.Context, change func(store.Definition) store.Definition) (store.Definition, error) {
	there, err := t.db.Resource(t.name).Definition()
	if err != nil && !errors.Is(err, store.ErrNoResource) {
		return store.Definition{}, err
	}
	def := change(there)
	if def.Name = t.name; sameDefinition(def, there) {
		return def, nil
	}
	if _, err := t.db.ChangeResource(ctx, t.name, change); err != nil {
		return store.Definition{}, err
	}
	return t.db.Resource(t.name).Definition()
}
