// Destinations carries each write of a store to all who want it: a backup gets users and
// orders, a table of PostgreSQL the orders in the shape of the reports, a queue of SQS
// the orders as events, and the CRM the new users, by webhook. What the environment does
// not name is a directory, or within the process:
//
//	go run ./examples/destinations
//	POSTGRES_URL=postgres://user:password@localhost:5432/analytics \
//	SQS_QUEUE_URL=https://sqs.us-east-1.amazonaws.com/123456789012/orders.fifo \
//	CRM_URL=https://crm.example.com/api/users CRM_TOKEN=… BACKUP_URL=s3://KEY:SECRET@backup \
//		go run ./examples/destinations
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/s3db"
	"github.com/s3db-go/replicator/drivers/sqs"
	"github.com/s3db-go/replicator/drivers/webhook"
	"github.com/s3db-go/replicator/examples/internal/local"
)

func main() {
	dir, err := os.MkdirTemp("", "destinations-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "destinations:", err)
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err = run(ctx, os.Stdout, dir, places{
		backup:   cmp.Or(os.Getenv("BACKUP_URL"), local.URL(dir, "backup")),
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

// destinations say who gets what.
func destinations(at places) []replicator.Destination {
	return []replicator.Destination{
		{
			Name:   "backup",
			Driver: s3db.New(s3db.Options{ConnectionString: at.backup}),
			Routes: replicator.Routes("users", "orders"),
		},
		{
			Name:   "analytics",
			Driver: at.tables(),
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
			Driver: at.events(),
			Routes: replicator.Routes("orders"),
		},
		{
			Name:   "crm",
			Driver: at.contacts(),
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

// run writes a user and an order, and tells what became of them.
func run(ctx context.Context, out io.Writer, dir string, at places) (err error) {
	stop, err := at.fill()
	if err != nil {
		return err
	}
	db, r, err := open(ctx, dir, at)
	if err != nil {
		return errors.Join(err, stop())
	}
	order, err := shop(ctx, db)
	if err == nil {
		err = errors.Join(r.Flush(ctx), check(ctx, out, r.Stats(), db, at, order))
	}
	// Delivers for ten seconds; what is left waits in the journal.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return errors.Join(err, r.Stop(ctx), db.Close(), stop())
}
