// Selective carries only what the reports ask for to PostgreSQL: completed orders from
// a hundred dollars on, and users who are important. The database may be empty.
//
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
	"github.com/s3db-go/replicator/drivers/postgres"
	"github.com/s3db-go/replicator/store"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	stats, err := run(ctx, os.Getenv("POSTGRES_URL"))
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "selective:", err)
		os.Exit(1)
	}
	fmt.Printf("%d deliveries, %d changes left out\n", stats.Replicated, stats.Skipped)
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
func run(ctx context.Context, url string) (stats replicator.DestinationStats, err error) {
	dir, err := os.MkdirTemp("", "selective-") // a program of yours keeps its journal
	if err != nil {
		return stats, err
	}
	defer os.RemoveAll(dir)
	db, err := store.Open(ctx, "memory://selective")
	if err != nil {
		return stats, err
	}
	defer db.Close()
	for _, definition := range []store.Definition{
		{Name: "orders", Attributes: store.Attributes{"total": "number", "status": "string"}},
		{Name: "users", Attributes: store.Attributes{"email": "string", "tier": "string", "lifetime_value": "number"}},
	} {
		if _, err := db.CreateResource(ctx, definition); err != nil {
			return stats, err
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

func write(ctx context.Context, db *store.DB) error {
	orders, users := db.Resource("orders"), db.Resource("users")
	for _, order := range []store.Record{
		{"id": "small", "total": 50, "status": "completed"},
		{"id": "large", "total": 500, "status": "completed"},
		{"id": "pending", "total": 500, "status": "pending"},
		{"id": "later", "total": 300, "status": "pending"},
	} {
		if _, err := orders.Insert(ctx, order); err != nil {
			return err
		}
	}
	for _, user := range []store.Record{
		{"id": "john", "email": "john@example.com", "tier": "standard", "lifetime_value": 100},
		{"id": "vera", "email": "vera@example.com", "tier": "vip", "lifetime_value": 50000},
		{"id": "vito", "email": "vito@example.com", "tier": "vip", "lifetime_value": 20},
		{"id": "vic", "email": "vic@example.com", "tier": "vip", "lifetime_value": 20},
	} {
		if _, err := users.Insert(ctx, user); err != nil {
			return err
		}
	}
	_, completed := orders.Update(ctx, "later", store.Record{"status": "completed"})
	_, demoted := users.Update(ctx, "vito", store.Record{"tier": "standard"})
	return errors.Join(completed, demoted, orders.Delete(ctx, "large"), users.Delete(ctx, "vic"))
}
