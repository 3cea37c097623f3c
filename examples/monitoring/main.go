// Monitoring is for whoever is on call: it tells each failure, raises one alert per outage,
// answers two health checks, one by hand and one that the library brings, and sends again
// what was given up once the destination is back.
//
//	POSTGRES_URL=postgres://localhost/analytics go run ./examples/monitoring
//	WEBHOOK_URL=https://crm.example.com/hooks go run ./examples/monitoring
//	curl -i localhost:8080/health/replication     # by hand, from the log's copy in the store
//	curl -i localhost:8080/health                 # the library's
//	curl -s localhost:8080/errors                 # what failed in the last hour, by resource
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/s3db-go/replicator"
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
	return webhook.New(webhook.Options{URL: os.Getenv("WEBHOOK_URL")})
}

// serve writes an order a second until ctx ends.
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
			return nil
		}
	}
}

// monitored is a shop whose orders go to one destination, with somebody who watches.
type monitored struct {
	db           *store.DB
	orders, logs *store.Resource
	replicator   *replicator.Replicator
	unsubscribe  func()
	watched      chan struct{}
}

// open starts replication. What the destination has not taken within giveUp while it is
// away is given up, into the log.
func open(ctx context.Context, dir string, driver replicator.Driver, giveUp time.Duration, raise func(alert)) (*monitored, error) {
	db, err := store.Open(ctx, "file:///"+filepath.ToSlash(filepath.Join(dir, "db")))
	if err != nil {
		return nil, err
	}
	m := &monitored{db: db, logs: db.Resource("plg_replicator_logs"), watched: make(chan struct{})}
	if m.orders, err = db.CreateResource(ctx, store.Definition{Name: "orders", Attributes: store.Attributes{"total": "number"}}); err != nil {
		return nil, err
	}
	m.replicator, err = replicator.New(db, replicator.Options{
		Dir:         filepath.Join(dir, "replicator"),
		MaxRetries:  3,
		Timeout:     30 * time.Second,
		GiveUpAfter: giveUp,
		Log:         replicator.LogOptions{Resource: m.logs.Name()}, // a copy for the store's own queries
		Destinations: []replicator.Destination{{
			Name: "analytics", Driver: driver, Routes: replicator.Routes("orders"),
		}},
	})
	if err != nil {
		return nil, err
	}
	events, unsubscribe := m.replicator.Subscribe(replicator.Replicated | replicator.Errors | replicator.BreakerOpened | replicator.BreakerClosed)
	m.unsubscribe = unsubscribe
	go func() {
		defer close(m.watched)
		watch(events, raise)
	}()
	return m, m.replicator.Start(ctx)
}

func (m *monitored) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := m.replicator.Stop(ctx)
	m.unsubscribe()
	<-m.watched
	return errors.Join(err, m.db.Close())
}

type alert struct{ Title, Details string }

// watch tells what happens, and raises one alert for each outage or run of failures.
func watch(events <-chan replicator.Event, raise func(alert)) {
	raised := map[string]bool{} // by destination
	once := func(destination string, a alert) {
		if !raised[destination] {
			raised[destination] = true
			raise(a)
		}
	}
	for e := range events {
		switch e.Kind {
		case replicator.Replicated:
			slog.Debug("replicated", "operation", e.Operation, "resource", e.Resource, "recordId", e.RecordID, "duration", e.Duration, "destination", e.Destination)
			raised[e.Destination] = false
		case replicator.Retrying, replicator.Failed:
			slog.Warn("replication failed", "resource", e.Resource, "recordId", e.RecordID, "operation", e.Operation, "reason", e.Err, "willRetry", e.WillRetry)
			if !e.WillRetry {
				once(e.Destination, alert{"Replication permanently failed", e.Err.Error()})
			}
		case replicator.BreakerOpened:
			once(e.Destination, alert{"Destination " + e.Destination + " is unavailable", e.Err.Error()})
		case replicator.Missed:
			slog.Warn("this listener was too slow; the log has what it missed", "events", e.Missed)
		}
	}
}

func (m *monitored) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /health", m.replicator.HealthHandler())
	mux.HandleFunc("GET /health/replication", m.health)
	mux.HandleFunc("GET /errors", m.errors)
	return mux
}

// health is the guide's check: what failed within five minutes, by the log's copy.
func (m *monitored) health(w http.ResponseWriter, req *http.Request) {
	recent, err := m.logs.Count(req.Context(), store.Filter{
		"status":    "failed",
		"timestamp": map[string]any{"$gte": time.Now().Add(-5 * time.Minute).UnixMilli()},
	})
	if err != nil && !errors.Is(err, store.ErrNoResource) { // it is made a moment after Start
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if recent > 5 {
		answer(w, http.StatusServiceUnavailable, map[string]any{"status": "unhealthy", "errors": recent, "destinations": m.replicator.Health().Reason})
		return
	}
	answer(w, http.StatusOK, map[string]any{"status": "healthy"})
}

// errors counts what failed within the last hour, by the log itself.
func (m *monitored) errors(w http.ResponseWriter, req *http.Request) {
	counts := map[string]int{}
	for _, resource := range m.db.Resources() {
		n, err := m.replicator.LogCount(req.Context(), replicator.Query{
			Status: replicator.StatusFailed, Resource: resource, Since: time.Now().Add(-time.Hour),
		})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		counts[resource] = n
	}
	answer(w, http.StatusOK, counts)
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // who asked may have gone
}

// again is the guide's recovery job, which Options.RetryFailedEvery does by itself: it
// finds what was given up, by the log's copy, and puts it on the road.
func (m *monitored) again(ctx context.Context) (int, error) {
	found, err := m.logs.Count(ctx, store.Filter{"status": "failed", "willRetry": false, "retryCount": map[string]any{"$lt": 3}})
	if found == 0 || err != nil {
		return 0, err
	}
	return m.replicator.Retry(ctx, replicator.Query{Status: replicator.StatusFailed, RetryCountBelow: 3})
}
