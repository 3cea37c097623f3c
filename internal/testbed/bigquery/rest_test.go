package main

import (
	"net/http"
	"testing"

	"cloud.google.com/go/bigquery"
)

var people = bigquery.Schema{
	{Name: "id", Type: bigquery.IntegerFieldType, Required: true},
	{Name: "name", Type: bigquery.StringFieldType},
}

func TestDatasets(t *testing.T) {
	w := newWorld(t)
	ctx, ds := t.Context(), w.rest.Dataset("ds")
	w.refused(ds.Create(ctx, nil), http.StatusConflict, "Already Exists")
	md, err := ds.Metadata(ctx)
	w.must(err)
	if md.Location != "EU" {
		t.Errorf("location %q", md.Location)
	}
	_, err = w.rest.Dataset("absent").Metadata(ctx)
	w.refused(err, http.StatusNotFound, "Not found: Dataset proj:absent")
	w.refused(w.rest.Dataset("labelled").Create(ctx, &bigquery.DatasetMetadata{Labels: map[string]string{"a": "b"}}), http.StatusBadRequest, "unknown field")
	w.table("people", people)
	w.refused(ds.Delete(ctx), http.StatusBadRequest, "still in use")
	w.must(ds.DeleteWithContents(ctx))
	w.refused(ds.Delete(ctx), http.StatusNotFound, "")
}

func TestTables(t *testing.T) {
	w := newWorld(t)
	ctx, tab := t.Context(), w.table("people", people, "id")
	w.refused(tab.Create(ctx, &bigquery.TableMetadata{Schema: people}), http.StatusConflict, "Already Exists")
	md, err := tab.Metadata(ctx)
	w.must(err)
	if len(md.Schema) != 2 || !md.Schema[0].Required || md.TableConstraints.PrimaryKey.Columns[0] != "id" {
		t.Errorf("got %+v", md)
	}
	for what, wrong := range map[string]*bigquery.TableMetadata{
		"Duplicate field name": {Schema: bigquery.Schema{people[1], {Name: "NAME", Type: bigquery.StringFieldType}}},
		"reserved":             {Schema: bigquery.Schema{{Name: "_change_type", Type: bigquery.StringFieldType}}},
		"Invalid field name":   {Schema: bigquery.Schema{{Name: "a-b", Type: bigquery.StringFieldType}}},
		"not known":            {Schema: bigquery.Schema{{Name: "a", Type: bigquery.GeographyFieldType}}},
		"cannot be found":      {Schema: people, TableConstraints: &bigquery.TableConstraints{PrimaryKey: &bigquery.PrimaryKey{Columns: []string{"nope"}}}},
		"for partitioning":     {Schema: people, TimePartitioning: &bigquery.TimePartitioning{Type: "DAY", Field: "name"}},
		"1 to 4 columns":       {Schema: people, Clustering: &bigquery.Clustering{Fields: []string{"id", "name", "a", "b", "c"}}},
	} {
		w.refused(w.rest.Dataset("ds").Table("wrong").Create(ctx, wrong), http.StatusBadRequest, what)
	}
	w.must(tab.Delete(ctx))
	_, err = tab.Metadata(ctx)
	w.refused(err, http.StatusNotFound, "Not found: Table proj:ds.people")
}

func TestSchemaChanges(t *testing.T) {
	w := newWorld(t)
	ctx, tab := t.Context(), w.table("people", people)
	md, err := tab.Metadata(ctx)
	w.must(err)
	with := func(columns ...*bigquery.FieldSchema) bigquery.TableMetadataToUpdate {
		return bigquery.TableMetadataToUpdate{Schema: columns}
	}
	id, name := md.Schema[0], md.Schema[1]
	email := &bigquery.FieldSchema{Name: "email", Type: bigquery.StringFieldType}
	_, err = tab.Update(ctx, with(id, name, email), "another tag")
	w.refused(err, http.StatusPreconditionFailed, "Precondition")
	changed, err := tab.Update(ctx, with(id, name, email), md.ETag)
	w.must(err)
	if len(changed.Schema) != 3 || changed.ETag == md.ETag {
		t.Errorf("got %d columns, ETag %s after %s", len(changed.Schema), changed.ETag, md.ETag)
	}
	for what, columns := range map[string][]*bigquery.FieldSchema{
		"Field name is missing in new schema": {id, email},
		"Cannot add required fields":          {id, name, email, {Name: "more", Type: bigquery.StringFieldType, Required: true}},
		"changed type from STRING to INTEGER": {id, {Name: "name", Type: bigquery.IntegerFieldType}, email},
		"changed mode":                        {id, name, {Name: "email", Type: bigquery.StringFieldType, Repeated: true}},
	} {
		_, err := tab.Update(ctx, with(columns...), "")
		w.refused(err, http.StatusBadRequest, what)
	}
	relaxed, err := tab.Update(ctx, with(&bigquery.FieldSchema{Name: "id", Type: bigquery.IntegerFieldType}, name, email), "")
	w.must(err)
	if relaxed.Schema[0].Required {
		t.Error("id is still required")
	}
}

func TestQueries(t *testing.T) {
	w := newWorld(t)
	w.table("people", people)
	to := w.writer("people", people, false)
	_, err := w.send(to, cells{"id": int64(1), "name": "Alice"}, cells{"id": int64(2), "name": "Bob"}, cells{"id": int64(3)}, cells{"id": int64(2), "name": "Bob again"})
	w.must(err)
	w.expect("4", "SELECT COUNT(*) AS n FROM `proj.ds.people`")
	w.expect("Alice", "SELECT name FROM `proj.ds.people` WHERE id = 1")
	w.expect("3 <nil>", "SELECT * FROM ds.people WHERE name IS NULL")
	w.expect("1; 3", "SELECT id FROM ds.people WHERE id = @a OR (id > 2 AND NOT id >= 4) ORDER BY id", bigquery.QueryParameter{Name: "a", Value: 1})
	w.expect("2", "SELECT COUNT(*) FROM ds.people WHERE name != 'Bob' AND id < 3.5") // null is not unequal
	w.expect("3; 2", "SELECT id AS x FROM ds.people ORDER BY id DESC LIMIT 2")
	w.expect("1 Alice; 2 Bob again; 3 <nil>", "SELECT * FROM ds.people QUALIFY ROW_NUMBER() OVER (PARTITION BY id ORDER BY name DESC) = 1 ORDER BY id")

	view := w.rest.Dataset("ds").Table("latest")
	w.must(view.Create(t.Context(), &bigquery.TableMetadata{ViewQuery: "SELECT * EXCEPT (id) FROM `proj.ds.people` WHERE name IS NOT NULL"}))
	w.expect("Alice; Bob; Bob again", "SELECT name FROM `proj.ds.latest` ORDER BY name")
	_, err = view.Update(t.Context(), bigquery.TableMetadataToUpdate{ViewQuery: "SELECT id FROM ds.people", UseLegacySQL: false}, "")
	w.must(err)
	w.expect("4", "SELECT COUNT(*) FROM ds.latest")
	for sql, what := range map[string]string{
		"SELECT name, COUNT(*) FROM ds.people GROUP BY name": "does not know",
		"DELETE FROM ds.people WHERE TRUE":                   "does not know",
		"SELECT nope FROM ds.people":                         "Unrecognized name: nope",
		"SELECT id FROM ds.people WHERE id = '1'":            "No matching signature",
		"SELECT id FROM ds.people WHERE id":                  "should return type BOOL",
	} {
		_, err := w.query(sql)
		w.refused(err, http.StatusBadRequest, what)
	}
	_, err = w.query("SELECT * FROM ds.absent")
	w.refused(err, http.StatusNotFound, "Not found: Table proj:ds.absent")
}
