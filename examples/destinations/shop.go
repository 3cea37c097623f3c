package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/examples/internal/compare"
	"github.com/s3db-go/replicator/examples/internal/local"
	"github.com/s3db-go/replicator/store"
)

// open opens the store, and a replicator on it that is started.
func open(ctx context.Context, dir string, at places) (*store.DB, *replicator.Replicator, error) {
	db, err := store.Open(ctx, local.URL(dir, "shop"))
	if err != nil {
		return nil, nil, err
	}
	r, err := replicator.New(db, replicator.Options{Dir: filepath.Join(dir, "replicator"), Destinations: destinations(at)})
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	for _, definition := range []store.Definition{
		{Name: "users", Attributes: store.Attributes{"name": "string", "email": "string"}, Timestamps: true},
		{Name: "orders", Attributes: store.Attributes{"userId": "string", "total": "number"}, Timestamps: true},
	} {
		if _, err := db.CreateResource(ctx, definition); err != nil {
			return nil, nil, errors.Join(err, db.Close())
		}
	}
	if err := r.Start(ctx); err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return db, r, nil
}

// shop is what the application does; it gives the order's id.
func shop(ctx context.Context, db *store.DB) (string, error) {
	user, err := db.Resource("users").Insert(ctx, store.Record{"name": "Carol", "email": "carol@example.com"})
	if err != nil {
		return "", err
	}
	order, err := db.Resource("orders").Insert(ctx, store.Record{"userId": user["id"], "total": 249.99})
	if err != nil {
		return "", err
	}
	_, err = db.Resource("orders").Update(ctx, order.String("id"), store.Record{"total": 199.99})
	return order.String("id"), err
}

// check tells what was delivered, and looks for it wherever it can be read back.
func check(ctx context.Context, out io.Writer, stats replicator.Stats, db *store.DB, at places, order string) error {
	for _, name := range slices.Sorted(maps.Keys(stats.Destinations)) {
		s := stats.Destinations[name]
		fmt.Fprintf(out, "%-9s %d replicated, %d failed\n", name, s.Replicated, s.Failed)
		if s.Failed > 0 || s.Replicated == 0 {
			return fmt.Errorf("%s: %s", name, s.Err)
		}
	}
	copied, err := store.Open(ctx, at.backup)
	if err != nil {
		return err
	}
	defer copied.Close()
	verdict, err := compare.Stores(ctx, db, copied, "users", "orders")
	if err := errors.Join(err, verdict.Err()); err != nil {
		return err
	}
	rows, err := at.memory.Rows(ctx, "analytics_orders", "order_id", "total_usd")
	if err != nil || !slices.Contains(rows, order+" 199.99") {
		return fmt.Errorf("analytics_orders lacks the order: %q (%v)", rows, err)
	}
	if at.queue.QueueURL == "" {
		if events := at.inQueue.Events("orders"); len(events) != 2 || events[1].Record.Float("total") != 199.99 {
			return fmt.Errorf("the queue has %v", events)
		}
	}
	if at.receiver != nil {
		if emails, err := at.emails(); err != nil || !slices.Equal(emails, []string{"carol@example.com"}) {
			return fmt.Errorf("the CRM has %q (%v)", emails, err)
		}
	}
	fmt.Fprintln(out, "all of them have what they must")
	return nil
}
