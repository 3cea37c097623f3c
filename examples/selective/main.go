// Selective carries only what the reports ask for to PostgreSQL: completed orders from
// a hundred dollars on, and users who are important. The database may be empty; without
// one the tables are in memory:
//
//	go run ./examples/selective
//	POSTGRES_URL=postgres://user:password@localhost:5432/analytics go run ./examples/selective
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/examples/internal/sink"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	tables := sink.NewTables(os.Getenv("POSTGRES_URL"))
	stats, err := run(ctx, tables)
	if err == nil {
		fmt.Printf("%d deliveries, %d changes left out\n", stats.Replicated, stats.Skipped)
		err = check(ctx, os.Stdout, tables)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "selective:", err)
		os.Exit(1)
	}
}

func routes() []replicator.Route {
	return []replicator.Route{
		{
			From: "orders",
			To:   "premium_orders",
			Key:  []string{"order_id"},
			ShouldReplicate: func(c replicator.Change) bool {
				return c.Op != replicator.Deleted && c.Data.Float("total") >= 100 && c.Data.String("status") == "completed"
			},
			Transform: func(c replicator.Change) (replicator.Record, error) {
				return replicator.Record{
					"order_id": c.RecordID, "total": c.Data["total"], "status": c.Data["status"],
					"completed_at": c.Time, // and not time.Now: the change may be sent more than once
				}, nil
			},
		},
		{
			From: "users",
			To:   "vip_users",
			Key:  []string{"user_id"},
			ShouldReplicate: func(c replicator.Change) bool {
				return c.Data.String("tier") == "vip" || c.Data.Float("lifetime_value") > 10000
			},
			OnLeave: replicator.Remove, // who is not important any more has no row
			Transform: func(c replicator.Change) (replicator.Record, error) {
				return replicator.Record{
					"user_id": c.RecordID, "email": c.Data["email"], "tier": c.Data["tier"], "ltv": c.Data["lifetime_value"],
				}, nil
			},
		},
	}
}

// run replicates a few writes, and tells how many of them went on.
func run(ctx context.Context, tables *sink.Tables) (stats replicator.DestinationStats, err error) {
	dir, err := os.MkdirTemp("", "selective-") // a program of yours keeps its journal
	if err != nil {
		return stats, err
	}
	defer os.RemoveAll(dir)
	db, err := openShop(ctx)
	if err != nil {
		return stats, err
	}
	defer db.Close()
	r, err := replicator.New(db, replicator.Options{
		Dir:          dir,
		Destinations: []replicator.Destination{{Name: "analytics", Driver: tables.Driver(), Routes: routes()}},
	})
	if err != nil {
		return stats, err
	}
	if err := r.Start(ctx); err != nil {
		return stats, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		err = errors.Join(err, r.Stop(ctx))
	}()
	if err := write(ctx, db); err != nil {
		return stats, err
	}
	if err := r.Flush(ctx); err != nil {
		return stats, err
	}
	return r.Stats().Destinations["analytics"], nil
}
