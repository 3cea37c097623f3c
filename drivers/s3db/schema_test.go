package s3db_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/s3db"
	"github.com/s3db-go/replicator/store"
)

// TestCopyOfAResource carries a resource as it is: the destination's definition
// becomes the source's, in its own words, and grows with it.
func TestCopyOfAResource(t *testing.T) {
	source, backup := openStore(t, "memory://source"), openStore(t, "memory://backup")
	d := openDriver(t, s3db.Options{Store: backup})
	def := store.Definition{Name: "users", Timestamps: true, Attributes: store.Attributes{
		"name":     "string|required|min:2",
		"email":    "email",
		"password": "secret",
		"tags":     "array|items:string",
		"address":  store.Attributes{"city": "string", "geo": store.Attributes{"lat": "number"}},
	}}
	carry := func() {
		t.Helper()
		users, err := source.CreateResource(t.Context(), def)
		if err != nil {
			t.Fatal(err)
		}
		record, err := users.Insert(t.Context(), cdc.Record{
			"name": "Ann", "email": "ann@example.com", "password": "hunter2", "tags": []any{"a", "b|c"},
			"address": map[string]any{"city": "Köln", "geo": map[string]any{"lat": 50.9}},
		})
		if err != nil {
			t.Fatal(err)
		}
		schema, _, err := source.Describe(t.Context(), "users")
		if err != nil {
			t.Fatal(err)
		}
		if err := d.SyncSchema(t.Context(), "users", schema); err != nil {
			t.Fatal(err)
		}
		if err := deliver(t.Context(), d, insert(record.Pick("id"), record)); err != nil {
			t.Fatal(err)
		}
		there, err := backup.Resource("users").Definition()
		if err != nil || fmt.Sprint(there) != fmt.Sprint(def) {
			t.Errorf("the definition at the backup is %v, %v; want %v", there, err, def)
		}
		got, err := backup.Resource("users").Get(t.Context(), record.String("id"))
		if err != nil || !got.Equal(record) {
			t.Errorf("the record at the backup is %v, %v; want %v", got, err, record)
		}
	}
	carry()
	def.Attributes["age"] = "number|integer"
	def.Attributes["email"] = "email|required"
	carry()

	// An attribute that the source gave up stays: records may still hold it.
	delete(def.Attributes, "age")
	if _, err := source.CreateResource(t.Context(), def); err != nil {
		t.Fatal(err)
	}
	schema, _, _ := source.Describe(t.Context(), "users")
	if err := d.SyncSchema(t.Context(), "users", schema); err != nil {
		t.Fatal(err)
	}
	if there, err := backup.Resource("users").Definition(); err != nil || there.Attributes["age"] != "number|integer" {
		t.Errorf("the definition at the backup is %v, %v; want age kept", there, err)
	}
}

// TestSyncOfWhatIsThereWritesNothing: engines sync at every start.
func TestSyncOfWhatIsThereWritesNothing(t *testing.T) {
	dir := t.TempDir()
	schemas := []cdc.Schema{
		{Resource: "users", Version: 1, Fields: []cdc.Field{
			{Name: "name", Type: cdc.TypeString, Required: true},
			{Name: "createdAt", Type: cdc.TypeTime, Native: "datetime|optional"},
			{Name: "updatedAt", Type: cdc.TypeTime, Native: "datetime|optional"},
			{Name: "address", Type: cdc.TypeObject, Fields: []cdc.Field{{Name: "city", Type: cdc.TypeString}}},
		}},
		{Resource: "guests", Version: 1, Open: true, Fields: []cdc.Field{{Name: "createdAt", Type: cdc.TypeTime}}},
	}
	var first []byte
	for i := range 3 {
		d := openDriver(t, s3db.Options{ConnectionString: fileURL(dir)})
		for _, schema := range schemas {
			if err := d.SyncSchema(t.Context(), "people", schema); err != nil {
				t.Fatal(err)
			}
		}
		catalogue, err := os.ReadFile(filepath.Join(dir, "s3db.json"))
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = catalogue
		} else if string(catalogue) != string(first) {
			t.Errorf("sync %d changed the catalogue to %s", i, catalogue)
		}
		d.Close()
	}
}

// TestSecretsUnderAnotherPassphrase sends a secret that the source encrypts under
// one passphrase to a destination that encrypts it under its own.
func TestSecretsUnderAnotherPassphrase(t *testing.T) {
	dir := t.TempDir()
	d := openDriver(t, s3db.Options{ConnectionString: fileURL(dir), Passphrase: "of the backup"})
	if !d.Limits("users").Secrets {
		t.Error("Limits don't say that secrets may come")
	}
	for name, schema := range map[string]cdc.Schema{
		"native": {Fields: []cdc.Field{{Name: "token", Type: cdc.TypeString, Secret: true, Native: "secret"}}},
		"typed":  {Fields: []cdc.Field{{Name: "token", Type: cdc.TypeString, Secret: true}}},
		"open":   {Open: true, Fields: []cdc.Field{{Name: "token", Type: cdc.TypeString, Secret: true, Native: "secret|required"}}},
		"nested": {Open: true, Fields: []cdc.Field{{Name: "keys", Type: cdc.TypeObject, Fields: []cdc.Field{{Name: "token", Type: cdc.TypeString, Secret: true}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			schema.Resource = name
			record := cdc.Record{"id": "u1", "token": "s3cr3t"}
			if name == "nested" {
				record = cdc.Record{"id": "u1", "keys": map[string]any{"token": "s3cr3t"}}
			}
			delivery := insert(cdc.Record{"id": "u1"}, record)
			delivery.Target = name
			if err := errors.Join(d.SyncSchema(t.Context(), name, schema), deliver(t.Context(), d, delivery)); err != nil {
				t.Fatal(err)
			}
			db, err := store.Open(t.Context(), fileURL(dir), store.WithPassphrase("of the backup"))
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if got, err := db.Resource(name).Get(t.Context(), "u1"); err != nil || !got.Equal(record) {
				t.Errorf("read back: %v, %v", got, err)
			}
		})
	}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if strings.Contains(string(b), "s3cr3t") {
			t.Errorf("the secret stands in %s", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	none := openDriver(t, s3db.Options{ConnectionString: fileURL(t.TempDir())})
	err = none.SyncSchema(t.Context(), "users", cdc.Schema{Fields: []cdc.Field{{Name: "token", Secret: true, Type: cdc.TypeString}}})
	if cdc.FaultOf(err) != cdc.DestinationFault || !strings.Contains(err.Error(), "passphrase") {
		t.Errorf("a secret without a passphrase gives a %s error: %v", cdc.FaultOf(err), err)
	}
}

// TestShapesOfATransform sends records whose fields no schema told of.
func TestShapesOfATransform(t *testing.T) {
	db := openStore(t, "memory://backup")
	d := openDriver(t, s3db.Options{Store: db})
	schema := cdc.Schema{Resource: "users", Version: 1, Open: true, Fields: []cdc.Field{
		{Name: "email", Type: cdc.TypeString, Required: true, Native: "email|required|max:5"},
		{Name: "age", Type: cdc.TypeInt},
	}}
	if err := d.SyncSchema(t.Context(), "users", schema); err != nil {
		t.Fatal(err)
	}
	for _, record := range []cdc.Record{
		{"id": "a", "email": "not an address any more", "age": int64(7)}, // rules of the source don't hold here
		{"id": "b", "total": int64(100), "since": time.Date(2026, 2, 28, 0, 0, 0, 0, time.UTC)},
		{"id": "c", "total": 99.5, "note": nil}, // nothing is required, an integer's field takes a fraction
		{"id": "d", "note": "typed by its first value"},
		{"id": "e", "note": nil},
		{"id": "f"},
	} {
		if err := deliver(t.Context(), d, insert(record.Pick("id"), record)); err != nil {
			t.Fatal(err)
		}
	}
	def, err := db.Resource("users").Definition()
	want := "map[age:number|integer email:string note:string since:datetime total:number]"
	if got := fmt.Sprint(map[string]any(def.Attributes)); err != nil || got != want {
		t.Errorf("definition is %s, %v; want %s", got, err, want)
	}
	for id, want := range map[string]cdc.Record{
		"b": {"id": "b", "total": 100.0, "since": time.Date(2026, 2, 28, 0, 0, 0, 0, time.UTC)},
		"c": {"id": "c", "total": 99.5},
		"e": {"id": "e", "note": nil},
		"f": {"id": "f"},
	} {
		if got, err := db.Resource("users").Get(t.Context(), id); err != nil || !got.Equal(want) {
			t.Errorf("record %s is %v, %v; want %v", id, got, err, want)
		}
	}
	// The second type of a field does not fit the first.
	err = deliver(t.Context(), d, insert(cdc.Record{"id": "g"}, cdc.Record{"id": "g", "note": int64(5)}))
	if cdc.FaultOf(err) != cdc.RecordFault || !strings.Contains(err.Error(), "note") {
		t.Errorf("error is %s: %v", cdc.FaultOf(err), err)
	}
}

// TestNoSchemaAtAll: a source that can't describe its resources.
func TestNoSchemaAtAll(t *testing.T) {
	db := openStore(t, "memory://backup")
	d := openDriver(t, s3db.Options{Store: db})
	for _, record := range []cdc.Record{{"id": "a"}, {"id": "b", "name": "Bob"}} {
		if err := deliver(t.Context(), d, insert(record.Pick("id"), record)); err != nil {
			t.Fatal(err)
		}
	}
	if got := records(t, db, "users"); len(got) != 2 {
		t.Errorf("records are %v", got)
	}
}

func TestHundredFields(t *testing.T) {
	db := openStore(t, "memory://backup")
	d := openDriver(t, s3db.Options{Store: db})
	schema := cdc.Schema{Resource: "users", Version: 1}
	record := cdc.Record{"id": "u1"}
	for i := range 100 {
		name := fmt.Sprintf("field%03d", i)
		schema.Fields = append(schema.Fields, cdc.Field{Name: name, Type: cdc.TypeString})
		record[name] = strings.Repeat(name, 5)
	}
	if err := errors.Join(d.SyncSchema(t.Context(), "users", schema), deliver(t.Context(), d, insert(cdc.Record{"id": "u1"}, record))); err != nil {
		t.Fatal(err)
	}
	if got, err := db.Resource("users").Get(t.Context(), "u1"); err != nil || !got.Equal(record) {
		t.Errorf("read back: %v, %v", got, err)
	}
}

// TestNewFieldsAtTheSameTime: batches that each bring a field of their own.
func TestNewFieldsAtTheSameTime(t *testing.T) {
	db := openStore(t, "memory://backup")
	d := openDriver(t, s3db.Options{Store: db})
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			id := fmt.Sprint("u", i)
			err := deliver(t.Context(), d, insert(cdc.Record{"id": id}, cdc.Record{"id": id, fmt.Sprint("field", i): int64(i)}))
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i := range 32 {
		got, err := db.Resource("users").Get(t.Context(), fmt.Sprint("u", i))
		if err != nil || got.Int(fmt.Sprint("field", i)) != int64(i) {
			t.Errorf("record %d is %v, %v", i, got, err)
		}
	}
}
