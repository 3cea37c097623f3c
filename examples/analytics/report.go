package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/examples/internal/sink"
)

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
	for _, err := range r.Log(ctx, replicator.Query{GivenUp: true, Since: time.Now().Add(-time.Hour)}) {
		if err != nil {
			return err
		}
		failed++
	}
	fmt.Fprintf(out, "%d failed in the last hour; %s\n", failed, r.Health().Status)
	return nil
}

// check looks for the day's work in the tables.
func check(ctx context.Context, out io.Writer, tables *sink.Tables) error {
	err := errors.Join(
		tables.Check(ctx, "shop.users", []string{"id", "name", "email"}, "carol carol carol@example.com"),
		tables.Check(ctx, "shop.orders", []string{"id", "userId", "total"}, "order-1 carol 249.99", "order-2 carol 29.9"),
		tables.Check(ctx, "analytics_orders", []string{"order_id", "total_usd"}, "order-1 249.99", "order-2 29.9"),
		tables.Check(ctx, "analytics_users", []string{"user_id", "email"}, "carol carol@example.com"),
	)
	if err == nil {
		fmt.Fprintln(out, "the four tables hold what they must")
	}
	return err
}
