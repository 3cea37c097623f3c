package store_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/cdc/sourcetest"
	"github.com/s3db-go/replicator/internal/testbed"
	"github.com/s3db-go/replicator/store"
)

// backends are the connection strings that the tests run against.
var backends = map[string]func(t *testing.T) string{
	"memory": func(*testing.T) string { return "memory://test" },
	"file":   func(t *testing.T) string { return "file://" + t.TempDir() + "?sync=off" },
	"s3":     func(t *testing.T) string { return testbed.S3(t) + "/some/prefix" },
}

func eachBackend(t *testing.T, test func(t *testing.T, connection string)) {
	for name, connection := range backends {
		t.Run(name, func(t *testing.T) { test(t, connection(t)) })
	}
}

// open opens a store and closes it after the test.
func open(t *testing.T, connection string, opts ...store.Option) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), connection, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func create(t *testing.T, db *store.DB, name string, attributes store.Attributes) *store.Resource {
	t.Helper()
	r, err := db.CreateResource(t.Context(), store.Definition{Name: name, Attributes: attributes})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSourceContract(t *testing.T) {
	for name, connection := range backends {
		t.Run(name, func(t *testing.T) {
			sourcetest.Run(t, func(t *testing.T) sourcetest.Harness {
				return sourceHarness(t, connection(t))
			})
		})
	}
}

func sourceHarness(t *testing.T, connection string) sourcetest.Harness {
	db := open(t, connection)
	faults := store.Break(db)
	define := func(ctx context.Context, name string) error {
		_, err := db.CreateResource(ctx, store.Definition{
			Name: name, Attributes: store.Attributes{"name": "string|max:20", "n": "number|integer"},
		})
		return err
	}
	if err := define(t.Context(), "things"); err != nil {
		t.Fatal(err)
	}
	redefined := 0
	withID := func(id string, rec cdc.Record) cdc.Record {
		rec = rec.Clone()
		rec["id"] = id
		return rec
	}
	return sourcetest.Harness{
		Source:   db,
		Resource: "things",
		Create:   define,
		Redefine: func(ctx context.Context, name string) error {
			redefined++
			_, err := db.CreateResource(ctx, store.Definition{
				Name: name, Attributes: store.Attributes{"name": "string|max:20", "n": "number|integer", fmt.Sprint("extra", redefined): "string"},
			})
			return err
		},
		Insert: func(ctx context.Context, resource, id string, rec cdc.Record) error {
			_, err := db.Resource(resource).Insert(ctx, withID(id, rec))
			return err
		},
		InsertMany: func(ctx context.Context, resource string, ids []string, recs []cdc.Record) error {
			all := make([]cdc.Record, len(ids))
			for i := range ids {
				all[i] = withID(ids[i], recs[i])
			}
			_, err := db.Resource(resource).InsertMany(ctx, all)
			return err
		},
		Update: func(ctx context.Context, resource, id string, rec cdc.Record) error {
			_, err := db.Resource(resource).Update(ctx, id, rec)
			return err
		},
		Delete: func(ctx context.Context, resource, id string) error { return db.Resource(resource).Delete(ctx, id) },
		Refuse: func(ctx context.Context, resource string) error {
			_, err := db.Resource(resource).Insert(ctx, cdc.Record{"id": "bad", "name": 42})
			return err
		},
		FailNext: func() { faults.Next("fail") },
		DoubtNext: func(applied bool) {
			faults.Next(map[bool]string{true: "late", false: "lost"}[applied])
		},
	}
}
