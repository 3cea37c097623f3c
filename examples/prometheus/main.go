// Prometheus serves the metrics of a replicator to Prometheus. It is a module of its own,
// so that only who wants OpenTelemetry's SDK and its exporter has them.
//
//	cd examples/prometheus && go run .
//	curl localhost:9464/metrics
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/s3db"
	"github.com/s3db-go/replicator/examples/internal/local"
	"github.com/s3db-go/replicator/store"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := serve(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "prometheus:", err)
		os.Exit(1)
	}
}

// serve writes an order a second until ctx ends, and tells Prometheus of it. At the end it
// checks that all were told.
func serve(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "prometheus-") // a program of yours keeps its journal
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	shop, err := open(ctx, dir, s3db.New(s3db.Options{ConnectionString: local.URL(dir, "backup")}), nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, shop.close(context.WithoutCancel(ctx))) }()

	server := &http.Server{Addr: "localhost:9464", Handler: shop.metrics, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	defer func() { err = errors.Join(err, server.Close()) }()
	orders := 0
	for second := time.NewTicker(time.Second); ; orders++ {
		select {
		case <-second.C:
			if _, err := shop.orders.Insert(ctx, store.Record{"total": 100}); err != nil {
				return err
			}
		case err := <-failed:
			return err
		case <-ctx.Done():
			return shop.check(context.WithoutCancel(ctx), os.Stdout, orders)
		}
	}
}

// shop is a store with orders, a replicator, and what Prometheus reads.
type shop struct {
	db         *store.DB
	orders     *store.Resource
	replicator *replicator.Replicator
	meters     *metric.MeterProvider
	metrics    http.Handler
}

func open(ctx context.Context, dir string, backup replicator.Driver, tracer trace.TracerProvider) (*shop, error) {
	registry := prometheus.NewRegistry()
	reader, err := exporter.New(exporter.WithRegisterer(registry))
	if err != nil {
		return nil, err
	}
	s := &shop{meters: metric.NewMeterProvider(metric.WithReader(reader)), metrics: promhttp.HandlerFor(registry, promhttp.HandlerOpts{})}
	if s.db, err = store.Open(ctx, "memory://shop"); err != nil {
		return nil, err
	}
	if s.orders, err = s.db.CreateResource(ctx, store.Definition{Name: "orders", Attributes: store.Attributes{"total": "number"}}); err != nil {
		return nil, errors.Join(err, s.db.Close())
	}
	s.replicator, err = replicator.New(s.db, replicator.Options{
		Dir:          filepath.Join(dir, "replicator"),
		Telemetry:    replicator.Telemetry{MeterProvider: s.meters, TracerProvider: tracer},
		Destinations: []replicator.Destination{{Name: "backup", Driver: backup, Routes: replicator.Routes("orders")}},
	})
	if err != nil {
		return nil, errors.Join(err, s.db.Close())
	}
	if err := s.replicator.Start(ctx); err != nil {
		return nil, errors.Join(err, s.close(context.WithoutCancel(ctx)))
	}
	return s, nil
}

func (s *shop) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return errors.Join(s.replicator.Stop(ctx), s.meters.Shutdown(ctx), s.db.Close())
}
