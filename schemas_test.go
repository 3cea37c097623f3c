package replicator_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/memory"
	"github.com/s3db-go/replicator/drivers/s3db"
	"github.com/s3db-go/replicator/store"
)

// holding lists the files below dir in which the text stands.
func holding(t *testing.T, dir, text string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if strings.Contains(string(data), text) {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestSecretAddedWhileRunning: an attribute that becomes a secret, or comes as one, is
// encrypted at a destination that was defined before.
func TestSecretAddedWhileRunning(t *testing.T) {
	for name, first := range map[string]store.Attributes{
		"new":     {"name": "string"},
		"changed": {"name": "string", "ssn": "string"},
	} {
		for as, transform := range map[string]func(replicator.Change) (replicator.Record, error){
			"as it is":    nil,
			"transformed": func(c replicator.Change) (replicator.Record, error) { return c.Data, nil },
			"renamed": func(c replicator.Change) (replicator.Record, error) {
				return replicator.Record{"profile": map[string]any(c.Data)}, nil
			},
		} {
			t.Run(name+" "+as, func(t *testing.T) {
				ctx, dir := t.Context(), t.TempDir()
				db, err := store.Open(ctx, "memory://", store.WithPassphrase("p1"))
				if err != nil {
					t.Fatal(err)
				}
				defer db.Close()
				define := func(a store.Attributes) {
					if _, err := db.CreateResource(ctx, store.Definition{Name: "users", Attributes: a}); err != nil {
						t.Fatal(err)
					}
				}
				define(first)
				r := start(t, db, replicator.Options{Destinations: []replicator.Destination{{
					Driver: s3db.New(s3db.Options{ConnectionString: "file://" + filepath.ToSlash(dir), Passphrase: "p2"}),
					Routes: []replicator.Route{{From: "users", Transform: transform}},
				}}})
				if _, err := db.Resource("users").Insert(ctx, store.Record{"id": "u1", "name": "Ann"}); err != nil {
					t.Fatal(err)
				}
				flush(t, r)
				define(store.Attributes{"name": "string", "ssn": "secret"})
				if _, err := db.Resource("users").Insert(ctx, store.Record{"id": "u2", "name": "Bob", "ssn": secretCanary}); err != nil {
					t.Fatal(err)
				}
				flush(t, r)
				if files := holding(t, dir, secretCanary); files != nil {
					t.Errorf("the secret is in the clear in %v", files)
				}
				if len(failedRows(t, r)) > 0 || len(holding(t, dir, "Bob")) == 0 {
					t.Errorf("the record did not arrive\n%s", describe(r))
				}
			})
		}
	}
}

// described is a store of a few lines that says what its fields are.
type described struct {
	*shelf
	schema atomic.Pointer[cdc.Schema]
	fault  atomic.Pointer[error]
}

func newDescribed(secret bool) *described {
	d := &described{shelf: newShelf()}
	d.CustomSource = replicator.NewSource(replicator.SourceOptions{Get: d.get, Describe: func(context.Context, string) (replicator.Schema, bool, error) {
		if err := d.fault.Load(); err != nil {
			if *err == nil {
				panic("nil pool")
			}
			return replicator.Schema{}, false, *err
		}
		return *d.schema.Load(), true, nil
	}})
	d.define(1, secret)
	return d
}

func (d *described) define(version int, secret bool) {
	d.schema.Store(&cdc.Schema{Resource: "users", Version: version, Key: []string{"id"}, Fields: []cdc.Field{
		{Name: "name", Type: cdc.TypeString}, {Name: "ssn", Type: cdc.TypeString, Secret: secret},
	}})
}

// TestSchemaThatCantBeAsked: while nobody can tell the secrets, nothing is sent, to
// whatever destination; nothing is given up for it either.
func TestSchemaThatCantBeAsked(t *testing.T) {
	fault := errors.New("reset by peer")
	var panics error
	for name, err := range map[string]*error{"error": &fault, "panic": &panics} {
		t.Run(name, func(t *testing.T) {
			s, dir, d := newDescribed(true), t.TempDir(), newEvents()
			r := start(t, s, replicator.Options{Destinations: []replicator.Destination{
				{Name: "plain", Driver: d, Routes: replicator.Routes("users")},
				{
					Name: "backup", Routes: replicator.Routes("users"),
					Driver: s3db.New(s3db.Options{ConnectionString: "file://" + filepath.ToSlash(dir), Passphrase: "p"}),
				},
			}})
			s.fault.Store(err)
			func() {
				defer func() { _ = recover() }() // a panic in Write is its caller's
				if err := s.put(t.Context(), "users", "u1", replicator.Record{"name": "Ann", "ssn": secretCanary}); err != nil {
					t.Fatal(err)
				}
			}()
			waitFor(t, r, func() bool {
				st := r.Stats().Destinations
				return name == "panic" || st["plain"].Err != "" && st["backup"].Err != ""
			})
			if n := len(d.Events("users")); n > 0 {
				t.Errorf("%d deliveries while the secrets can't be told", n)
			}
			s.fault.Store(nil)
			if err := s.put(t.Context(), "users", "u2", replicator.Record{"name": "Bob", "ssn": secretCanary}); err != nil {
				t.Fatal(err)
			}
			flush(t, r)
			if rows := failedRows(t, r); len(rows) > 0 {
				t.Errorf("given up: %+v", rows)
			}
			for _, e := range d.Events("users") {
				if e.Record.Has("ssn") {
					t.Errorf("the secret has arrived: %v", e.Record)
				}
			}
			if files := holding(t, dir, secretCanary); files != nil {
				t.Errorf("the secret is in the clear in %v", files)
			}
			if len(d.Events("users")) == 0 || len(holding(t, dir, "Bob")) == 0 {
				t.Errorf("nothing arrived\n%s", describe(r))
			}
		})
	}
}

// TestUnversionedSchema: a source that does not number its schemas is asked for each
// change, so that a field which became a secret is one at once.
func TestUnversionedSchema(t *testing.T) {
	s := newDescribed(false)
	s.define(0, false)
	d := memory.New(memory.Options{})
	r := start(t, s, replicator.Options{Destinations: to(d, "users")})
	for _, id := range []string{"u1", "u2"} {
		if err := s.put(t.Context(), "users", id, replicator.Record{"name": "Ann", "ssn": secretCanary}); err != nil {
			t.Fatal(err)
		}
		flush(t, r)
		s.define(0, true)
	}
	if got := d.Records("users"); !got["u1"].Has("ssn") || got["u2"].Has("ssn") {
		t.Errorf("arrived: %v", got)
	}
}

// tables is a destination whose targets have the fields that they were given, and no others.
type tables struct {
	down   bool
	mu     sync.Mutex // guards what follows
	fields map[string]bool
	rows   []string // ids, as they came
}

func (*tables) Name() string { return "tables" }

func (d *tables) Open(context.Context) error {
	if d.down {
		return replicator.Unavailable(errors.New("connection refused"))
	}
	return nil
}

func (d *tables) SyncSchema(_ context.Context, target string, schema cdc.Schema) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range schema.Fields {
		d.fields[target+"."+f.Name] = true
	}
	return nil
}

func (d *tables) Apply(_ context.Context, batch []cdc.Delivery) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, delivery := range batch {
		for field := range delivery.Record {
			if field != "id" && !d.fields[delivery.Target+"."+field] {
				return replicator.Permanent(fmt.Errorf("there is no field %s", field))
			}
		}
		d.rows = append(d.rows, delivery.RecordID)
	}
	return nil
}

// TestFieldsThatAreGone: a destination that has never answered gets the fields of the records
// that wait for it, although the source has left them behind since; however it came to be
// there.
func TestFieldsThatAreGone(t *testing.T) {
	other := replicator.Destination{Name: "other", Driver: memory.New(memory.Options{}), Routes: replicator.Routes("users")}
	late := func(down bool) (*tables, replicator.Destination) {
		d := &tables{down: down, fields: map[string]bool{}}
		return d, replicator.Destination{Name: "late", Driver: d, Routes: replicator.Routes("users")}
	}
	for name, begin := range map[string]func(t *testing.T, db *store.DB, dir string) *replicator.Replicator{
		"from the first start": func(t *testing.T, db *store.DB, dir string) *replicator.Replicator {
			_, d := late(true)
			return start(t, db, replicator.Options{Dir: dir, Destinations: []replicator.Destination{other, d}})
		},
		"from a later start": func(t *testing.T, db *store.DB, dir string) *replicator.Replicator {
			halt(t, start(t, db, replicator.Options{Dir: dir, Destinations: []replicator.Destination{other}}))
			_, d := late(true)
			return start(t, db, replicator.Options{Dir: dir, Destinations: []replicator.Destination{other, d}})
		},
		"added": func(t *testing.T, db *store.DB, dir string) *replicator.Replicator {
			r := start(t, db, replicator.Options{Dir: dir, Destinations: []replicator.Destination{other}})
			_, d := late(true)
			if err := r.Add(t.Context(), d); err != nil {
				t.Fatal(err)
			}
			return r
		},
		"detached": func(t *testing.T, db *store.DB, dir string) *replicator.Replicator {
			_, d := late(true)
			r := start(t, db, replicator.Options{Dir: dir, MaxJournalBytes: 1 << 20, OnFull: replicator.DetachSlowest, Destinations: []replicator.Destination{other, d}})
			detached, cancel := r.Subscribe(replicator.JournalPressure)
			defer cancel()
			for i := range 300 { // more than fits
				if _, err := db.Resource("users").Insert(t.Context(), store.Record{"id": fmt.Sprint(i), "name": strings.Repeat("x", 4000)}); err != nil {
					t.Fatal(err)
				}
			}
			for e := range detached {
				if e.Destination == "late" {
					break
				}
			}
			return r
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, dir := t.Context(), t.TempDir()
			db, err := store.Open(ctx, "memory://")
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			define := func(a store.Attributes) {
				if _, err := db.CreateResource(ctx, store.Definition{Name: "users", Attributes: a}); err != nil {
					t.Fatal(err)
				}
			}
			define(store.Attributes{"name": "string", "nick": "string"})
			r := begin(t, db, dir)
			if _, err := db.Resource("users").Insert(ctx, store.Record{"id": "u1", "name": "Ann", "nick": "A"}); err != nil {
				t.Fatal(err)
			}
			halt(t, r)
			define(store.Attributes{"name": "string"})
			d, up := late(false)
			r = start(t, db, replicator.Options{Dir: dir, Destinations: []replicator.Destination{other, up}})
			flush(t, r)
			for _, row := range failedRows(t, r) {
				if !strings.Contains(row.Error, "the journal was full") {
					t.Errorf("failed: %v", row)
				}
			}
			d.mu.Lock()
			defer d.mu.Unlock()
			if !slices.Contains(d.rows, "u1") {
				t.Errorf("it has %v", d.rows)
			}
		})
	}
}
