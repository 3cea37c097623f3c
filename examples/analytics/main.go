// Analytics keeps tables of PostgreSQL in step with a resource store: orders and users
// as they are, and each in a shape of its own. It watches what is replicated and what
// fails, and asks the log at the end. The database may be empty; tables are created.
// Without a database the tables are in memory:
//
//	go run ./examples/analytics
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
	"github.com/s3db-go/replicator/examples/internal/sink"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Stdout, sink.NewTables(os.Getenv("POSTGRES_URL")))
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

// run opens the store, replicates what is written to it, reports and checks.
func run(ctx context.Context, out io.Writer, tables *sink.Tables) (err error) {
	dir, err := os.MkdirTemp("", "analytics-") // a program of yours keeps its journal
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	db, err := openShop(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	r, err := replicator.New(db, replicator.Options{
		Dir:          dir,
		Destinations: []replicator.Destination{{Name: "analytics", Driver: tables.Driver(), Routes: routes()}},
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
	err = errors.Join(trade(ctx, db), r.Flush(ctx))
	watched()
	err = errors.Join(err, recent(ctx, out, r), stop(ctx, r))
	if err != nil {
		return err
	}
	return check(ctx, out, tables)
}

// stop delivers for ten seconds; what is left waits in the journal.
func stop(ctx context.Context, r *replicator.Replicator) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return r.Stop(ctx)
}
