package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/schema"
)

// lockWait bounds how long a change of a table waits for those who use it: all who
// come after it wait too.
const lockWait = 5 * time.Second

// SyncSchema makes the table able to take records of the schema, as far as
// [Options.SchemaSync] lets it. A table that does not fit, or that the role may not
// change, is a permanent error with the statements to run by hand; if it fitted before,
// the destination waits until somebody ran them.
//
// A column fits if it takes what a field of the type is likely to have, as a timestamp
// takes the text of a time, and an integer no text; a value that it does not take is that
// record's failure. Of an open schema, as a Transform without Route.Schema has it, only
// the key is checked, and only its type if the schema has that. Of the role's privileges it
// is INSERT.
func (d *Driver) SyncSchema(ctx context.Context, name string, s cdc.Schema) error {
	pool, err := d.present()
	if err != nil {
		return err
	}
	t, err := d.target(name)
	if err != nil {
		return err
	}
	t.learn(s)
	_, err = d.fit(ctx, pool, t, t.rules, func(there *table) schema.Shape { return t.wanted(s, there) })
	if err == nil {
		return nil
	}
	err = fmt.Errorf("postgres: define %s: %w", name, err)
	unfit, ok := errors.AsType[*unfitError](err)
	if !ok {
		return err
	}
	if s.Open && len(unfit.statements) > 0 {
		err = fmt.Errorf("%w; what else its records need is not known before them, unless Route.Schema tells", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fitted {
		return cdc.Unavailable(err)
	}
	return cdc.Permanent(err)
}

// Plan gives the statements that SyncSchema would run now, in their order. If the table
// would not fit even then, the error says in what.
func (d *Driver) Plan(ctx context.Context, name string, s cdc.Schema) ([]string, error) {
	pool, err := d.present()
	if err != nil {
		return nil, err
	}
	t, err := d.target(name)
	if err != nil {
		return nil, err
	}
	there, err := readTable(ctx, pool, t.table)
	if err == nil {
		t.learn(s)
		var plan schema.Plan
		if plan, err = d.plan(ctx, pool, t, t.rules, there, t.wanted(s, there)); err == nil {
			return t.statements(there, plan.Steps), plan.Err()
		}
	}
	return nil, fmt.Errorf("postgres: plan %s: %w", name, judge(ctx, err))
}

// unfitError is that of a table that does not fit, or may not be made to.
type unfitError struct {
	err        error
	statements []string // that would mend it, or some of it
}

func (e *unfitError) Error() string {
	text := strings.ReplaceAll(e.err.Error(), "\n", "; ")
	if len(e.statements) == 0 {
		return text
	}
	return text + "; to be run: " + strings.Join(e.statements, "; ")
}

func (e *unfitError) Unwrap() error { return e.err }

// fit brings the table to what is wanted, and gives it as it is then, nil if there is
// none. wanted is asked again when the table turned out to be another.
func (d *Driver) fit(ctx context.Context, pool *pgxpool.Pool, t *target, rules schema.Rules, wanted func(there *table) schema.Shape) (*table, error) {
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	// Whoever else does the same at the same time makes a statement fail once, or a few
	// times if there are many.
	const tries = 5
	for range tries {
		there, err := readTable(ctx, pool, t.table)
		if err != nil {
			return nil, judge(ctx, err)
		}
		plan, err := d.plan(ctx, pool, t, rules, there, wanted(there))
		if err != nil {
			return nil, judge(ctx, err)
		}
		if len(plan.Steps) == 0 {
			t.see(there)
			return there, d.judgeFit(t, rules, there, plan)
		}
		statements := t.statements(there, plan.Steps)
		if len(plan.Mismatches) > 0 && rules.OnMismatch == schema.Error {
			return there, &unfitError{err: plan.Err()} // half of a change helps nobody
		}
		err = d.run(ctx, pool, statements)
		pg, _ := errors.AsType[*pgconn.PgError](err)
		switch {
		case err == nil:
			for _, statement := range statements {
				d.logger.Info("postgres: table changed", "target", t.name, "statement", statement)
			}
		case pg != nil && slices.Contains([]string{"42P07", "42701", "42P06", "42710", "23505", "42P01"}, pg.Code):
			// Somebody was first.
		case pg != nil && pg.Code == "42501":
			return there, &unfitError{errors.New("the role may not change it: " + describe(pg)), statements}
		default:
			return nil, judge(ctx, err)
		}
	}
	return nil, errors.New("others keep changing the table")
}

// see notes the table as it is, nil for none.
func (t *target) see(there *table) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.known, t.looked = there, time.Now()
}

// judgeFit takes the mismatches as the rules say. No rule writes where the role may not.
func (d *Driver) judgeFit(t *target, rules schema.Rules, there *table, plan schema.Plan) error {
	if there != nil && there.closed {
		return &unfitError{fmt.Errorf("the role %q may not insert into it", there.role), []string{
			fmt.Sprintf("GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO %s", there.name, quote(there.role)),
		}}
	}
	if len(plan.Mismatches) > 0 {
		err := &unfitError{plan.Err(), t.statements(there, plan.Missing)}
		switch {
		case rules.OnMismatch == schema.Error:
			return err
		case rules.OnMismatch == schema.Warn:
			d.logger.Warn("postgres: table does not fit", "target", t.name, "reason", err.Error())
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.fitted && t.mode == Upsert && there != nil && !there.guarded {
		d.logger.Info("postgres: the table has no bigint column "+versionColumn+": a request that was lost on the way and arrives late is written over what is newer", "target", t.name)
	}
	t.fitted = true
	return nil
}

// plan computes what to do. Whether the table holds rows is only asked where it
// matters.
func (d *Driver) plan(ctx context.Context, db catalogue, t *target, rules schema.Rules, there *table, wanted schema.Shape) (schema.Plan, error) {
	if there == nil {
		return schema.Compute(nil, wanted, rules), nil
	}
	holds := true
	if rules.Strategy == schema.DropCreate {
		var err error
		if holds, err = filled(ctx, db, there); err != nil {
			return schema.Plan{}, err
		}
	}
	plan := schema.Compute(there.asTable(holds), wanted, rules)
	for i, m := range plan.Mismatches {
		if m.Column == "" && len(wanted.Key) > 0 && !there.arbiter(wanted.Key) {
			plan.Mismatches[i].Reason += there.otherKey()
			break // the first is that of the key
		}
	}
	return plan, nil
}

// run carries out statements, all or none.
func (d *Driver) run(ctx context.Context, pool *pgxpool.Pool, statements []string) error {
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		wait := fmt.Sprintf("SET LOCAL lock_timeout = %d", lockWait.Milliseconds())
		for _, statement := range append([]string{wait}, statements...) {
			if _, err := tx.Exec(ctx, statement, pgx.QueryExecModeSimpleProtocol); err != nil {
				return err
			}
		}
		return nil
	})
}

// statements gives the steps in SQL.
func (t *target) statements(there *table, steps []schema.Step) (out []string) {
	name := t.table.String()
	if there != nil {
		name = there.name
	}
	for _, step := range steps {
		switch step.Action {
		case schema.Create:
			if t.table.schema != "" {
				out = append(out, fmt.Sprintf("CREATE SCHEMA IF NOT EXISTS %s", quote(t.table.schema)))
			}
			columns := step.Columns
			if there != nil && t.mode == Upsert && t.guarded {
				columns = append(slices.Clip(columns), schema.Column{Name: versionColumn, Type: "bigint"})
			}
			key := step.Key
			if t.mode == Append {
				key = []string{changeColumn}
			}
			lines := make([]string, 0, len(columns)+1)
			for _, c := range columns {
				lines = append(lines, "\t"+quote(c.Name)+" "+c.Type)
			}
			lines = append(lines, "\tPRIMARY KEY ("+quoteAll(key, "")+")")
			out = append(out, fmt.Sprintf("CREATE TABLE %s (\n%s\n)", name, strings.Join(lines, ",\n")))
		case schema.Add:
			lines := make([]string, len(step.Columns))
			for i, c := range step.Columns {
				lines[i] = "ADD COLUMN " + quote(c.Name) + " " + c.Type
			}
			out = append(out, fmt.Sprintf("ALTER TABLE %s %s", name, strings.Join(lines, ", ")))
		case schema.Drop:
			out = append(out, fmt.Sprintf("DROP TABLE %s CASCADE", name))
		}
	}
	return out
}
