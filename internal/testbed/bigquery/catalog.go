package main

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
)

// catalog holds all datasets and tables. Its lock is held by whoever serves a request
// while it reads or changes any of them.
type catalog struct {
	mu       sync.Mutex
	datasets map[string]*dataset // by project.dataset
}

func newCatalog() *catalog { return &catalog{datasets: map[string]*dataset{}} }

// dataset is a dataset with its tables and views, by their names.
type dataset struct {
	resource datasetResource
	tables   map[string]*table
}

// table is a table or view. Its rows are in the order in which they were written.
type table struct {
	resource       tableResource
	revision       int // of the resource, for its ETag
	schemaRevision int // counts the changes of its columns, which writers are told of
	rows           []*stored
	byKey          map[string]*stored // once changes were captured into it; see change
}

// stored is a row of a table, or what is left of a deleted one.
type stored struct {
	row      row
	sequence sequence
	deleted  bool
}

func (c *catalog) dataset(project, name string) (*dataset, error) {
	if d := c.datasets[project+"."+name]; d != nil {
		return d, nil
	}
	return nil, notFound("Dataset %s:%s", project, name)
}

func (c *catalog) table(project, dataset, name string) (*table, error) {
	d, err := c.dataset(project, dataset)
	if err != nil {
		return nil, err
	}
	if t := d.tables[name]; t != nil {
		return t, nil
	}
	return nil, notFound("Table %s:%s.%s", project, dataset, name)
}

// newTable makes a table or view from what a client sent, which is complete and judged.
func newTable(r tableResource) *table {
	t := &table{resource: r}
	t.touch(&t.resource.CreationTime)
	return t
}

// touch notes that a resource changed, at this time.
func (t *table) touch(also ...*string) {
	t.revision++
	now := fmt.Sprint(time.Now().UnixMilli())
	t.resource.LastModifiedTime = now
	for _, s := range also {
		*s = now
	}
	ref := t.resource.TableReference
	t.resource.Kind = "bigquery#table"
	t.resource.ID = ref.ProjectID + ":" + ref.DatasetID + "." + ref.TableID
	// With the time of creation, so that a table of the same name made later has another.
	t.resource.ETag = fmt.Sprintf("%s-%s-%d", ref.TableID, t.resource.CreationTime, t.revision)
	t.resource.Type = "TABLE"
	if t.resource.View != nil {
		t.resource.Type = "VIEW"
	}
}

// columns is the table's schema.
func (t *table) columns() []column { return t.resource.columns() }

func (r *tableResource) columns() []column {
	if r.Schema == nil {
		return nil
	}
	return r.Schema.Fields
}

// key names the columns of the declared primary key.
func (t *table) key() []string { return t.resource.key() }

func (r *tableResource) key() []string {
	if c := r.TableConstraints; c != nil && c.PrimaryKey != nil {
		return c.PrimaryKey.Columns
	}
	return nil
}

// live gives the rows that a query sees.
func (t *table) live() []row {
	var out []row
	for _, s := range t.rows {
		if !s.deleted {
			out = append(out, s.row)
		}
	}
	return out
}

// judge says what of a resource the vendor would refuse.
func (r *tableResource) judge() error {
	if r.View != nil {
		if r.Schema != nil || r.TableConstraints != nil || r.TimePartitioning != nil || r.Clustering != nil {
			return invalid("A view has a query, and no schema, keys, partitions or clustering of its own")
		}
		if r.View.UseLegacySQL == nil || *r.View.UseLegacySQL {
			return invalid("The stand-in knows no legacy SQL: set view.useLegacySql to false")
		}
		return nil
	}
	if r.Schema != nil {
		fields, err := canonical(r.Schema.Fields, 1)
		if err != nil {
			return invalid("%v", err)
		}
		r.Schema.Fields = fields
	}
	if c := r.TableConstraints; c != nil && c.PrimaryKey != nil {
		if len(c.PrimaryKey.Columns) == 0 || len(c.PrimaryKey.Columns) > maxKeyColumns {
			return invalid("A primary key has 1 to %d columns", maxKeyColumns)
		}
		if err := r.topLevel("primary key", c.PrimaryKey.Columns, keyTypes); err != nil {
			return err
		}
	}
	if c := r.Clustering; c != nil {
		if len(c.Fields) == 0 || len(c.Fields) > maxClustering {
			return invalid("A table is clustered by 1 to %d columns", maxClustering)
		}
		if err := r.topLevel("clustering", c.Fields, clusterTypes); err != nil {
			return err
		}
	}
	if p := r.TimePartitioning; p != nil {
		if !slices.Contains([]string{"HOUR", "DAY", "MONTH", "YEAR"}, p.Type) {
			return invalid("Invalid partitioning type %q", p.Type)
		}
		if p.Field != "" {
			return r.topLevel("partitioning", []string{p.Field}, []string{"DATE", "TIMESTAMP", "DATETIME"})
		}
	}
	return nil
}

// topLevel judges columns that something is declared on.
func (r *tableResource) topLevel(what string, names, types []string) error {
	seen := map[string]bool{}
	for _, name := range names {
		c, ok := find(r.columns(), name)
		switch {
		case !ok:
			return invalid("The field specified for %s cannot be found in the schema: %s", what, name)
		case c.Mode == repeated, !slices.Contains(types, c.Type):
			return invalid("Field %s of type %s %s can't be used for %s", name, c.Mode, c.Type, what)
		case seen[strings.ToUpper(name)]:
			return invalid("Field %s is named twice for %s", name, what)
		}
		seen[strings.ToUpper(name)] = true
	}
	return nil
}

// update puts a changed resource in place of the present one, if the vendor's rules
// allow the change.
func (t *table) update(wanted tableResource) error {
	was := t.resource
	if (was.View == nil) != (wanted.View == nil) {
		return invalid("A table can't become a view, nor a view a table")
	}
	if err := wanted.judge(); err != nil {
		return err
	}
	if was.Schema != nil && wanted.Schema != nil {
		fields, err := evolve(was.Schema.Fields, wanted.Schema.Fields, was.ID, "")
		if err != nil {
			return invalid("%v", err)
		}
		wanted.Schema.Fields = fields
	}
	if was.View == nil && was.Schema != nil && wanted.Schema == nil {
		return invalid("Provided Schema does not match Table %s. It is empty", was.ID)
	}
	switch p, q := was.TimePartitioning, wanted.TimePartitioning; {
	case (p == nil) != (q == nil), p != nil && (p.Type != q.Type || p.Field != q.Field):
		return invalid("Cannot change partitioning spec for a partitioned/clustered table")
	}
	if t.byKey != nil && !slices.Equal(t.key(), wanted.key()) {
		return invalid("The stand-in does not know what a changed primary key does to rows that changes were captured into")
	}
	changed := !reflect.DeepEqual(t.columns(), wanted.columns())
	t.resource = wanted
	t.touch()
	if changed {
		t.schemaRevision++
	}
	return nil
}
