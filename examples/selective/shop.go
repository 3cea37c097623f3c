package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/s3db-go/replicator/examples/internal/sink"
	"github.com/s3db-go/replicator/store"
)

// openShop gives a store with the shop's resources.
func openShop(ctx context.Context) (*store.DB, error) {
	db, err := store.Open(ctx, "memory://selective")
	if err != nil {
		return nil, err
	}
	for _, definition := range []store.Definition{
		{Name: "orders", Attributes: store.Attributes{"total": "number", "status": "string"}},
		{Name: "users", Attributes: store.Attributes{"email": "string", "tier": "string", "lifetime_value": "number"}},
	} {
		if _, err := db.CreateResource(ctx, definition); err != nil {
			return nil, errors.Join(err, db.Close())
		}
	}
	return db, nil
}

// write makes orders and users, some of whom the reports don't want, or no more.
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

// check looks for those that are wanted, and for nobody else.
func check(ctx context.Context, out io.Writer, tables *sink.Tables) error {
	err := errors.Join(
		// The delete of large does not pass, so its row stays; pending never came.
		tables.Check(ctx, "premium_orders", []string{"order_id", "total", "status"}, "large 500 completed", "later 300 completed"),
		// vito lost his tier, vic is deleted.
		tables.Check(ctx, "vip_users", []string{"user_id", "email", "tier", "ltv"}, "vera vera@example.com vip 50000"),
	)
	if err == nil {
		fmt.Fprintln(out, "the tables hold what the reports ask for, and nothing else")
	}
	return err
}
