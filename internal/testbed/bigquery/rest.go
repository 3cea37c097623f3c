package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// restAPI serves datasets, tables, rows and queries.
type restAPI struct {
	catalog *catalog
	faults  *faults
}

var resourceName = regexp.MustCompile(`^[A-Za-z0-9_]+$`)

func (a *restAPI) handler() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, serve func(*http.Request) (any, error)) {
		method, path, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(method+" /projects/{project}"+path, func(w http.ResponseWriter, r *http.Request) {
			a.serve(w, r, serve)
		})
	}
	handle("POST /datasets", a.insertDataset)
	handle("GET /datasets", a.listDatasets)
	handle("GET /datasets/{dataset}", a.getDataset)
	handle("DELETE /datasets/{dataset}", a.deleteDataset)
	handle("POST /datasets/{dataset}/tables", a.insertTable)
	handle("GET /datasets/{dataset}/tables", a.listTables)
	handle("GET /datasets/{dataset}/tables/{table}", a.getTable)
	handle("PATCH /datasets/{dataset}/tables/{table}", a.patchTable)
	handle("DELETE /datasets/{dataset}/tables/{table}", a.deleteTable)
	handle("GET /datasets/{dataset}/tables/{table}/data", a.listRows)
	handle("POST /queries", a.query)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		answer(w, nil, &apiError{http.StatusNotImplemented, "notImplemented", "The stand-in does not know " + r.Method + " " + r.URL.Path})
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Some clients' base path is that of the vendor's host.
		r.URL.Path = strings.TrimPrefix(r.URL.Path, "/bigquery/v2")
		mux.ServeHTTP(w, r)
	})
}

// serve runs a handler under the catalog's lock, with the fault that is switched on for
// it.
func (a *restAPI) serve(w http.ResponseWriter, r *http.Request, serve func(*http.Request) (any, error)) {
	at := ""
	if name := r.PathValue("table"); name != "" {
		at = r.PathValue("dataset") + "." + name
	}
	kind := a.faults.take(surfaceREST, at)
	if kind == faultClose {
		panic(http.ErrAbortHandler) // net/http's way to end a connection without an answer
	}
	if err := kind.asREST(); err != nil {
		answer(w, nil, err)
		return
	}
	v, err := func() (any, error) {
		a.catalog.mu.Lock()
		defer a.catalog.mu.Unlock()
		v, err := serve(r)
		if err != nil {
			return nil, err
		}
		// Made bytes under the lock: what is answered may change right after.
		return encoded(v)
	}()
	if kind == faultLost {
		panic(http.ErrAbortHandler)
	}
	answer(w, v, err)
}

func encoded(v any) (json.RawMessage, error) { return json.Marshal(v) }

func (a *restAPI) insertDataset(r *http.Request) (any, error) {
	var d datasetResource
	if err := read(r.Body, &d); err != nil {
		return nil, err
	}
	project, name := r.PathValue("project"), d.DatasetReference.DatasetID
	if !resourceName.MatchString(name) {
		return nil, invalid("Invalid dataset ID %q", name)
	}
	key := project + "." + name
	if a.catalog.datasets[key] != nil {
		return nil, duplicate("Dataset %s:%s", project, name)
	}
	d.Kind, d.ID, d.ETag = "bigquery#dataset", project+":"+name, "1"
	d.DatasetReference.ProjectID = project
	if d.Location == "" {
		d.Location = "US"
	}
	a.catalog.datasets[key] = &dataset{resource: d, tables: map[string]*table{}}
	return d, nil
}

func (a *restAPI) listDatasets(r *http.Request) (any, error) {
	list := []any{}
	for _, key := range slices.Sorted(maps.Keys(a.catalog.datasets)) {
		if d := a.catalog.datasets[key].resource; d.DatasetReference.ProjectID == r.PathValue("project") {
			list = append(list, d)
		}
	}
	return map[string]any{"kind": "bigquery#datasetList", "datasets": list}, nil
}

func (a *restAPI) getDataset(r *http.Request) (any, error) {
	d, err := a.catalog.dataset(r.PathValue("project"), r.PathValue("dataset"))
	if err != nil {
		return nil, err
	}
	return d.resource, nil
}

func (a *restAPI) deleteDataset(r *http.Request) (any, error) {
	d, err := a.catalog.dataset(r.PathValue("project"), r.PathValue("dataset"))
	if err != nil {
		return nil, err
	}
	if len(d.tables) > 0 && r.URL.Query().Get("deleteContents") != "true" {
		return nil, &apiError{http.StatusBadRequest, "resourceInUse", "Dataset " + d.resource.ID + " is still in use"}
	}
	delete(a.catalog.datasets, r.PathValue("project")+"."+r.PathValue("dataset"))
	return struct{}{}, nil
}

func (a *restAPI) insertTable(r *http.Request) (any, error) {
	project := r.PathValue("project")
	d, err := a.catalog.dataset(project, r.PathValue("dataset"))
	if err != nil {
		return nil, err
	}
	var t tableResource
	if err := read(r.Body, &t); err != nil {
		return nil, err
	}
	name := t.TableReference.TableID
	if !resourceName.MatchString(name) {
		return nil, invalid("Invalid table ID %q", name)
	}
	if d.tables[name] != nil {
		return nil, duplicate("Table %s.%s", d.resource.ID, name)
	}
	t.TableReference = tableReference{project, r.PathValue("dataset"), name}
	if err := t.judge(); err != nil {
		return nil, err
	}
	if err := a.fillView(&t); err != nil {
		return nil, err
	}
	d.tables[name] = newTable(t)
	return a.tableAnswer(d.tables[name]), nil
}

// fillView gives a view the schema of what it selects, and so finds out whether it can.
func (a *restAPI) fillView(t *tableResource) error {
	if t.View == nil {
		return nil
	}
	rel, err := a.catalog.run(queryRequest{Query: t.View.Query, project: t.TableReference.ProjectID})
	if err != nil {
		return err
	}
	t.Schema = &schemaResource{rel.columns}
	return nil
}

func (a *restAPI) tableAnswer(t *table) tableResource {
	r := t.resource
	if r.View == nil {
		r.NumRows = fmt.Sprint(len(t.live()))
	}
	return r
}

func (a *restAPI) listTables(r *http.Request) (any, error) {
	d, err := a.catalog.dataset(r.PathValue("project"), r.PathValue("dataset"))
	if err != nil {
		return nil, err
	}
	list := []any{}
	for _, name := range slices.Sorted(maps.Keys(d.tables)) {
		list = append(list, a.tableAnswer(d.tables[name]))
	}
	return map[string]any{"kind": "bigquery#tableList", "tables": list, "totalItems": len(list)}, nil
}

func (a *restAPI) find(r *http.Request) (*table, error) {
	return a.catalog.table(r.PathValue("project"), r.PathValue("dataset"), r.PathValue("table"))
}

func (a *restAPI) getTable(r *http.Request) (any, error) {
	t, err := a.find(r)
	if err != nil {
		return nil, err
	}
	return a.tableAnswer(t), nil
}

// patchTable changes the fields that a client names, and clears those it gives as null.
func (a *restAPI) patchTable(r *http.Request) (any, error) {
	t, err := a.find(r)
	if err != nil {
		return nil, err
	}
	if tag := r.Header.Get("If-Match"); tag != "" && tag != t.resource.ETag {
		return nil, &apiError{http.StatusPreconditionFailed, "conditionNotMet", "Precondition check failed."}
	}
	var patch map[string]json.RawMessage
	if err := read(r.Body, &patch); err != nil {
		return nil, err
	}
	present, err := encoded(t.resource)
	if err != nil {
		return nil, err
	}
	merged := map[string]json.RawMessage{}
	if err := json.Unmarshal(present, &merged); err != nil {
		return nil, err
	}
	maps.Copy(merged, patch)
	whole, err := encoded(merged)
	if err != nil {
		return nil, err
	}
	var wanted tableResource
	if err := read(strings.NewReader(string(whole)), &wanted); err != nil {
		return nil, err
	}
	wanted.TableReference = t.resource.TableReference
	if wanted.View != nil {
		wanted.Schema = nil // follows from the query
	}
	filled := wanted
	if err := a.fillView(&filled); err != nil {
		return nil, err
	}
	if err := t.update(wanted); err != nil {
		return nil, err
	}
	if wanted.View != nil {
		t.resource.Schema = filled.Schema
	}
	return a.tableAnswer(t), nil
}

func (a *restAPI) deleteTable(r *http.Request) (any, error) {
	if _, err := a.find(r); err != nil {
		return nil, err
	}
	d, err := a.catalog.dataset(r.PathValue("project"), r.PathValue("dataset"))
	if err != nil {
		return nil, err
	}
	delete(d.tables, r.PathValue("table"))
	return struct{}{}, nil
}

// listRows gives all rows of a table on one page.
func (a *restAPI) listRows(r *http.Request) (any, error) {
	t, err := a.find(r)
	if err != nil {
		return nil, err
	}
	if t.resource.View != nil {
		return nil, invalid("Cannot list a table of type VIEW.")
	}
	if start := r.URL.Query().Get("startIndex"); start != "" && start != "0" {
		return nil, invalid("The stand-in gives all rows on one page, and knows no startIndex")
	}
	rel := relation{columns: t.columns(), rows: t.live()}
	return rel.answer("bigquery#tableDataList"), nil
}
