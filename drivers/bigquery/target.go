package bigquery

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/schema"
)

// target is what the driver knows of one target. Safe for concurrent use.
type target struct {
	name     string
	table    tableName
	mode     Mutability
	options  Table
	location string
	rules    schema.Rules

	// turn is held, as its one element, by who looks at the table, changes it, or opens its
	// stream.
	turn chan struct{}

	mu     sync.Mutex          // guards what follows
	known  *table              // nil if not known, or not there
	stream *stream             // nil if none is open
	fields map[string]cdc.Type // what schemas said
	fitted bool                // the table has fitted since the driver was opened
	viewed bool                // its view was there, or is none of ours to make
	looked time.Time           // when it was last looked at
}

func newTarget(name string, table tableName, o Options) *target {
	options := o.Tables[name]
	return &target{
		name: name, table: table, mode: options.mutability(o), options: options, location: o.Location, rules: o.SchemaSync.rules(),
		turn: make(chan struct{}, 1), fields: map[string]cdc.Type{},
	}
}

// enter takes the turn.
func (t *target) enter(ctx context.Context) error {
	select {
	case t.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *target) leave() { <-t.turn }

// reset forgets that the table has fitted, and gives the stream, which is to be closed.
func (t *target) reset() *stream {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fitted, t.viewed = false, false
	return t.stream
}

// present gives the table as it is known.
func (t *target) present() *table {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.known
}

// see notes the table as it is, nil for none, and gives it: the one that was known, if
// nothing changed that matters for its rows.
func (t *target) see(there *table) *table {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.looked = time.Now()
	if there == nil || t.known == nil || !slices.Equal(there.primary, t.known.primary) || !reflect.DeepEqual(there.raw.Schema, t.known.raw.Schema) {
		t.known = there
	}
	return t.known
}

// key gives the primary key, nil if it is not known.
func (t *target) key() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known == nil {
		return nil
	}
	return t.known.primary
}

// due reports whether it is worth looking at the table again for columns that it lacks:
// not at every batch, where they are left out on purpose.
func (t *target) due() bool {
	const again = 10 * time.Second
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.rules.OnMismatch == schema.Error || t.rules.Strategy != schema.ValidateOnly || time.Since(t.looked) > again
}

// learn takes in the types that a schema tells.
func (t *target) learn(s cdc.Schema) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range s.Fields {
		t.fields[f.Name] = f.Type
	}
}

// wanted gives the shape that a schema asks for. Of an open one only the key can be
// told; its other columns come with the records.
func (t *target) wanted(s cdc.Schema, there *table) schema.Shape {
	shape := schema.Shape{Open: s.Open}
	for _, field := range s.Key {
		f, _ := s.Field(field)
		switch {
		case t.mode != Mutable:
			addColumn(&shape, field, typeOfKey(f.Type))
		case there != nil && field == "id" && len(s.Key) == 1 && len(there.primary) > 0 && there.fields.column(field) == nil:
			// What the route says when it says nothing. The table's own key is asked for with
			// Limits as soon as it is known.
			shape.Key = there.primary
		default:
			addColumn(&shape, field, typeOfKey(f.Type))
			shape.Key = append(shape.Key, field)
		}
	}
	if !s.Open {
		for _, f := range s.Fields {
			addColumn(&shape, f.Name, typeOf(f.Type))
		}
	}
	t.addOwn(&shape)
	return shape
}

// needs gives the shape that lets the table take what it lacks: columns, and, if there
// is no table yet, its key. To a table that is there no key is added: what is in it has
// none.
func (t *target) needs(missing lacking, there *table) schema.Shape {
	shape := schema.Shape{Open: true}
	t.mu.Lock()
	defer t.mu.Unlock()
	if there == nil {
		for _, name := range slices.Sorted(maps.Keys(missing.key)) {
			addColumn(&shape, name, typeOfKey(t.typeFor(name, missing.key[name])))
			if t.mode == Mutable {
				shape.Key = append(shape.Key, name)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(missing.columns)) {
		addColumn(&shape, name, typeOf(t.typeFor(name, missing.columns[name])))
	}
	t.addOwn(&shape)
	return shape
}

func addColumn(shape *schema.Shape, name, typ string) {
	if !has(*shape, name) {
		shape.Columns = append(shape.Columns, schema.Column{Name: name, Type: typ})
	}
}

func has(shape schema.Shape, name string) bool {
	return slices.ContainsFunc(shape.Columns, func(c schema.Column) bool { return strings.EqualFold(c.Name, name) })
}

// addOwn adds the columns that the driver writes.
func (t *target) addOwn(shape *schema.Shape) {
	if t.mode == Mutable {
		return
	}
	addColumn(shape, operationColumn, "STRING")
	addColumn(shape, timeColumn, "TIMESTAMP")
	if t.mode == Immutable {
		addColumn(shape, deletedColumn, "BOOL")
		addColumn(shape, versionColumn, "INT64")
	}
	addColumn(shape, changeColumn, "STRING")
}

// arranged gives the columns by which the table is to be divided and sorted, and that a
// shape does not have.
func (t *target) arranged(shape schema.Shape) (lacks []schema.Column) {
	if p := t.options.TimePartitioning; p != nil && p.Field != "" && !has(shape, p.Field) {
		lacks = append(lacks, schema.Column{Name: p.Field, Type: "TIMESTAMP"})
	}
	for _, name := range t.options.Clustering {
		if !has(shape, name) {
			lacks = append(lacks, schema.Column{Name: name, Type: "STRING"})
		}
	}
	return lacks
}

// typeFor gives the type for a new column: that of the field, unless its first value is
// of another, which a transform may have given it.
func (t *target) typeFor(name string, value any) cdc.Type {
	typ, ok := t.fields[name]
	if !ok {
		return typeOfValue(value)
	}
	c := newColumn(fieldOf(name, typeOf(typ)), 1)
	if _, reason := c.append(nil, value); value != nil && reason != "" {
		return typeOfValue(value)
	}
	return typ
}
