package bigquery

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"google.golang.org/api/googleapi"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/schema"
)

// SyncSchema makes the table able to take records of the schema, as far as
// [Options.SchemaSync] lets it. A table that does not fit, or that the account may not
// change, is a permanent error with the statements to run by hand; if it fitted before,
// the destination waits until somebody ran them.
func (d *Driver) SyncSchema(ctx context.Context, name string, s cdc.Schema) error {
	c, err := d.present()
	if err != nil {
		return err
	}
	t, err := d.target(name)
	if err != nil {
		return err
	}
	if err := checkFields(s); err != nil {
		return cdc.Permanent(fmt.Errorf("bigquery: define %s: %w", name, err))
	}
	t.learn(s)
	_, err = d.fit(ctx, c, t, t.rules, func(there *table) (schema.Shape, bool) {
		shape := t.wanted(s, there)
		// What it is to be divided by comes with the first record.
		return shape, there == nil && s.Open && len(t.arranged(shape)) > 0
	})
	if err == nil {
		return nil
	}
	err = fmt.Errorf("bigquery: define %s: %w", name, err)
	if _, unfit := errors.AsType[*unfitError](err); !unfit {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fitted {
		return cdc.Unavailable(err)
	}
	return cdc.Permanent(err)
}

// checkFields says which fields have names that no column can have.
func checkFields(s cdc.Schema) error {
	var errs []error
	for _, f := range s.Fields {
		if err := checkColumn(f.Name); err != nil {
			errs = append(errs, err)
		}
	}
	if len(s.Key) > maxKey {
		errs = append(errs, fmt.Errorf("the key has %d columns, and BigQuery's up to %d", len(s.Key), maxKey))
	}
	return errors.Join(errs...)
}

// Plan gives, as SQL, what SyncSchema would do now, in its order. If the table would not
// fit even then, the error says in what.
func (d *Driver) Plan(ctx context.Context, name string, s cdc.Schema) ([]string, error) {
	c, err := d.present()
	if err != nil {
		return nil, err
	}
	t, err := d.target(name)
	if err != nil {
		return nil, err
	}
	there, err := c.read(ctx, t)
	if err == nil {
		t.learn(s)
		var plan schema.Plan
		if plan, err = c.plan(ctx, t, t.rules, there, t.wanted(s, there)); err == nil {
			return t.statements(plan.Steps), plan.Err()
		}
	}
	return nil, fmt.Errorf("bigquery: plan %s: %w", name, judge(ctx, err, nil))
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
// none. wanted is asked again when the table turned out to be another; it may say that
// it is too early to make it.
func (d *Driver) fit(ctx context.Context, c *clients, t *target, rules schema.Rules, wanted func(there *table) (shape schema.Shape, early bool)) (*table, error) {
	if err := t.enter(ctx); err != nil {
		return nil, err
	}
	defer t.leave()
	// Whoever else does the same at the same time makes a step fail once, or a few times
	// if there are many.
	const tries = 5
	for range tries {
		there, err := c.read(ctx, t)
		if answer, ok := errors.AsType[*googleapi.Error](err); ok && answer.Code == http.StatusBadRequest {
			return nil, &unfitError{err: errors.New(describeREST(answer))}
		}
		if err != nil {
			return nil, judge(ctx, err, nil)
		}
		if there != nil && there.raw.Type != "TABLE" {
			return nil, &unfitError{err: fmt.Errorf("%s is a %s, into which nothing can be written", t.table, there.raw.Type)}
		}
		shape, early := wanted(there)
		if early && rules.Strategy != schema.ValidateOnly {
			return nil, nil
		}
		plan, err := c.plan(ctx, t, rules, there, shape)
		if err != nil {
			return nil, judge(ctx, err, nil)
		}
		if len(plan.Steps) == 0 {
			if there != nil && rules.Strategy != schema.ValidateOnly {
				if err := d.addView(ctx, c, t); err != nil {
					return there, err
				}
			}
			return t.see(there), d.judgeFit(t, rules, plan)
		}
		statements := t.statements(plan.Steps)
		if len(plan.Mismatches) > 0 && rules.OnMismatch == schema.Error {
			return there, &unfitError{plan.Err(), statements} // half of a change helps nobody
		}
		err = c.run(ctx, t, there, plan.Steps)
		switch answer, _ := errors.AsType[*googleapi.Error](err); {
		case err == nil:
			for _, statement := range statements {
				d.logger.Info("bigquery: table changed", "target", t.name, "statement", statement)
			}
		case answer != nil && slices.Contains([]int{http.StatusConflict, http.StatusPreconditionFailed, http.StatusNotFound}, answer.Code) && ctx.Err() == nil:
			// Somebody was first.
		case answer != nil && (answer.Code == http.StatusBadRequest || denied(answer)):
			return there, &unfitError{fmt.Errorf("it can't be changed: %s", describeREST(answer)), statements}
		default:
			return nil, judge(ctx, err, nil)
		}
	}
	return nil, errors.New("others keep changing the table")
}

// judgeFit takes the mismatches as the rules say.
func (d *Driver) judgeFit(t *target, rules schema.Rules, plan schema.Plan) error {
	if len(plan.Mismatches) > 0 {
		err := &unfitError{plan.Err(), t.statements(plan.Missing)}
		switch {
		case rules.OnMismatch == schema.Error:
			return err
		case rules.OnMismatch == schema.Warn:
			d.logger.Warn("bigquery: table does not fit", "target", t.name, "reason", err.Error())
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fitted = true
	return nil
}

// plan computes what to do. Names are the table's own, whose case does not matter;
// whether it holds rows is only asked where that does.
func (c *clients) plan(ctx context.Context, t *target, rules schema.Rules, there *table, wanted schema.Shape) (schema.Plan, error) {
	rules.Unique = "primary key"
	if there == nil {
		wanted.Columns = append(wanted.Columns, t.arranged(wanted)...)
		return schema.Compute(nil, wanted, rules), nil
	}
	wanted.Columns, wanted.Key = slices.Clone(wanted.Columns), slices.Clone(wanted.Key)
	for i := range wanted.Columns {
		if c := there.fields.column(wanted.Columns[i].Name); c != nil {
			wanted.Columns[i].Name = c.name
		}
	}
	for i := range wanted.Key {
		if c := there.fields.column(wanted.Key[i]); c != nil {
			wanted.Key[i] = c.name
		}
	}
	holds := true
	if rules.Strategy == schema.DropCreate {
		var err error
		if holds, err = c.filled(ctx, t); err != nil {
			return schema.Plan{}, err
		}
	}
	plan := schema.Compute(there.asTable(holds), wanted, rules)
	for i := range plan.Steps {
		if plan.Steps[i].Action == schema.Create {
			plan.Steps[i].Columns = append(plan.Steps[i].Columns, t.arranged(wanted)...)
		}
	}
	return plan, nil
}

// statements gives the steps in SQL.
func (t *target) statements(steps []schema.Step) (out []string) {
	for _, step := range steps {
		switch step.Action {
		case schema.Create:
			dataset := "CREATE SCHEMA IF NOT EXISTS " + quote(t.table.project+"."+t.table.dataset)
			if t.location != "" {
				dataset += fmt.Sprintf(" OPTIONS (location = %q)", t.location)
			}
			lines := make([]string, 0, len(step.Columns)+1)
			for _, c := range step.Columns {
				line := "\t" + quote(c.Name) + " " + c.Type
				if slices.Contains(step.Key, c.Name) {
					line += " NOT NULL"
				}
				lines = append(lines, line)
			}
			if len(step.Key) > 0 {
				lines = append(lines, "\tPRIMARY KEY ("+quoteAll(step.Key)+") NOT ENFORCED")
			}
			create := fmt.Sprintf("CREATE TABLE %s (\n%s\n)", t.table, strings.Join(lines, ",\n"))
			if p := t.options.TimePartitioning; p != nil {
				create += " PARTITION BY " + p.expression(step.Columns)
			}
			if len(t.options.Clustering) > 0 {
				create += " CLUSTER BY " + quoteAll(t.options.Clustering)
			}
			out = append(out, dataset, create)
			if t.mode != Mutable {
				out = append(out, fmt.Sprintf("CREATE VIEW %s AS %s", t.table.beside(), t.viewQuery()))
			}
		case schema.Add:
			lines := make([]string, len(step.Columns))
			for i, c := range step.Columns {
				lines[i] = "ADD COLUMN " + quote(c.Name) + " " + c.Type
			}
			out = append(out, fmt.Sprintf("ALTER TABLE %s %s", t.table, strings.Join(lines, ", ")))
		case schema.Drop:
			out = append(out, "DROP TABLE "+t.table.String())
		}
	}
	return out
}

// expression gives what SQL divides a table by.
func (p *TimePartitioning) expression(columns []schema.Column) string {
	by := p.by()
	if p.Field == "" {
		return fmt.Sprintf("TIMESTAMP_TRUNC(_PARTITIONTIME, %s)", by)
	}
	typ := "TIMESTAMP"
	for _, c := range columns {
		if strings.EqualFold(c.Name, p.Field) {
			typ = c.Type
		}
	}
	if typ == "DATE" && by == "DAY" {
		return quote(p.Field)
	}
	return fmt.Sprintf("%s_TRUNC(%s, %s)", typ, quote(p.Field), by)
}
