package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/s3db-go/replicator/internal/schema"
)

// table is a table as the catalogue has it. Immutable.
type table struct {
	name    string // quoted and qualified
	columns []column
	index   map[string]int // by column's name
	unique  [][]string     // sets of columns that ON CONFLICT can name, the primary key first
	primary []string
	guarded bool   // has the column _version
	role    string // who asks
	closed  bool   // to the role, which may insert into no column
}

// column is a column as the catalogue has it.
type column struct {
	name      string
	declared  string // its type with all modifiers, for people
	kind      kind
	cast      string // the type that its text is cast to; "" if it needs none
	limit     int    // of characters, 0 for none
	scale     int    // digits after the point: of a numeric, -1 for any number; of a second
	precision int    // digits of a numeric in all, 0 for any number
	required  bool   // takes no null and has no default
	computed  bool
	element   *column // of an array whose elements the server would round
	special   bool    // no record's field goes there as it is: it is computed, or the driver's own
}

// catalogue is who can be asked about tables.
type catalogue interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// findTable looks a table up by its quoted name. A domain counts as the type that it is
// made of.
const findTable = `
SELECT c.oid, n.nspname, c.relname, current_user::text, NOT pg_catalog.has_any_column_privilege(c.oid, 'INSERT')
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = pg_catalog.to_regclass($1) AND c.relkind IN ('r', 'p', 'v', 'f')`

const listColumns = `
SELECT a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod), pg_catalog.format_type(a.atttypid, NULL),
	b.typname::text, b.typcategory::text, CASE t.typtype WHEN 'd' THEN t.typtypmod ELSE a.atttypmod END,
	a.attnotnull AND NOT a.atthasdef AND a.attidentity = '', a.attgenerated <> ''
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
JOIN pg_catalog.pg_type b ON b.oid = CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END
WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum`

const listUnique = `
SELECT i.indisprimary, ARRAY(
	SELECT a.attname::text
	FROM pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY k(n, place)
	JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.n
	WHERE k.place <= i.indnkeyatts
	ORDER BY k.place)
FROM pg_catalog.pg_index i
WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
ORDER BY i.indisprimary DESC, i.indexrelid`

// readTable asks for a table, nil if there is none.
func readTable(ctx context.Context, db catalogue, name tableName) (*table, error) {
	var oid uint32
	var found tableName
	t := &table{index: map[string]int{}}
	err := db.QueryRow(ctx, findTable, name.String()).Scan(&oid, &found.schema, &found.table, &t.role, &t.closed)
	if err == pgx.ErrNoRows {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	t.name = found.String()
	rows, err := db.Query(ctx, listColumns, oid)
	if err != nil {
		return nil, err
	}
	var c column
	var plain, base, category string
	var modifier int
	_, err = pgx.ForEachRow(rows, []any{&c.name, &c.declared, &plain, &base, &category, &modifier, &c.required, &c.computed}, func() error {
		c := c
		c.resolve(plain, base, category, modifier)
		c.special = c.computed || isOwn(c.name)
		t.index[c.name] = len(t.columns)
		t.columns = append(t.columns, c)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if i, ok := t.index[versionColumn]; ok {
		t.guarded = t.columns[i].kind == kindInt8
	}
	rows, err = db.Query(ctx, listUnique, oid)
	if err != nil {
		return nil, err
	}
	var primary bool
	var columns []string
	_, err = pgx.ForEachRow(rows, []any{&primary, &columns}, func() error {
		if primary {
			t.primary = columns
		}
		t.unique = append(t.unique, columns)
		columns = nil
		return nil
	})
	return t, err
}

const (
	// header is what a varchar's modifier counts beside its characters.
	header = 4
	// microseconds is how many digits of a second PostgreSQL keeps, unless told to keep less.
	microseconds = 6
)

// resolve works out how values get into the column.
func (c *column) resolve(plain, base, category string, modifier int) {
	c.scale = -1
	c.limit, c.precision = 0, 0
	c.cast, c.element = "", nil
	switch {
	case category == "A":
		c.kind, c.cast = kindArray, plain
		if base == "_bpchar" {
			c.cast = "bpchar[]" // format_type gives character[], which cuts to one character
		}
	default:
		c.kind = kindOf(base)
		switch {
		case c.kind.cast():
			c.cast = plain
		case base == "bpchar":
			c.cast = base // compared as text, no index would be used
		}
	}
	switch {
	case (base == "varchar" || base == "bpchar") && modifier > header:
		c.limit = modifier - header
	case base == "numeric" && modifier >= header:
		// The lower 11 bits are the scale, in two's complement since version 15.
		c.scale = int(uint32(modifier-header)&0x7ff^1024) - 1024
		if c.scale >= 0 { // a negative one rounds, so that the digits of what is sent tell nothing
			c.precision = (modifier - header) >> 16
		}
		c.scale = max(c.scale, 0)
	case base == "timestamp" || base == "timestamptz" || base == "time":
		if c.scale = microseconds; modifier >= 0 {
			c.scale = modifier
		}
	case category == "A" && modifier >= 0 && (base == "_numeric" || base == "_timestamp" || base == "_timestamptz" || base == "_time"):
		c.element = new(column)
		c.element.resolve("", base[1:], "", modifier)
	}
}

// column gives the column of that name, nil if there is none.
func (t *table) column(name string) *column {
	if i, ok := t.index[name]; ok {
		return &t.columns[i]
	}
	return nil
}

// declared gives the type of a column, another where there is none, or no table.
func (t *table) declared(name, other string) string {
	if t == nil || t.column(name) == nil {
		return other
	}
	return t.column(name).declared
}

// has reports whether it has all those columns.
func (t *table) has(columns []string) bool {
	return !slices.ContainsFunc(columns, func(name string) bool { return t.column(name) == nil })
}

// takes reports whether a record's field goes to the column of its name as it is.
func (t *table) takes(field string) bool {
	c := t.column(field)
	return c != nil && !c.special
}

// arbiter reports whether ON CONFLICT can name these columns.
func (t *table) arbiter(key []string) bool {
	return slices.ContainsFunc(t.unique, func(u []string) bool {
		return len(u) == len(key) && !slices.ContainsFunc(u, func(name string) bool { return !slices.Contains(key, name) })
	})
}

// otherKey says, after what is wrong with the key of a record, which one the table has; ""
// if it has none.
func (t *table) otherKey() string {
	if len(t.primary) == 0 {
		return ""
	}
	return fmt.Sprintf("; its key is (%s): records that have these fields, from a Transform if need be, are found by them", quoteAll(t.primary, ""))
}

// asTable gives the table as plans are made of it. The driver's own columns have
// their values from it.
func (t *table) asTable(filled bool) *schema.Table {
	out := &schema.Table{Unique: t.unique, Filled: filled}
	for _, c := range t.columns {
		own := isOwn(c.name)
		out.Columns = append(out.Columns, schema.Column{Name: c.name, Type: c.declared, Required: c.required && !own, Computed: c.computed})
	}
	return out
}

// filled reports whether a table holds rows.
func filled(ctx context.Context, db catalogue, t *table) (filled bool, err error) {
	err = db.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+t.name+")").Scan(&filled)
	return filled, err
}
