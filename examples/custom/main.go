// Custom replicates a store of one's own: a folder with a file for each record, here. The
// store is folder.go: its put and remove wrap each write in CustomSource.Write, and what
// else a source may give (reading a record, going through all) takes a few lines each. This
// file opens it and puts a replicator on it; shop.go is what an application does with it.
// Articles go to a table, and what became of their stock to a webhook, signed.
//
//	go run ./examples/custom
//	POSTGRES_URL=postgres://user:password@localhost:5432/shop WEBHOOK_URL=https://example.com/hooks WEBHOOK_SECRET=whsec_… go run ./examples/custom
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/webhook"
	"github.com/s3db-go/replicator/examples/internal/sink"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := demonstrate(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "custom:", err)
		os.Exit(1)
	}
}

func demonstrate(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "custom-") // a program of yours keeps its store and its journal
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	tables := sink.NewTables(os.Getenv("POSTGRES_URL"))
	hook := webhook.Options{URL: os.Getenv("WEBHOOK_URL"), SigningSecrets: []string{os.Getenv("WEBHOOK_SECRET")}}
	if hook.URL != "" {
		return run(ctx, os.Stdout, dir, tables, hook, func() error { return nil })
	}
	receiver, err := sink.NewReceiver()
	if err != nil {
		return err
	}
	hook = webhook.Options{URL: receiver.URL, SigningSecrets: []string{receiver.Secret}}
	return errors.Join(run(ctx, os.Stdout, dir, tables, hook, func() error { return checkHooks(receiver) }), receiver.Close())
}

// open gives the store, and a replicator on it.
func open(dir string, tables *sink.Tables, hook webhook.Options) (*folder, *replicator.Replicator, error) {
	store, err := newFolder(filepath.Join(dir, "store"))
	if err != nil {
		return nil, nil, err
	}
	r, err := replicator.New(store.source, replicator.Options{
		Dir: filepath.Join(dir, "replicator"), // the journal; must outlive the process
		Destinations: []replicator.Destination{
			{
				Name:        "catalogue",
				Driver:      tables.Driver(),
				Routes:      replicator.Routes("articles"),
				InitialSync: true, // what is in the store already comes first
			},
			{
				Name:   "stock",
				Driver: webhook.New(hook),
				Routes: []replicator.Route{{
					From:            "articles",
					ShouldReplicate: func(c replicator.Change) bool { return c.Before.Int("stock") != c.Data.Int("stock") },
					Transform: func(c replicator.Change) (replicator.Record, error) {
						return c.Data.Pick("id", "stock"), nil
					},
				}},
			},
		},
	})
	return store, r, err
}

// run works with the store, and checks what arrived.
func run(ctx context.Context, out io.Writer, dir string, tables *sink.Tables, hook webhook.Options, checkHooks func() error) error {
	store, r, err := open(dir, tables, hook)
	if err != nil {
		return err
	}
	if err := store.put(ctx, "articles", "tea", replicator.Record{"name": "Tea", "price": 4.5, "stock": 10}); err != nil {
		return err // before the replicator starts: it comes by the InitialSync
	}
	if err := r.Start(ctx); err != nil {
		return err
	}
	err = errors.Join(work(ctx, store), r.Flush(ctx))
	for _, name := range []string{"catalogue", "stock"} {
		s := r.Stats().Destinations[name]
		fmt.Fprintf(out, "%s: %d replicated, %d left out, %d failed\n", name, s.Replicated, s.Skipped, s.Failed)
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := errors.Join(err, r.Stop(stopping)); err != nil {
		return err
	}
	err = errors.Join(tables.Check(ctx, "articles", []string{"id", "name", "price", "stock"}, "cake Cake 3.2 7", "tea Tea 4.9 10"), checkHooks())
	if err == nil {
		fmt.Fprintln(out, "the table and the webhooks are as they must be")
	}
	return err
}
