// Events keeps a backup of the orders and, beside it, sends every change of them as an
// event to a queue of SQS. A consumer reads the queue and shows what came.
//
//	SQS_URL=https://sqs.us-east-1.amazonaws.com/123456789012/orders.fifo go run ./examples/events
//
// BACKUP_URL may name a bucket for the backup; without it, it is a directory.
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

	"github.com/aws/aws-sdk-go-v2/config"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/s3db"
	"github.com/s3db-go/replicator/drivers/sqs"
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
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "events-")
	if err != nil {
		return err
	}
	backup := cmp.Or(os.Getenv("BACKUP_URL"), "file:///"+filepath.ToSlash(filepath.Join(dir, "backup")))
	return errors.Join(run(ctx, os.Stdout, dir, backup, os.Getenv("SQS_URL"), awssqs.NewFromConfig(cfg)), os.RemoveAll(dir))
}

// run lets an order live, and reads what the queue says of it.
func run(ctx context.Context, out io.Writer, dir, backup, queueURL string, client *awssqs.Client) (err error) {
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
			{Name: "events", Driver: sqs.New(sqs.Options{QueueURL: queueURL, Client: client}), Routes: replicator.Routes("orders")},
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

	if _, err := orders.Insert(ctx, store.Record{"id": "o-1", "total": 99.5, "status": "open"}); err != nil {
		return err
	}
	if _, err := orders.Update(ctx, "o-1", store.Record{"status": "paid"}); err != nil {
		return err
	}
	if err := orders.Delete(ctx, "o-1"); err != nil {
		return err
	}
	if err := r.Flush(ctx); err != nil {
		return err
	}
	return consume(ctx, out, client, queueURL)
}

// consume reads the queue until it is empty. A consumer of yours would go on, and drop
// what has no higher version than what it has of the record: SQS may deliver twice.
func consume(ctx context.Context, out io.Writer, client *awssqs.Client, queueURL string) error {
	for {
		got, err := client.ReceiveMessage(ctx, &awssqs.ReceiveMessageInput{QueueUrl: &queueURL, MaxNumberOfMessages: 10, WaitTimeSeconds: 1})
		if err != nil || len(got.Messages) == 0 {
			return err
		}
		for _, m := range got.Messages {
			d, err := sqs.Decode(*m.Body)
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "%s %s: status %v, before %v\n", d.Op, d.RecordID, d.Record["status"], d.Before["status"])
			if _, err := client.DeleteMessage(ctx, &awssqs.DeleteMessageInput{QueueUrl: &queueURL, ReceiptHandle: m.ReceiptHandle}); err != nil {
				return err
			}
		}
	}
}
