package postgres

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/schema"
)

// target is what the driver knows of one target. Safe for concurrent use.
type target struct {
	name    string
	table   tableName
	mode    Mode
	guarded bool // a table that is made gets the column _version
	snake   bool
	rules   schema.Rules

	// turn is held, as its one element, by who looks at the table or changes it.
	turn chan struct{}

	mu      sync.Mutex          // guards what follows
	known   *table              // nil if not known, or not there
	fields  map[string]cdc.Type // what schemas said, by the column
	names   map[string]string   // field → column
	columns map[string]string   // column → field
	fitted  bool                // the table has fitted since the driver was opened
	looked  time.Time           // when it was last looked at
	forms   map[string]*form    // of known, by what their rows have
	met     time.Time           // when a row was last there that should not have been
}

func newTarget(name string, table tableName, o Options) *target {
	return &target{
		name: name, table: table, mode: o.Tables[name].Mode, guarded: !o.Unguarded, snake: o.SnakeCase, rules: o.SchemaSync.rules(),
		turn: make(chan struct{}, 1), fields: map[string]cdc.Type{}, names: map[string]string{}, columns: map[string]string{},
	}
}

// begin forgets that the table has fitted.
func (t *target) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fitted = false
}

// present gives the table as it is known.
func (t *target) present() *table {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.known
}

// form gives what rows with that sign are sent as, which make makes if it is not known.
// Records that lack now this and now that field make one for each set of columns.
func (t *target) form(of *table, sign []byte, make func() *form) *form {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.forms[string(sign)]
	if f != nil && f.shape.table == of {
		return f
	}
	if t.forms == nil || len(t.forms) >= maxPrepared {
		t.forms = map[string]*form{}
	}
	f = make()
	t.forms[string(sign)] = f
	return f
}

// trusting reports whether new records may be taken for rows that are not there yet,
// which is not so while a time repeats itself: after a crash, or when the destination is
// sent what it had before.
func (t *target) trusting() bool {
	const again = time.Minute
	t.mu.Lock()
	defer t.mu.Unlock()
	return time.Since(t.met) > again
}

// meet notes that a row was there already.
func (t *target) meet() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.met = time.Now()
}

// key gives the primary key in terms of fields, nil if it is not known.
func (t *target) key() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known == nil {
		return nil
	}
	var fields []string
	for _, column := range t.known.primary {
		fields = append(fields, cmp.Or(t.columns[column], column))
	}
	return fields
}

// column gives the name of a field's column.
func (t *target) column(field string) string {
	if !t.snake {
		return field
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.columnOf(field)
}

// columnOf does it under mu.
func (t *target) columnOf(field string) string {
	if !t.snake {
		return field
	}
	name, ok := t.names[field]
	if !ok {
		name = schema.Snake(field)
		t.names[field] = name
		if t.columns[name] == "" {
			t.columns[name] = field
		}
	}
	return name
}

// learn takes in the types that a schema tells.
func (t *target) learn(s cdc.Schema) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range s.Fields {
		t.fields[t.columnOf(f.Name)] = f.Type
	}
}

// wanted gives the shape that a schema asks for. Of an open one only the key can be
// told; its other columns come with the records.
func (t *target) wanted(s cdc.Schema, there *table) schema.Shape {
	shape := schema.Shape{Open: s.Open}
	add := func(name, typ string) {
		if !slices.ContainsFunc(shape.Columns, func(c schema.Column) bool { return c.Name == name }) {
			shape.Columns = append(shape.Columns, schema.Column{Name: name, Type: typ})
		}
	}
	if t.mode == Append {
		shape.Columns = ownColumns()
		if there == nil {
			shape.Key = []string{changeColumn}
		}
	}
	for _, field := range s.Key {
		name := t.column(field)
		f, _ := s.Field(field)
		typ := typeOf(f.Type)
		if f.Type == cdc.TypeAny {
			typ = there.declared(name, "text") // ids are text, but may be those of numbers
		}
		switch {
		case t.mode == Append:
			add(name, typ)
		case there != nil && field == "id" && len(s.Key) == 1 && len(there.primary) > 0 && there.column(name) == nil:
			// What the route says when it says nothing. The table's own key is asked for with
			// Limits as soon as it is known.
			shape.Key = there.primary
		default:
			add(name, typ)
			shape.Key = append(shape.Key, name)
		}
	}
	if !s.Open {
		for _, f := range s.Fields {
			add(t.column(f.Name), typeOf(f.Type))
		}
	}
	if t.mode == Upsert && t.guarded && there == nil {
		add(versionColumn, "bigint")
	}
	return shape
}

// ownColumns are those that every row of the mode Append has.
func ownColumns() []schema.Column {
	return []schema.Column{
		{Name: changeColumn, Type: "uuid"}, {Name: operationColumn, Type: "text"},
		{Name: versionColumn, Type: "bigint"}, {Name: timeColumn, Type: "timestamp with time zone"},
	}
}

// needs gives the shape that lets the table take what it lacks: columns, and, if there
// is no table yet, its key. To a table that is there no key is added: that it has none is
// a mismatch.
func (t *target) needs(missing lacking, there *table) schema.Shape {
	shape := schema.Shape{Open: true}
	t.mu.Lock()
	defer t.mu.Unlock()
	add := func(columns map[string]any) {
		for _, name := range slices.Sorted(maps.Keys(columns)) {
			if !slices.ContainsFunc(shape.Columns, func(c schema.Column) bool { return c.Name == name }) {
				shape.Columns = append(shape.Columns, schema.Column{Name: name, Type: there.declared(name, t.typeFor(name, columns[name]))})
			}
		}
	}
	switch {
	case there == nil && t.mode == Append:
		shape.Columns, shape.Key = ownColumns(), []string{changeColumn}
	case there == nil:
		shape.Key = slices.Sorted(maps.Keys(missing.key))
		add(missing.key)
	case t.mode == Upsert && there.has(slices.Collect(maps.Keys(missing.key))):
		shape.Key = slices.Sorted(maps.Keys(missing.key))
		add(missing.key)
	}
	add(missing.columns)
	if there == nil && t.mode == Upsert && t.guarded {
		shape.Columns = append(shape.Columns, schema.Column{Name: versionColumn, Type: "bigint"})
	}
	return shape
}

// typeFor gives the type for a new column: that of the field, unless its first value
// is of another, which a transform may have given it.
func (t *target) typeFor(name string, value any) string {
	if typ, ok := t.fields[name]; ok {
		c := newColumn(typeOf(typ))
		if _, reason := c.append(nil, value); reason == "" {
			return typeOf(typ)
		}
	}
	return typeOfValue(value)
}

// newColumn gives a column that is made with one of the types that typeOf gives.
func newColumn(typ string) *column {
	base, ok := map[string]string{
		"bigint": "int8", "boolean": "bool", "double precision": "float8", "timestamp with time zone": "timestamptz",
	}[typ]
	if !ok {
		base = typ
	}
	c := new(column)
	c.resolve(typ, base, "", -1)
	return c
}

// typeOfValue gives the type for a column of which only a value is known.
func typeOfValue(v any) string {
	switch v.(type) {
	case string:
		return typeOf(cdc.TypeString)
	case bool:
		return typeOf(cdc.TypeBool)
	case int64:
		return typeOf(cdc.TypeInt)
	case float64:
		return typeOf(cdc.TypeFloat)
	case cdc.Decimal:
		return typeOf(cdc.TypeDecimal)
	case []byte:
		return typeOf(cdc.TypeBytes)
	case time.Time:
		return typeOf(cdc.TypeTime)
	}
	return typeOf(cdc.TypeAny)
}
