package bigquery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	rest "google.golang.org/api/bigquery/v2"

	"github.com/s3db-go/replicator/internal/schema"
)

// read asks for a table, nil if there is none.
func (c *clients) read(ctx context.Context, t *target) (*table, error) {
	raw, err := c.rest.Tables.Get(t.table.project, t.table.dataset, t.table.table).Context(ctx).Do()
	switch {
	case answered(err, http.StatusNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return newTable(raw, t.mode == Mutable), nil
}

// filled reports whether a table holds rows. What the catalogue says of that leaves out
// those that have just arrived.
func (c *clients) filled(ctx context.Context, t *target) (bool, error) {
	answer, err := c.rest.Jobs.Query(t.table.project, &rest.QueryRequest{
		Query: "SELECT COUNT(*) AS n FROM " + t.table.String(), UseLegacySql: new(bool),
		FormatOptions: &rest.DataFormatOptions{UseInt64Timestamp: true},
	}).Context(ctx).Do()
	if err != nil {
		return false, err
	}
	if !answer.JobComplete || len(answer.Rows) != 1 || len(answer.Rows[0].F) != 1 {
		return true, nil // not known
	}
	return answer.Rows[0].F[0].V != "0", nil
}

// run takes steps for a table as it is there, nil for none.
func (c *clients) run(ctx context.Context, t *target, there *table, steps []schema.Step) error {
	n := t.table
	for _, step := range steps {
		var err error
		switch step.Action {
		case schema.Create:
			err = c.create(ctx, t, step)
		case schema.Add:
			patch := &rest.Table{Schema: &rest.TableSchema{}}
			if there.raw.Schema != nil {
				patch.Schema.Fields = slices.Clone(there.raw.Schema.Fields)
			}
			for _, column := range step.Columns {
				patch.Schema.Fields = append(patch.Schema.Fields, fieldOf(column.Name, column.Type))
			}
			call := c.rest.Tables.Patch(n.project, n.dataset, n.table, patch).Context(ctx)
			call.Header().Set("If-Match", there.raw.Etag)
			_, err = call.Do()
		case schema.Drop:
			if err = c.rest.Tables.Delete(n.project, n.dataset, n.table).Context(ctx).Do(); answered(err, http.StatusNotFound) {
				err = nil
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// create makes a table, and the dataset if there is none.
func (c *clients) create(ctx context.Context, t *target, step schema.Step) error {
	n := t.table
	table := &rest.Table{
		TableReference: &rest.TableReference{ProjectId: n.project, DatasetId: n.dataset, TableId: n.table},
		Schema:         &rest.TableSchema{},
	}
	for _, column := range step.Columns {
		f := fieldOf(column.Name, column.Type)
		if slices.Contains(step.Key, column.Name) {
			f.Mode = "REQUIRED"
		}
		table.Schema.Fields = append(table.Schema.Fields, f)
	}
	if len(step.Key) > 0 {
		table.TableConstraints = &rest.TableConstraints{PrimaryKey: &rest.TableConstraintsPrimaryKey{Columns: step.Key}}
	}
	if p := t.options.TimePartitioning; p != nil {
		table.TimePartitioning = &rest.TimePartitioning{Type: p.by(), Field: p.Field}
	}
	if len(t.options.Clustering) > 0 {
		table.Clustering = &rest.Clustering{Fields: t.options.Clustering}
	}
	insert := func() error {
		_, err := c.rest.Tables.Insert(n.project, n.dataset, table).Context(ctx).Do()
		return err
	}
	err := insert()
	if !answered(err, http.StatusNotFound) {
		return err
	}
	_, err = c.rest.Datasets.Insert(n.project, &rest.Dataset{
		DatasetReference: &rest.DatasetReference{ProjectId: n.project, DatasetId: n.dataset}, Location: t.location,
	}).Context(ctx).Do()
	if err != nil && !answered(err, http.StatusConflict) {
		return err
	}
	return insert()
}

// by gives the unit that a table is divided by.
func (p *TimePartitioning) by() string { return cmp.Or(p.Type, "DAY") }

// fieldOf gives a column as the catalogue wants it.
func fieldOf(name, typ string) *rest.TableFieldSchema {
	return &rest.TableFieldSchema{Name: name, Type: typ, Mode: "NULLABLE"}
}

// addView makes the view beside a table that keeps every change, unless it is there. It
// follows the table's columns by itself.
func (d *Driver) addView(ctx context.Context, c *clients, t *target) error {
	if t.mode == Mutable {
		return nil
	}
	t.mu.Lock()
	viewed := t.viewed
	t.mu.Unlock()
	if viewed {
		return nil
	}
	n := t.table
	there, err := c.rest.Tables.Get(n.project, n.dataset, n.view).Context(ctx).Do()
	if answered(err, http.StatusNotFound) {
		there, err = c.rest.Tables.Insert(n.project, n.dataset, &rest.Table{
			TableReference: &rest.TableReference{ProjectId: n.project, DatasetId: n.dataset, TableId: n.view},
			View:           &rest.ViewDefinition{Query: t.viewQuery(), ForceSendFields: []string{"UseLegacySql"}},
		}).Context(ctx).Do()
		if err == nil {
			d.logger.Info("bigquery: view made", "target", t.name, "view", n.beside())
		}
	}
	switch {
	case answered(err, http.StatusConflict): // somebody was first
	case err != nil:
		return judge(ctx, err, nil)
	case there.Type != "VIEW":
		return &unfitError{err: fmt.Errorf("its view can't be made: %s is a %s; Tables[%q].View names another", n.beside(), strings.ToLower(there.Type), t.name)}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.viewed = true
	return nil
}

// beside gives the name of the view in backticks.
func (n tableName) beside() string { return quote(n.project + "." + n.dataset + "." + n.view) }

// viewQuery keeps one row of each change. A condition stands before QUALIFY, since that
// was once not allowed without.
func (t *target) viewQuery() string {
	return fmt.Sprintf("SELECT * FROM %s WHERE TRUE QUALIFY ROW_NUMBER() OVER (PARTITION BY %s) = 1", t.table, quote(changeColumn))
}

// errMissing is that of a table that is not there, and may not be made.
var errMissing = errors.New("the table does not exist")
