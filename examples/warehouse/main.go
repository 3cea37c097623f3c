// Warehouse keeps the same resources in two places: tables of PostgreSQL for programs,
// and of BigQuery for analysts. Both may be empty; datasets and tables are created. What
// the environment does not name is in memory:
//
//	go run ./examples/warehouse
//	POSTGRES_URL=postgres://user:password@localhost:5432/analytics GCP_PROJECT=my-project go run ./examples/warehouse
//
// BigQuery takes the credentials that the environment has (GOOGLE_APPLICATION_CREDENTIALS,
// or those of the machine). BIGQUERY_DATASET names the dataset, "analytics" if it is not
// set.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/examples/internal/sink"
	"github.com/s3db-go/replicator/store"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Stdout, sink.NewTables(os.Getenv("POSTGRES_URL")), named())
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "warehouse:", err)
		os.Exit(1)
	}
}

// run opens the store, replicates what is written to it, and checks both places.
func run(ctx context.Context, out io.Writer, tables *sink.Tables, w *warehouse) (err error) {
	dir, err := os.MkdirTemp("", "warehouse-") // a program of yours keeps its journal
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	db, err := store.Open(ctx, "memory://warehouse")
	if err != nil {
		return err
	}
	defer db.Close()
	for _, definition := range []store.Definition{
		{Name: "users", Attributes: store.Attributes{"name": "string|required", "email": "email|required"}},
		{Name: "orders", Attributes: store.Attributes{"userId": "string|required", "total": "number|min:0", "tags": "array|items:string"}},
	} {
		if _, err := db.CreateResource(ctx, definition); err != nil {
			return err
		}
	}
	both := replicator.Routes("orders", "users")
	r, err := replicator.New(db, replicator.Options{
		Dir: dir,
		Destinations: []replicator.Destination{
			{Name: "postgres", Driver: tables.Driver(), Routes: both},
			{Name: "bigquery", Driver: w.driver, Routes: both},
		},
	})
	if err != nil {
		return err
	}
	if err := r.Start(ctx); err != nil {
		return err
	}
	err = errors.Join(trade(ctx, db), r.Flush(ctx), stop(ctx, r))
	if err != nil {
		return err
	}
	return errors.Join(check(ctx, out, tables), w.check(ctx, out))
}

// stop delivers for ten seconds; what is left waits in the journal.
func stop(ctx context.Context, r *replicator.Replicator) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return r.Stop(ctx)
}

// trade does a day's work in the shop.
func trade(ctx context.Context, db *store.DB) error {
	users, orders := db.Resource("users"), db.Resource("orders")
	for _, name := range []string{"carol", "dave"} {
		if _, err := users.Insert(ctx, store.Record{"id": name, "name": name, "email": name + "@example.com"}); err != nil {
			return err
		}
	}
	for i, total := range []float64{249.99, 19.9, 80} {
		if _, err := orders.Insert(ctx, store.Record{"id": fmt.Sprintf("order-%d", i+1), "userId": "carol", "total": total, "tags": []any{"new"}}); err != nil {
			return err
		}
	}
	_, updated := orders.Update(ctx, "order-2", store.Record{"total": 29.9})
	return errors.Join(updated, orders.Delete(ctx, "order-3"), users.Delete(ctx, "dave"))
}

// check looks for the day's work in the first place.
func check(ctx context.Context, out io.Writer, tables *sink.Tables) error {
	err := errors.Join(
		tables.Check(ctx, "users", []string{"id", "name", "email"}, "carol carol carol@example.com"),
		tables.Check(ctx, "orders", []string{"id", "userId", "total"}, "order-1 carol 249.99", "order-2 carol 29.9"),
	)
	if err == nil {
		fmt.Fprintln(out, "PostgreSQL has the users and orders")
	}
	return err
}
