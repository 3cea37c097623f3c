package replicator_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http/httptest"
	"os"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/memory"
	"github.com/s3db-go/replicator/store"
)

// exampleShop gives the resource orders of a store in memory, and a replicator of it that
// is started. The package's example shows how either is made.
func exampleShop(opts replicator.Options) (*store.Resource, *replicator.Replicator, func()) {
	ctx := context.Background()
	var err error
	check := func(e error) {
		if e != nil {
			log.Fatal(e)
		}
	}
	opts.Dir, err = os.MkdirTemp("", "example")
	check(err)
	db, err := store.Open(ctx, "memory://shop")
	check(err)
	orders, err := db.CreateResource(ctx, store.Definition{Name: "orders", Attributes: store.Attributes{"total": "number"}})
	check(err)
	r, err := replicator.New(db, opts)
	check(err)
	check(r.Start(ctx))
	return orders, r, func() { check(errors.Join(r.Stop(ctx), db.Close(), os.RemoveAll(opts.Dir))) }
}

// Subscribe tells what happens, as it happens.
func ExampleReplicator_Subscribe() {
	ctx := context.Background()
	orders, r, stop := exampleShop(replicator.Options{Destinations: []replicator.Destination{
		{Name: "analytics", Driver: memory.New(memory.Options{}), Routes: replicator.Routes("orders")},
	}})
	defer stop()

	events, cancel := r.Subscribe(replicator.Replicated | replicator.Errors)
	defer cancel()
	if _, err := orders.Insert(ctx, store.Record{"id": "o1", "total": 99.5}); err != nil {
		log.Fatal(err)
	}
	e := <-events
	fmt.Println(e.Kind, e.Operation, e.Resource, e.RecordID, "at", e.Destination)
	// Output: replicated inserted orders o1 at analytics
}

// Stats count since Start.
func ExampleReplicator_Stats() {
	ctx := context.Background()
	orders, r, stop := exampleShop(replicator.Options{Destinations: []replicator.Destination{{
		Name:   "analytics",
		Driver: memory.New(memory.Options{}),
		Routes: []replicator.Route{{From: "orders", ShouldReplicate: func(c replicator.Change) bool { return c.Data.Float("total") >= 100 }}},
	}}})
	defer stop()
	for i, total := range []float64{50, 150, 250} {
		if _, err := orders.Insert(ctx, store.Record{"id": fmt.Sprint(i), "total": total}); err != nil {
			log.Fatal(err)
		}
	}
	if err := r.Flush(ctx); err != nil { // waits until all of it is settled
		log.Fatal(err)
	}
	s := r.Stats().Destinations["analytics"]
	fmt.Println(s.Wanted, "wanted,", s.Replicated, "replicated,", s.Skipped, "skipped,", s.Waiting, "waiting; lag", s.Lag)
	// Output: 3 wanted, 2 replicated, 1 skipped, 0 waiting; lag 0s
}

// Health judges, and HealthHandler serves the judgement to whoever watches the process.
func ExampleReplicator_Health() {
	_, r, stop := exampleShop(replicator.Options{Destinations: []replicator.Destination{
		{Name: "analytics", Driver: memory.New(memory.Options{}), Routes: replicator.Routes("orders")},
	}})
	h := r.Health()
	fmt.Println(h.Status, h.Destinations["analytics"].Status)
	stop()
	fmt.Println(r.Health().Status)
	// Output:
	// healthy healthy
	// unhealthy
}

// The handler goes to a mux as it is: http.Handle("/health", r.HealthHandler()).
func ExampleReplicator_HealthHandler() {
	_, r, stop := exampleShop(replicator.Options{Destinations: []replicator.Destination{
		{Name: "analytics", Driver: memory.New(memory.Options{}), Routes: replicator.Routes("orders")},
	}})
	ask := func() int {
		answer := httptest.NewRecorder()
		r.HealthHandler().ServeHTTP(answer, httptest.NewRequest("GET", "/health", nil))
		return answer.Code
	}
	fmt.Println(ask())
	stop()
	fmt.Println(ask())
	// Output:
	// 200
	// 503
}

// Preview tries routes without sending anything.
func ExampleReplicator_Preview() {
	_, r, stop := exampleShop(replicator.Options{Destinations: []replicator.Destination{{
		Name:   "analytics",
		Driver: memory.New(memory.Options{}),
		Routes: []replicator.Route{
			{From: "orders", To: "premium_orders", ShouldReplicate: func(c replicator.Change) bool { return c.Data.Float("total") >= 100 }},
			{From: "orders", To: "totals", Transform: func(c replicator.Change) (replicator.Record, error) { return c.Data.Pick("total"), nil }},
		},
	}}})
	defer stop()
	change := replicator.Change{Op: replicator.Inserted, Resource: "orders", RecordID: "o1", Data: replicator.Record{"id": "o1", "total": 50.0}}
	all, err := r.Preview("analytics", change)
	if err != nil {
		log.Fatal(err)
	}
	for _, p := range all {
		if p.Delivery == nil {
			fmt.Println(p.Target+":", p.Reason)
			continue
		}
		fmt.Println(p.Target+":", p.Delivery.Key, p.Delivery.Record)
	}
	// Output:
	// premium_orders: the route's ShouldReplicate refused it
	// totals: map[id:o1] map[total:50]
}
