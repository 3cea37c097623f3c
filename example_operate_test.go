package replicator_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"sync/atomic"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/memory"
	"github.com/s3db-go/replicator/store"
)

// What failed is sent again once its cause is mended, with the record as it is by then.
func ExampleReplicator_Retry() {
	ctx := context.Background()
	var mended atomic.Bool
	copied := memory.New(memory.Options{})
	orders, r, stop := exampleShop(replicator.Options{Destinations: []replicator.Destination{{
		Name:   "copy",
		Driver: copied,
		Routes: []replicator.Route{{From: "orders", Transform: func(c replicator.Change) (replicator.Record, error) {
			if !mended.Load() {
				return nil, errors.New("a bug in the transform")
			}
			return c.Data, nil
		}}},
	}}})
	defer stop()
	if _, err := orders.Insert(ctx, store.Record{"id": "o1", "total": 99.5}); err != nil {
		log.Fatal(err)
	}
	if err := r.Flush(ctx); err != nil {
		log.Fatal(err)
	}
	failed, err := r.LogCount(ctx, replicator.Query{Status: replicator.StatusFailed})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(failed, "failed;", len(copied.Records("orders")), "there")

	mended.Store(true)
	n, err := r.Retry(ctx, replicator.Query{Status: replicator.StatusFailed, Resource: "orders"})
	if err != nil {
		log.Fatal(err)
	}
	if err := r.Flush(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(n, "sent again;", len(copied.Records("orders")), "there")
	// Output:
	// 1 failed; 0 there
	// 1 sent again; 1 there
}

// Discard gives failures up that nobody will mend. They stay in the log.
func ExampleReplicator_Discard() {
	ctx := context.Background()
	orders, r, stop := exampleShop(replicator.Options{Destinations: []replicator.Destination{{
		Name:   "copy",
		Driver: memory.New(memory.Options{}),
		Routes: []replicator.Route{{From: "orders", Transform: func(replicator.Change) (replicator.Record, error) {
			return nil, errors.New("not an order of ours")
		}}},
	}}})
	defer stop()
	if _, err := orders.Insert(ctx, store.Record{"id": "o1", "total": 99.5}); err != nil {
		log.Fatal(err)
	}
	if err := r.Flush(ctx); err != nil {
		log.Fatal(err)
	}
	n, err := r.Discard(ctx, replicator.Query{Destination: "copy", RecordID: "o1"})
	if err != nil {
		log.Fatal(err)
	}
	for row, err := range r.Log(ctx, replicator.Query{Status: replicator.StatusDiscarded}) {
		fmt.Println(n, row.RecordID, row.Status, err)
	}
	// Output: 1 o1 discarded <nil>
}

// A destination that is paused misses nothing.
func ExampleReplicator_Pause() {
	ctx := context.Background()
	copied := memory.New(memory.Options{})
	orders, r, stop := exampleShop(replicator.Options{Destinations: []replicator.Destination{
		{Name: "copy", Driver: copied, Routes: replicator.Routes("orders")},
	}})
	defer stop()
	if err := r.Pause(ctx, "copy"); err != nil {
		log.Fatal(err)
	}
	if _, err := orders.Insert(ctx, store.Record{"id": "o1", "total": 99.5}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Stats().Destinations["copy"].Waiting, "waiting,", len(copied.Records("orders")), "there")
	if err := r.Resume(ctx, "copy"); err != nil {
		log.Fatal(err)
	}
	if err := r.Flush(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Stats().Destinations["copy"].Waiting, "waiting,", len(copied.Records("orders")), "there")
	// Output:
	// 1 waiting, 0 there
	// 0 waiting, 1 there
}

// What Retain keeps of the journal can be delivered once more, to one destination alone:
// here to a consumer that lost what it had.
func ExampleReplicator_Rewind() {
	ctx := context.Background()
	events := memory.New(memory.Options{Events: true})
	orders, r, stop := exampleShop(replicator.Options{
		Retain:       replicator.Retain{Age: 24 * time.Hour},
		Destinations: []replicator.Destination{{Name: "events", Driver: events, Routes: replicator.Routes("orders")}},
	})
	defer stop()
	begin := time.Now()
	for _, id := range []string{"o1", "o2"} {
		if _, err := orders.Insert(ctx, store.Record{"id": id, "total": 99.5}); err != nil {
			log.Fatal(err)
		}
	}
	if err := r.Flush(ctx); err != nil {
		log.Fatal(err)
	}
	if err := r.Rewind(ctx, "events", begin); err != nil {
		log.Fatal(err)
	}
	if err := r.Flush(ctx); err != nil {
		log.Fatal(err)
	}
	got := events.Events("orders")
	fmt.Println(len(got), "events; the first came again under the same id:", got[0].ChangeID == got[2].ChangeID || got[0].ChangeID == got[3].ChangeID)
	// Output: 4 events; the first came again under the same id: true
}

// Destinations come and go while the replicator runs. A new one may begin with what the
// store holds already.
func ExampleReplicator_Add() {
	ctx := context.Background()
	orders, r, stop := exampleShop(replicator.Options{Destinations: []replicator.Destination{
		{Name: "copy", Driver: memory.New(memory.Options{}), Routes: replicator.Routes("orders")},
	}})
	defer stop()
	if _, err := orders.Insert(ctx, store.Record{"id": "o1", "total": 99.5}); err != nil {
		log.Fatal(err)
	}
	search := memory.New(memory.Options{})
	if err := r.Add(ctx, replicator.Destination{Name: "search", Driver: search, Routes: replicator.Routes("orders")}); err != nil {
		log.Fatal(err)
	}
	if err := r.Backfill(ctx, "search"); err != nil { // InitialSync would do it by itself
		log.Fatal(err)
	}
	if _, err := orders.Insert(ctx, store.Record{"id": "o2", "total": 10}); err != nil {
		log.Fatal(err)
	}
	if err := r.Flush(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(search.Records("orders")), "orders are there")
	fmt.Println(r.Remove(ctx, "search"))
	// Output:
	// 2 orders are there
	// <nil>
}

// Stop delivers what it can until its context ends. What is left waits on disk, and goes
// with the next Start.
func ExampleReplicator_Stop() {
	ctx := context.Background()
	var back atomic.Bool
	copied := memory.New(memory.Options{Before: func(context.Context, []replicator.Delivery) error {
		if !back.Load() {
			return replicator.Unavailable(errors.New("no answer"))
		}
		return nil
	}})
	orders, r, stop := exampleShop(replicator.Options{Destinations: []replicator.Destination{
		{Name: "copy", Driver: copied, Routes: replicator.Routes("orders")},
	}})
	defer stop()
	if _, err := orders.Insert(ctx, store.Record{"id": "o1", "total": 99.5}); err != nil {
		log.Fatal(err)
	}
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	fmt.Println("all delivered:", r.Stop(short) == nil)

	back.Store(true)
	if err := r.Start(ctx); err != nil {
		log.Fatal(err)
	}
	if err := r.Flush(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(copied.Records("orders")), "there after the next start")
	// Output:
	// all delivered: false
	// 1 there after the next start
}

// Errors that an option has are told all at once, before anything runs.
func ExampleNew() {
	_, err := replicator.New(replicator.NewSource(replicator.SourceOptions{}), replicator.Options{
		Destinations: []replicator.Destination{{Name: "copy", Driver: memory.New(memory.Options{})}},
	})
	fmt.Println(err)
	// Output:
	// replicator: Dir is empty; the journal needs a directory that outlives the process
	// replicator: destination "copy": Routes is empty; nothing would be replicated
	// replicator: source: SourceOptions.Get is nil; without it the end of an interrupted write can't be found out
}
