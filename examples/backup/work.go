package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/s3db-go/replicator/store"
)

// work is what an application does, which knows nothing of the backup.
func work(ctx context.Context, db *store.DB) error {
	users, err := db.CreateResource(ctx, store.Definition{
		Name:       "users",
		Attributes: store.Attributes{"name": "string|required", "email": "string|required", "password": "secret"},
		Timestamps: true,
	})
	if err != nil {
		return err
	}
	orders, err := db.CreateResource(ctx, store.Definition{
		Name:       "orders",
		Attributes: store.Attributes{"userId": "string|required", "total": "number", "note": "string"},
		Partitions: map[string]store.Partition{"byUser": {"userId": "string"}},
	})
	if err != nil {
		return err
	}
	for i := range 20 {
		user, err := users.Insert(ctx, store.Record{
			"name": fmt.Sprint("User ", i), "email": fmt.Sprintf("user%d@example.com", i), "password": fmt.Sprint("secret ", i),
		})
		if err != nil {
			return err
		}
		order, err := orders.Insert(ctx, store.Record{"userId": user["id"], "total": 99.99 * float64(i)})
		if err != nil {
			return err
		}
		switch {
		case i%3 == 0:
			_, err = orders.Update(ctx, order.String("id"), store.Record{"note": "paid ✓"})
		case i%7 == 0:
			err = errors.Join(users.Delete(ctx, user.String("id")), orders.Delete(ctx, order.String("id")))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
