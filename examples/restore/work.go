package main

import (
	"context"
	"fmt"

	"github.com/s3db-go/replicator/store"
)

// place is where a store is, and the passphrase of its secrets.
type place struct{ url, passphrase string }

func (p place) open(ctx context.Context) (*store.DB, error) {
	return store.Open(ctx, p.url, store.WithPassphrase(p.passphrase))
}

// work is the application: it defines what it needs, writes new users and orders, and
// changes and removes some of the earlier ones.
func work(ctx context.Context, db *store.DB, first, end int) error {
	users, err := db.CreateResource(ctx, store.Definition{
		Name:       "users",
		Attributes: store.Attributes{"name": "string|required", "password": "secret|required", "visits": "number|integer"},
		Timestamps: true,
	})
	if err != nil {
		return err
	}
	orders, err := db.CreateResource(ctx, store.Definition{
		Name:       "orders",
		Attributes: store.Attributes{"userId": "string|required", "total": "money", "lines": "array|items:string"},
		Behavior:   "body-overflow",
		Partitions: map[string]store.Partition{"byUser": {"userId": "string"}},
	})
	if err != nil {
		return err
	}
	name := func(i int) string { return fmt.Sprintf("u%04d", i) }
	for i := first; i < end; i++ {
		_, err := users.Insert(ctx, store.Record{"id": name(i), "name": fmt.Sprint("User ", i), "password": fmt.Sprint("secret ", i), "visits": 0})
		if err == nil {
			lines := make([]string, i%120) // some orders are long
			for j := range lines {
				lines[j] = fmt.Sprintf("article number %d", j)
			}
			_, err = orders.Insert(ctx, store.Record{"id": "o" + name(i), "userId": name(i), "total": float64(i) + 0.99, "lines": lines})
		}
		switch earlier := name(i / 2); {
		case err != nil:
		case i%5 == 0 && i >= 2:
			_, err = orders.Upsert(ctx, store.Record{"id": "o" + earlier, "userId": earlier, "total": 0})
		case i%11 == 0 && i >= 2:
			err = orders.Delete(ctx, "o"+name(i))
		case i%3 == 0 && i >= 2:
			_, err = users.Update(ctx, earlier, store.Record{"visits": i})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// wipeRecords deletes all records of the resources.
func wipeRecords(ctx context.Context, p place) error {
	db, err := p.open(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	for _, name := range []string{"users", "orders"} {
		var ids []string
		for record, err := range db.Resource(name).List(ctx) {
			if err != nil {
				return err
			}
			ids = append(ids, record.String("id"))
		}
		if err := db.Resource(name).DeleteMany(ctx, ids...); err != nil {
			return err
		}
	}
	return nil
}
