// Destinations carries each write of a store to all who want it: a backup gets users and
// orders, a table of PostgreSQL the orders in the shape of the reports, a queue of SQS
// the orders as events, and the CRM the new users, by webhook.
//
//	POSTGRES_URL=postgres://user:password@localhost:5432/analytics \
//	SQS_QUEUE_URL=https://sqs.us-east-1.amazonaws.com/123456789012/orders.fifo \
//	CRM_URL=https://crm.example.com/api/users CRM_TOKEN=… go run ./examples/destinations
//
// BACKUP_URL may name a bucket for the backup; without it, it is a directory.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/postgres"
	"github.com/s3db-go/replicator/drivers/s3db"
	"github.com/s3db-go/replicator/drivers/sqs"
	"github.com/s3db-go/replicator/drivers/webhook"
	"github.com/s3db-go/replicator/store"
)

func main() {
	dir, err := os.MkdirTemp("", "destinations-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "destinations:", err)
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err = run(ctx, os.Stdout, dir, places{
		backup:   cmp.Or(os.Getenv("BACKUP_URL"), "file:///"+filepath.ToSlash(filepath.Join(dir, "backup"))),
		database: os.Getenv("POSTGRES_URL"),
		queue:    sqs.Options{QueueURL: os.Getenv("SQS_QUEUE_URL")},
		crm:      webhook.Options{URL: os.Getenv("CRM_URL"), Auth: webhook.Bearer(os.Getenv("CRM_TOKEN"))},
	})
	stop()
	if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
		fmt.Fprintln(os.Stderr, "destinations:", err)
		os.Exit(1)
	}
}

// places are where the destinations are.
type places struct {
	backup   string
	database string
	queue    sqs.Options
	crm      webhook.Options
}

// destinations say who gets what.
func destinations(at places) []replicator.Destination {
	at.crm.Body = webhook.Bare // the CRM's interface takes users, and knows nothing of changes
	return []replicator.Destination{
		{
			Name:   "backup",
			Driver: s3db.New(s3db.Options{ConnectionString: at.backup}),
			Routes: replicator.Routes("users", "orders"),
		},
		{
			Name:   "analytics",
			Driver: postgres.New(postgres.Options{ConnectionString: at.database}),
			Routes: []replicator.Route{{
				From: "orders",
				To:   "analytics_orders",
				Key:  []string{"order_id"},
				Transform: func(c replicator.Change) (replicator.Record, error) {
					return replicator.Record{"order_id": c.RecordID, "total_usd": c.Data["total"], "created_at": c.Data["createdAt"]}, nil
				},
			}},
		},
		{
			Name:   "events",
			Driver: sqs.New(at.queue),
			Routes: replicator.Routes("orders"),
		},
		{
			Name:   "crm",
			Driver: webhook.New(at.crm),
			Routes: []replicator.Route{{
				From:    "users",
				Actions: replicator.Inserted, // only new users
				Transform: func(c replicator.Change) (replicator.Record, error) {
					return replicator.Record{"user_id": c.RecordID, "email": c.Data["email"], "name": c.Data["name"]}, nil
				},
			}},
		},
	}
}

// open opens the store, and a replicator on it that is started.
func open(ctx context.Context, dir string, at places) (*store.DB, *replicator.Replicator, error) {
	db, err := store.Open(ctx, "file:///"+filepath.ToSlash(filepath.Join(dir, "shop")))
	if err != nil {
		return nil, nil, err
	}
	r, err := replicator.New(db, replicator.Options{Dir: filepath.Join(dir, "replicator"), Destinations: destinations(at)})
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	for _, definition := range []store.Definition{
		{Name: "users", Attributes: store.Attributes{"name": "string", "email": "string"}, Timestamps: true},
		{Name: "orders", Attributes: store.Attributes{"userId": "string", "total": "number"}, Timestamps: true},
	} {
		if _, err := db.CreateResource(ctx, definition); err != nil {
			return nil, nil, errors.Join(err, db.Close())
		}
	}
	if err := r.Start(ctx); err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return db, r, nil
}

// run writes a user and an order, and tells what became of them.
func run(ctx context.Context, out io.Writer, dir string, at places) (err error) {
	db, r, err := open(ctx, dir, at)
	if err != nil {
		return err
	}
	defer func() {
		// Delivers for ten seconds; what is left waits in the journal.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		err = errors.Join(err, r.Stop(ctx), db.Close())
	}()
	user, err := db.Resource("users").Insert(ctx, store.Record{"name": "Carol", "email": "carol@example.com"})
	if err != nil {
		return err
	}
	order, err := db.Resource("orders").Insert(ctx, store.Record{"userId": user["id"], "total": 249.99})
	if err != nil {
		return err
	}
	if _, err := db.Resource("orders").Update(ctx, order.String("id"), store.Record{"total": 199.99}); err != nil {
		return err
	}
	if err := r.Flush(ctx); err != nil {
		return err
	}
	stats := r.Stats().Destinations
	for _, name := range slices.Sorted(maps.Keys(stats)) {
		fmt.Fprintf(out, "%-9s %d replicated, %d failed\n", name, stats[name].Replicated, stats[name].Failed)
	}
	return nil
}
