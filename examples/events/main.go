// Events keeps a backup of the orders and, beside it, sends every change of them as an
// event to a queue of SQS. A consumer reads the queue and shows what came. Without a queue
// the events stay in memory, and the backup is a directory:
//
//	go run ./examples/events
//	SQS_QUEUE_URL=https://sqs.us-east-1.amazonaws.com/123456789012/orders.fifo BACKUP_URL=s3://KEY:SECRET@backup go run ./examples/events
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/s3db"
	"github.com/s3db-go/replicator/examples/internal/local"
	"github.com/s3db-go/replicator/store"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := demonstrate(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "events:", err)
		os.Exit(1)
	}
}

func demonstrate(ctx context.Context) error {
	orders, err := queueOf(ctx, os.Getenv("SQS_QUEUE_URL"))
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "events-")
	if err != nil {
		return err
	}
	backup := cmp.Or(os.Getenv("BACKUP_URL"), local.URL(dir, "backup"))
	return errors.Join(run(ctx, os.Stdout, dir, backup, orders), os.RemoveAll(dir))
}

// run lets an order live, and reads what the queue says of it.
func run(ctx context.Context, out io.Writer, dir, backup string, events queue) (err error) {
	db, err := store.Open(ctx, "memory://shop")
	if err != nil {
		return err
	}
	defer db.Close()
	orders, err := db.CreateResource(ctx, store.Definition{Name: "orders", Attributes: store.Attributes{"total": "number", "status": "string"}})
	if err != nil {
		return err
	}
	r, err := replicator.New(db, replicator.Options{
		Dir: filepath.Join(dir, "replicator"),
		Destinations: []replicator.Destination{
			{Name: "backup", Driver: s3db.New(s3db.Options{ConnectionString: backup}), Routes: replicator.Routes("orders")},
			{Name: "events", Driver: events.driver(), Routes: replicator.Routes("orders")},
		},
	})
	if err != nil {
		return err
	}
	if err := r.Start(ctx); err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		err = errors.Join(err, r.Stop(ctx))
	}()

	id := fmt.Sprintf("o-%x", time.Now().UnixNano()) // of its own, in a queue that others use too
	if _, err := orders.Insert(ctx, store.Record{"id": id, "total": 99.5, "status": "open"}); err != nil {
		return err
	}
	if _, err := orders.Update(ctx, id, store.Record{"status": "paid"}); err != nil {
		return err
	}
	if err := orders.Delete(ctx, id); err != nil {
		return err
	}
	if err := r.Flush(ctx); err != nil {
		return err
	}
	return consume(ctx, out, events, id)
}
