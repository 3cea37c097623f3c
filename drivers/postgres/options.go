package postgres

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/s3db-go/replicator/internal/schema"
)

// Options say which database is written to, and how. One of ConnectionString and Pool
// is required.
type Options struct {
	// ConnectionString names the database as pgx has it: a URL or key=value pairs, with
	// several hosts, TLS and the pool's settings (pool_max_conns) if wanted. It is never
	// shown in errors.
	ConnectionString string
	// Pool is the caller's own. It is not closed.
	Pool *pgxpool.Pool

	// Tables holds what is particular to single targets, by the name of the target.
	Tables map[string]Table

	// SchemaSync says what may be done to tables that don't fit.
	SchemaSync SchemaSync
	// SnakeCase writes the field createdAt to the column created_at. Two fields that
	// become one column are the record's failure. By default columns have the fields'
	// names.
	SnakeCase bool
	// Unguarded creates tables without the column _version. It keeps what is older than
	// the row from being written over it, as a request may be that was lost on the way
	// and found again. A table that has the column is guarded in any case.
	Unguarded bool

	// Logger gets a warning when a table does not fit and SchemaSync.OnMismatch is Warn,
	// and a line for every statement that makes a schema or makes or changes a table. nil is
	// silence.
	Logger *slog.Logger
}

// Table is what is particular to one target.
type Table struct {
	// Mode says what a row stands for. Defaults to Upsert.
	Mode Mode
}

// Mode says what a row of a table stands for.
type Mode uint8

// The modes.
const (
	// Upsert: a record, as it is now. Deleting it deletes the row.
	Upsert Mode = iota
	// Append: a change. The row holds the record after it, or as it was before a delete,
	// and the columns _change_id, _operation (inserted, updated, deleted), _version and
	// _time. What arrives twice is there once if _change_id is unique, as it is in a
	// table that the driver created.
	Append
)

// SchemaSync says what may be done to tables that don't fit. The zero value creates
// tables, adds columns, and lets what does not fit otherwise be an error.
type SchemaSync struct {
	Strategy   Strategy
	OnMismatch OnMismatch
	// DropRows lets DropCreate drop a table with rows in it, and all that depends on it
	// with it. Default false: such a table is a mismatch.
	DropRows bool
}

// Strategy says what may be done to a table.
type Strategy uint8

// The strategies.
const (
	// Alter creates tables, and the schema that a target's name has in front, and adds
	// columns.
	Alter Strategy = iota
	// DropCreate creates tables, and creates anew the ones that don't fit.
	DropCreate
	// ValidateOnly changes nothing.
	ValidateOnly
)

// OnMismatch says what becomes of a table that does not fit after the strategy did what
// it may.
type OnMismatch uint8

// The ways to take a mismatch.
const (
	// Error: nothing is written to it. At Start that is an error; later the deliveries
	// wait until somebody mends the table.
	Error OnMismatch = iota
	// Warn: records are written as far as they fit, fields without a column are left
	// out, and a warning says so.
	Warn
	// Ignore is Warn without the warning.
	Ignore
)

// validate reports all faults, without I/O.
func (o Options) validate() error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf("postgres: "+format, args...)) }
	switch {
	case o.Pool != nil && o.ConnectionString != "":
		add("ConnectionString and Pool are both set; only one can be written to")
	case o.Pool == nil && o.ConnectionString == "":
		add("ConnectionString is empty (is an environment variable not set?), and there is no Pool")
	case o.Pool == nil:
		if _, err := pgxpool.ParseConfig(o.ConnectionString); err != nil {
			// What is wrong with it may be that the password holds a character of the syntax:
			// an error that quotes any of it would quote that.
			add("ConnectionString can't be read: want postgres://user:password@host:5432/database?sslmode=verify-full, with characters such as @ and / in the password written as %%40 and %%2F, or host=… user=… dbname=…")
		}
	}
	for _, target := range slices.Sorted(maps.Keys(o.Tables)) {
		if _, err := parseName(target); err != nil {
			add("Tables[%q]: %w", target, err)
		}
		if m := o.Tables[target].Mode; m > Append {
			add("Tables[%q].Mode is %d; there are Upsert and Append", target, m)
		}
	}
	s := o.SchemaSync
	if s.Strategy > ValidateOnly {
		add("SchemaSync.Strategy is %d; there are Alter, DropCreate and ValidateOnly", s.Strategy)
	}
	if s.OnMismatch > Ignore {
		add("SchemaSync.OnMismatch is %d; there are Error, Warn and Ignore", s.OnMismatch)
	}
	if s.DropRows && s.Strategy != DropCreate {
		add("SchemaSync.DropRows has no effect unless Strategy is DropCreate")
	}
	return errors.Join(errs...)
}

// rules gives the choice as the plan takes it.
func (s SchemaSync) rules() schema.Rules {
	return schema.Rules{
		Strategy: schema.Strategy(s.Strategy), OnMismatch: schema.OnMismatch(s.OnMismatch), DropRows: s.DropRows, Fits: fits,
	}
}
