package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/s3db-go/replicator/store"
)

// openShop gives a store with the shop's resources.
func openShop(ctx context.Context) (*store.DB, error) {
	db, err := store.Open(ctx, "memory://analytics")
	if err != nil {
		return nil, err
	}
	for _, definition := range []store.Definition{
		{Name: "users", Attributes: store.Attributes{"name": "string|required", "email": "email|required"}, Timestamps: true},
		{Name: "orders", Attributes: store.Attributes{"userId": "string|required", "total": "number|min:0"}, Timestamps: true},
	} {
		if _, err := db.CreateResource(ctx, definition); err != nil {
			return nil, errors.Join(err, db.Close())
		}
	}
	return db, nil
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
	_, updated := orders.Update(ctx, "order-2", store.Record{"total": 29.9})
	return errors.Join(updated, orders.Delete(ctx, "order-3"), users.Delete(ctx, "dave"))
}
