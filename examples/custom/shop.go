package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/examples/internal/sink"
)

// work is what an application does with its store.
func work(ctx context.Context, store *folder) error {
	return errors.Join(
		store.put(ctx, "articles", "cake", replicator.Record{"name": "Cake", "price": 3.2, "stock": 8}),
		store.put(ctx, "articles", "jam", replicator.Record{"name": "Jam", "price": 2.8, "stock": 5}),
		store.put(ctx, "articles", "tea", replicator.Record{"name": "Tea", "price": 4.9, "stock": 10}), // the price alone
		store.put(ctx, "articles", "cake", replicator.Record{"name": "Cake", "price": 3.2, "stock": 7}),
		store.remove(ctx, "articles", "jam"),
	)
}

// checkHooks holds that the webhooks told of each change of a stock, in the order of each
// article, and of nothing else.
func checkHooks(receiver *sink.Receiver) error {
	var told []string
	for _, body := range receiver.Bodies() {
		var change struct {
			Operation, RecordID string
			Data                replicator.Record
		}
		if err := json.Unmarshal(body, &change); err != nil {
			return err
		}
		told = append(told, fmt.Sprintf("%s %s %v", change.RecordID, change.Operation, change.Data["stock"]))
	}
	slices.SortStableFunc(told, func(a, b string) int { return int(a[0]) - int(b[0]) }) // by article
	want := []string{"cake inserted 8", "cake updated 7", "jam inserted 5", "jam deleted 5"}
	if !slices.Equal(told, want) {
		return fmt.Errorf("the webhooks tell %q, must tell %q", told, want)
	}
	return nil
}
