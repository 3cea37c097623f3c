package postgres_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/postgres"
	"github.com/s3db-go/replicator/internal/testbed"
	"github.com/s3db-go/replicator/store"
)

// TestOnlyTheBadRowFails: one row in a thousand is refused, and the rows of a table
// with a foreign key come before the row that they refer to. All but the bad one
// arrive.
func TestOnlyTheBadRowFails(t *testing.T) {
	url := testbed.Postgres(t)
	exec(t, url, `CREATE TABLE users (id text PRIMARY KEY, name text)`, `CREATE TABLE orders (id text PRIMARY KEY, buyer text REFERENCES users, total float8 CHECK (total < 5000))`)
	db, err := store.Open(t.Context(), "memory://only-the-bad-row")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, def := range []store.Definition{
		{Name: "users", Attributes: store.Attributes{"name": "string"}}, {Name: "orders", Attributes: store.Attributes{"buyer": "string", "total": "number"}},
	} {
		if _, err := db.CreateResource(t.Context(), def); err != nil {
			t.Fatal(err)
		}
	}
	r, err := replicator.New(db, replicator.Options{Dir: t.TempDir(), Destinations: []replicator.Destination{{
		Driver: postgres.New(postgres.Options{ConnectionString: url}), Routes: replicator.Routes("orders", "users"),
	}}})
	if err != nil {
		t.Fatal(err)
	}
	events, cancel := r.Subscribe(replicator.Retrying)
	defer cancel()
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = r.Stop(ctx) // without draining
	})
	var records []store.Record
	for i := range 1000 {
		records = append(records, store.Record{"id": fmt.Sprintf("o%04d", i), "total": float64(i)})
	}
	records[700]["total"] = 9999.0
	records[300]["buyer"], records[900]["buyer"] = "late", "late"
	if _, err := db.Resource("orders").InsertMany(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	select { // until a child was refused
	case <-events:
	case <-time.After(20 * time.Second):
		t.Fatal("no child was ever refused")
	}
	if _, err := db.Resource("users").Insert(t.Context(), store.Record{"id": "late", "name": "Late"}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 40*time.Second)
	defer stop()
	if err := r.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	var failed []string
	for row, err := range r.Log(t.Context(), replicator.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		failed = append(failed, row.RecordID+": "+row.Error)
	}
	const want = `o0700: postgres: write orders: 23514 check_violation on constraint "orders_total_check"`
	if len(failed) != 1 || failed[0] != want {
		t.Errorf("failed: %q, want %q", failed, want)
	}
	if n := len(read(t, url, "orders")); n != 999 {
		t.Errorf("%d orders arrived", n)
	}
}
