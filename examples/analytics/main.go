// Analytics keeps tables of PostgreSQL in step with a resource store: orders and users
// as they are, and each in a shape of its own. It watches what is replicated and what
// fails, and asks the log at the end. The database may be empty; tables are created.
//
//	POSTGRES_URL=postgres://user:password@localhost:5432/analytics go run ./examples/analytics
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/postgres"
	"github.com/s3db-go/replicator/store"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Stdout, os.Getenv("POSTGRES_URL"))
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "analytics:", err)
		os.Exit(1)
	}
}

// routes carry each resource twice: as it is, and in the shape that the reports want.
func routes() []replicator.Route {
	return []replicator.Route{
		{From: "users", To: "shop.users"},
		{From: "orders", To: "shop.orders"},
		{
			From: "orders",
			To:   "analytics_orders",
			Key:  []string{"order_id"},
			Transform: func(c replicator.Change) (replicator.Record, error) {
				return replicator.Record{"order_id": c.RecordID, "total_usd": c.Data["total"], "created_at": c.Data["createdAt"]}, nil
			},
		},
		{
			From: "users",
			To:   "analytics_users",
			Key:  []string{"user_id"},
			Transform: func(c replicator.Change) (replicator.Record, error) {
				return replicator.Record{"user_id": c.RecordID, "email": c.Data["email"], "signup_date": c.Data["createdAt"]}, nil
			},
		},
	}
}

// run opens the store, replicates what is written to it, and reports.
func run(ctx context.Context, out io.Writer, url string) (err error) {
	dir, err := os.MkdirTemp("", "analytics-") // a program of yours keeps its journal
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	db, err := store.Open(ctx, "memory://analytics")
	if err != nil {
		return err
	}
	defer db.Close()
	for _, definition := range []store.Definition{
		{Name: "users", Attributes: store.Attributes{"name": "string|required", "email": "email|required"}, Timestamps: true},
		{Name: "orders", Attributes: store.Attributes{"userId": "string|required", "total": "number|min:0"}, Timestamps: true},
	} {
		if _, err := db.CreateResource(ctx, definition); err != nil {
			return err
		}
	}
	r, err := replicator.New(db, replicator.Options{
		Dir: dir,
		Destinations: []replicator.Destination{{
			Name:   "analytics",
			Driver: postgres.New(postgres.Options{ConnectionString: url}),
			Routes: routes(),
		}},
	})
	if err != nil {
		return err
	}

	events, cancel := r.Subscribe(replicator.Replicated | replicator.Errors)
	var watching sync.WaitGroup
	watching.Go(func() { watch(out, events) })
	watched := sync.OnceFunc(func() {
		cancel()
		watching.Wait()
	})
	defer watched()

	if err := r.Start(ctx); err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		err = errors.Join(err, r.Stop(ctx))
	}()
	if err := trade(ctx, db); err != nil {
		return err
	}
	if err := r.Flush(ctx); err != nil {
		return err
	}
	watched()
	return recent(ctx, out, r)
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
		if _, err := orders.Insert(ctx, store.Record{"id": fmt.Sprintf("order-%d", i+1), "userId": "carol", "total": total}); err != nil {
			return err
		}
	}
	if _, err := orders.Update(ctx, "order-2", store.Record{"total": 29.9}); err != nil {
		return err
	}
	return errors.Join(orders.Delete(ctx, "order-3"), users.Delete(ctx, "dave"))
}

// watch prints what happens, as it happens.
func watch(out io.Writer, events <-chan replicator.Event) {
	for e := range events {
		if e.Kind == replicator.Replicated {
			fmt.Fprintf(out, "replicated %s %s → %s in %v\n", e.Operation, e.RecordID, e.Target, e.Duration.Round(time.Microsecond))
			continue
		}
		fmt.Fprintf(out, "failed %s %s → %s: %v (tried again: %v)\n", e.Operation, e.RecordID, e.Target, e.Err, e.WillRetry)
	}
}

// recent asks the log for the failures of the last hour.
func recent(ctx context.Context, out io.Writer, r *replicator.Replicator) error {
	failed := 0
	for _, err := range r.Log(ctx, replicator.Query{Status: replicator.StatusFailed, Since: time.Now().Add(-time.Hour)}) {
		if err != nil {
			return err
		}
		failed++
	}
	fmt.Fprintf(out, "%d failed in the last hour; %s\n", failed, r.Health().Status)
	return nil
}
