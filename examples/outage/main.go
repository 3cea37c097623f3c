// Outage writes to a store that four destinations follow, takes one of them away for a
// while, and draws how far each lags behind, by the replicator's own Stats:
//
//	go run ./examples/outage -o outage.svg            # the destination is dead for 30 s
//	go run ./examples/outage -dead 5s -o outage.svg
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/s3db"
	"github.com/s3db-go/replicator/drivers/webhook"
	"github.com/s3db-go/replicator/examples/internal/local"
	"github.com/s3db-go/replicator/store"
)

func main() {
	dead := flag.Duration("dead", 30*time.Second, "how long the destination is away")
	out := flag.String("o", "outage.svg", "where the picture goes")
	flag.Parse()
	if err := record(context.Background(), *dead, *out); err != nil {
		fmt.Fprintln(os.Stderr, "outage:", err)
		os.Exit(1)
	}
}

func record(ctx context.Context, dead time.Duration, out string) error {
	dir, err := os.MkdirTemp("", "outage-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	r, err := run(ctx, dir, dead)
	if err != nil {
		return err
	}
	r.print(os.Stdout)
	return errors.Join(r.check(dead), os.WriteFile(out, r.draw(), 0o644))
}

// victim is the destination that is taken away.
const victim = "crm"

// run writes orders, and takes the victim away for so long.
func run(ctx context.Context, dir string, dead time.Duration) (rec *recording, err error) {
	at := func(name string) string { return local.URL(dir, name) + "?sync=off" }
	db, err := store.Open(ctx, at("db"))
	if err != nil {
		return nil, err
	}
	defer db.Close()
	orders, err := db.CreateResource(ctx, store.Definition{Name: "orders", Attributes: store.Attributes{"total": "number"}})
	if err != nil {
		return nil, err
	}
	healthy, ill := &receiver{}, &receiver{}
	for _, server := range []*receiver{healthy, ill} {
		if err := server.start(); err != nil {
			return nil, err
		}
		defer server.stop()
	}
	routes := replicator.Routes("orders")
	rec = &recording{names: []string{"backup", "archive", "search", victim}, replicated: map[string]uint64{}}
	r, err := replicator.New(db, replicator.Options{
		Dir: filepath.Join(dir, "replicator"),
		Destinations: []replicator.Destination{
			{Name: "backup", Driver: s3db.New(s3db.Options{ConnectionString: at("backup")}), Routes: routes},
			{Name: "archive", Driver: s3db.New(s3db.Options{ConnectionString: at("archive")}), Routes: routes},
			{Name: "search", Driver: webhook.New(webhook.Options{URL: healthy.url(), BatchSize: 100}), Routes: routes},
			{Name: victim, Driver: webhook.New(webhook.Options{URL: ill.url(), BatchSize: 100}), Routes: routes},
		},
	})
	if err != nil {
		return nil, err
	}
	if err := r.Start(ctx); err != nil {
		return nil, err
	}
	defer func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		err = errors.Join(err, r.Stop(stopping))
	}()

	if err := errors.Join(rec.take(ctx, r, orders, ill, dead), r.Flush(ctx)); err != nil {
		return nil, err
	}
	for name, s := range r.Stats().Destinations {
		rec.replicated[name] = s.Replicated
	}
	return rec, nil
}
