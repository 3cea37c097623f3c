package replicator_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"sync"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/memory"
	"github.com/s3db-go/replicator/drivers/s3db"
	"github.com/s3db-go/replicator/store"
)

// A store, two destinations, and everything that happens to a user and an order on
// their way.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	at := func(name string) string { return "file://" + filepath.ToSlash(filepath.Join(dir, name)) }

	db, err := store.Open(ctx, at("db"), store.WithPassphrase("a passphrase for secret attributes"))
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	users, err := db.CreateResource(ctx, store.Definition{
		Name:       "users",
		Attributes: store.Attributes{"name": "string|required", "email": "string|required", "password": "secret"},
	})
	if err != nil {
		log.Fatal(err)
	}
	orders, err := db.CreateResource(ctx, store.Definition{
		Name:       "orders",
		Attributes: store.Attributes{"userId": "string|required", "total": "number"},
	})
	if err != nil {
		log.Fatal(err)
	}

	analytics := memory.New(memory.Options{})
	r, err := replicator.New(db, replicator.Options{
		Dir: filepath.Join(dir, "replicator"), // journal and log live here; must outlive the process
		Destinations: []replicator.Destination{
			{
				Name:   "backup",
				Driver: s3db.New(s3db.Options{ConnectionString: at("backup"), Passphrase: "another one"}),
				Routes: replicator.Routes("users", "orders"),
			},
			{
				Name:   "analytics",
				Driver: analytics,
				Routes: []replicator.Route{{
					From:            "orders",
					To:              "premium_orders",
					Key:             []string{"order_id"},
					Actions:         replicator.Inserted | replicator.Updated,
					ShouldReplicate: func(c replicator.Change) bool { return c.Data.Float("total") >= 100 },
					Transform: func(c replicator.Change) (replicator.Record, error) {
						return replicator.Record{"order_id": c.RecordID, "total": c.Data["total"]}, nil
					},
				}},
			},
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	failures, cancel := r.Subscribe(replicator.Errors)
	defer cancel()
	go func() {
		for e := range failures {
			log.Println(e.Kind, e.Destination, e.RecordID, e.Err)
		}
	}()
	if err := r.Start(ctx); err != nil {
		log.Fatal(err)
	}

	// These replicate by themselves.
	alice, err := users.Insert(ctx, store.Record{"name": "Alice", "email": "alice@example.com", "password": "open sesame"})
	if err != nil {
		log.Fatal(err)
	}
	for _, total := range []float64{99.99, 249.99} {
		order := store.Record{"id": fmt.Sprintf("order-%.0f", total), "userId": alice["id"], "total": total}
		if _, err := orders.Insert(ctx, order); err != nil {
			log.Fatal(err)
		}
	}

	if err := r.Stop(ctx); err != nil { // drains first
		log.Fatal(err)
	}

	copied, err := store.Open(ctx, at("backup"), store.WithPassphrase("another one"))
	if err != nil {
		log.Fatal(err)
	}
	defer copied.Close()
	for user, err := range copied.Resource("users").List(ctx) {
		fmt.Println("backup:", user["name"], user["password"], err)
	}
	n, err := copied.Resource("orders").Count(ctx)
	fmt.Println("backup:", n, "orders", err)
	fmt.Println("analytics:", analytics.Records("premium_orders"))
	// Output:
	// backup: Alice open sesame <nil>
	// backup: 2 orders <nil>
	// analytics: map[order-250:map[order_id:order-250 total:249.99]]
}

// A store of one's own is a source as soon as its writes go through Write. Get is
// what finds out, after a crash, how the last write ended.
func ExampleNewSource() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	var mu sync.Mutex
	prices := map[string]replicator.Record{} // stands for a database
	src := replicator.NewSource(replicator.SourceOptions{
		Get: func(_ context.Context, resource, id string) (replicator.Record, bool, error) {
			mu.Lock()
			defer mu.Unlock()
			r, ok := prices[id]
			return r, ok, nil
		},
	})
	set := func(id string, cents int) error {
		record := replicator.Record{"id": id, "cents": cents}
		change := replicator.Change{Op: replicator.Inserted | replicator.Updated, Resource: "prices", RecordID: id, Data: record}
		return src.Write(ctx, change, func(context.Context) error {
			mu.Lock()
			defer mu.Unlock()
			prices[id] = record
			return nil
		})
	}

	d := memory.New(memory.Options{})
	r, err := replicator.New(src, replicator.Options{
		Dir:          dir,
		Destinations: []replicator.Destination{{Driver: d, Routes: replicator.Routes("prices")}},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := r.Start(ctx); err != nil {
		log.Fatal(err)
	}
	for cents := range 3 {
		if err := set("tea", 100+cents); err != nil {
			log.Fatal(err)
		}
	}
	if err := r.Stop(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(d.Records("prices")["tea"])
	// Output: map[cents:102 id:tea]
}

// Flush waits for what was written before it; the log tells what could not be
// delivered, and why.
func ExampleReplicator_Log() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	db, err := store.Open(ctx, "memory://shop")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	users, err := db.CreateResource(ctx, store.Definition{Name: "users", Attributes: store.Attributes{"email": "string"}})
	if err != nil {
		log.Fatal(err)
	}
	r, err := replicator.New(db, replicator.Options{Dir: dir, Destinations: []replicator.Destination{{
		Name:   "crm",
		Driver: memory.New(memory.Options{}),
		Routes: []replicator.Route{{From: "users", Transform: func(c replicator.Change) (replicator.Record, error) {
			if c.Data.String("email") == "" {
				return nil, fmt.Errorf("has no email")
			}
			return c.Data, nil
		}}},
	}}})
	if err != nil {
		log.Fatal(err)
	}
	if err := r.Start(ctx); err != nil {
		log.Fatal(err)
	}
	defer r.Stop(ctx)
	if _, err := users.Insert(ctx, store.Record{"id": "u1"}); err != nil {
		log.Fatal(err)
	}
	if err := r.Flush(ctx); err != nil {
		log.Fatal(err)
	}
	for row, err := range r.Log(ctx, replicator.Query{Status: replicator.StatusFailed, Resource: "users"}) {
		fmt.Println(row.Destination, row.Resource, row.RecordID, row.Operation, row.Error, err)
	}
	// Output: crm users u1 inserted the route's Transform: has no email <nil>
}

// A destination that is new gets what the store held before, too.
func ExampleReplicator_Backfill() {
	ctx := context.Background()
	check := func(err error) {
		if err != nil {
			log.Fatal(err)
		}
	}
	db, err := store.Open(ctx, "memory://shop")
	check(err)
	defer db.Close()
	orders, err := db.CreateResource(ctx, store.Definition{Name: "orders", Attributes: store.Attributes{"total": "number"}})
	check(err)
	_, err = orders.Insert(ctx, store.Record{"id": "o1", "total": 50})
	check(err)
	_, err = orders.Insert(ctx, store.Record{"id": "o2", "total": 150})
	check(err)

	dir, err := os.MkdirTemp("", "replicator-")
	check(err)
	defer os.RemoveAll(dir)
	copied := memory.New(memory.Options{})
	r, err := replicator.New(db, replicator.Options{
		Dir:          dir,
		Destinations: []replicator.Destination{{Name: "copy", Driver: copied, Routes: replicator.Routes("orders")}},
	})
	check(err)
	check(r.Start(ctx))
	defer r.Stop(ctx)
	check(r.Backfill(ctx, "copy", "orders"))
	fmt.Println(copied.Records("orders")["o2"].Float("total"))
	// Output: 150
}
