package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// queryRequest is a query as a client sends it. What only tunes how the vendor runs it
// is read and means nothing here.
type queryRequest struct {
	Query           string            `json:"query"`
	UseLegacySQL    *bool             `json:"useLegacySql"`
	ParameterMode   string            `json:"parameterMode"`
	QueryParameters []queryParameter  `json:"queryParameters"`
	DefaultDataset  *datasetReference `json:"defaultDataset"`
	FormatOptions   struct {
		UseInt64Timestamp bool `json:"useInt64Timestamp"`
	} `json:"formatOptions"`
	RequestID       string          `json:"requestId"`
	Location        string          `json:"location"`
	UseQueryCache   *bool           `json:"useQueryCache"`
	JobCreationMode string          `json:"jobCreationMode"`
	TimeoutMs       json.RawMessage `json:"timeoutMs"`
	Labels          json.RawMessage `json:"labels"`

	project string
	depth   int // of the views that it stands in
}

// maxViews is how deep views may stand in each other.
const maxViews = 16

type queryParameter struct {
	Name          string `json:"name"`
	ParameterType struct {
		Type string `json:"type"`
	} `json:"parameterType"`
	ParameterValue struct {
		Value *string `json:"value"`
	} `json:"parameterValue"`
}

// query answers a query at once, with all of its rows on one page.
func (a *restAPI) query(r *http.Request) (any, error) {
	var q queryRequest
	if err := read(r.Body, &q); err != nil {
		return nil, err
	}
	if q.UseLegacySQL == nil || *q.UseLegacySQL {
		return nil, invalid("The stand-in knows no legacy SQL: set useLegacySql to false")
	}
	if !q.FormatOptions.UseInt64Timestamp {
		return nil, invalid("The stand-in gives TIMESTAMP as a number only: set formatOptions.useInt64Timestamp")
	}
	q.project = r.PathValue("project")
	rel, err := a.catalog.run(q)
	if err != nil {
		return nil, err
	}
	answer := rel.answer("bigquery#queryResponse")
	answer["jobComplete"] = true
	answer["jobReference"] = map[string]any{"projectId": q.project, "jobId": "stand-in", "location": "US"}
	return answer, nil
}

// relation is a table, or what a query gives.
type relation struct {
	columns []column
	rows    []row
}

func (rel relation) answer(kind string) map[string]any {
	rows := []any{}
	for _, r := range rel.rows {
		rows = append(rows, renderRow(rel.columns, r))
	}
	return map[string]any{"kind": kind, "schema": schemaResource{rel.columns}, "totalRows": fmt.Sprint(len(rows)), "rows": rows}
}

// run executes a query.
func (c *catalog) run(q queryRequest) (relation, error) {
	s, err := parseSelect(q.Query)
	if err != nil {
		return relation{}, err
	}
	rel, err := c.source(s.from, q)
	if err != nil {
		return relation{}, err
	}
	b := binder{columns: rel.columns, parameters: q.QueryParameters}
	if s.where != nil {
		holds, err := b.condition(*s.where)
		if err != nil {
			return relation{}, err
		}
		rel.rows = keep(rel.rows, func(r row) bool { return holds(r) == yes })
	}
	if s.first != nil {
		if rel.rows, err = b.first(*s.first, rel.rows); err != nil {
			return relation{}, err
		}
	}
	if s.count {
		c := column{Name: s.items[0].as, Type: "INTEGER", Mode: nullable}
		return relation{[]column{c}, []row{{c.Name: int64(len(rel.rows))}}}, nil
	}
	if rel.rows, err = b.sorted(s.orderBy, rel.rows); err != nil {
		return relation{}, err
	}
	if s.limit >= 0 && s.limit < len(rel.rows) {
		rel.rows = rel.rows[:s.limit]
	}
	return s.project(rel)
}

// source gives the rows of the table or view that a query names.
func (c *catalog) source(path []string, q queryRequest) (relation, error) {
	if len(path) == 1 && q.DefaultDataset != nil {
		path = append([]string{q.DefaultDataset.DatasetID}, path...)
		if p := q.DefaultDataset.ProjectID; p != "" {
			path = append([]string{p}, path...)
		}
	}
	if len(path) == 2 {
		path = append([]string{q.project}, path...)
	}
	if len(path) != 3 {
		return relation{}, invalidQuery("Table %q must be qualified with a dataset (e.g. dataset.table).", strings.Join(path, "."))
	}
	t, err := c.table(path[0], path[1], path[2])
	if err != nil {
		return relation{}, err
	}
	if v := t.resource.View; v != nil {
		if q.depth == maxViews {
			return relation{}, invalidQuery("Views are nested deeper than %d", maxViews)
		}
		return c.run(queryRequest{Query: v.Query, project: path[0], depth: q.depth + 1})
	}
	return relation{t.columns(), t.live()}, nil
}

// project gives the columns that were asked for.
func (s *selection) project(rel relation) (relation, error) {
	if s.star {
		for _, name := range s.except {
			if _, ok := find(rel.columns, name); !ok {
				return relation{}, invalidQuery("Column %s in SELECT * EXCEPT list does not exist", name)
			}
		}
		rel.columns = slices.DeleteFunc(slices.Clone(rel.columns), func(c column) bool {
			return slices.ContainsFunc(s.except, func(name string) bool { return strings.EqualFold(name, c.Name) })
		})
		return rel, nil
	}
	out := relation{rows: make([]row, len(rel.rows))}
	for i := range out.rows {
		out.rows[i] = row{}
	}
	for _, item := range s.items {
		c, err := named(rel.columns, item.column)
		if err != nil {
			return relation{}, err
		}
		from := c.Name
		if c.Name = item.as; c.Mode == required {
			c.Mode = nullable // as results of queries are
		}
		if _, twice := find(out.columns, c.Name); twice {
			return relation{}, invalidQuery("Duplicate column names in the result are not supported. Found duplicate(s): %s", c.Name)
		}
		out.columns = append(out.columns, c)
		for i, r := range rel.rows {
			out.rows[i][c.Name] = r[from]
		}
	}
	return out, nil
}

func named(columns []column, name string) (column, error) {
	c, ok := find(columns, name)
	if !ok {
		return c, invalidQuery("Unrecognized name: %s", name)
	}
	return c, nil
}

func keep(rows []row, holds func(row) bool) []row {
	return slices.DeleteFunc(slices.Clone(rows), func(r row) bool { return !holds(r) })
}
