// Monitoring is for whoever is on call: it tells each failure, raises one alert per outage,
// answers two health checks, one by hand and one that the library brings, and sends again
// what was given up once the destination is back.
//
//	go run ./examples/monitoring                  # the destination is in memory
//	POSTGRES_URL=postgres://localhost/analytics go run ./examples/monitoring
//	WEBHOOK_URL=https://crm.example.com/hooks go run ./examples/monitoring
//	curl -i localhost:8080/health/replication     # by hand, from the log's copy in the store
//	curl -i localhost:8080/health                 # the library's
//	curl -s localhost:8080/errors                 # what failed in the last hour, by resource
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/memory"
	"github.com/s3db-go/replicator/drivers/postgres"
	"github.com/s3db-go/replicator/drivers/webhook"
	"github.com/s3db-go/replicator/store"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := serve(ctx, destination())
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "monitoring:", err)
		os.Exit(1)
	}
}

// destination is what the environment names.
func destination() replicator.Driver {
	if url := os.Getenv("POSTGRES_URL"); url != "" {
		return postgres.New(postgres.Options{ConnectionString: url})
	}
	if url := os.Getenv("WEBHOOK_URL"); url != "" {
		return webhook.New(webhook.Options{URL: url})
	}
	return memory.New(memory.Options{})
}

// serve writes an order a second until ctx ends, and then tells what became of them.
func serve(ctx context.Context, driver replicator.Driver) (err error) {
	dir, err := os.MkdirTemp("", "monitoring-") // a program of yours keeps its journal
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	m, err := open(ctx, dir, driver, time.Hour, func(a alert) { slog.Error(a.Title, "details", a.Details) })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.close()) }()

	server := &http.Server{Addr: "localhost:8080", Handler: m.handler(), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	defer func() { err = errors.Join(err, server.Close()) }()
	for second := time.NewTicker(time.Second); ; {
		select {
		case <-second.C:
			if _, err := m.orders.Insert(ctx, store.Record{"total": 100}); err != nil {
				return err
			}
		case err := <-failed:
			return err
		case <-ctx.Done():
			return m.report(context.WithoutCancel(ctx), os.Stdout)
		}
	}
}
