// Production keeps two backups in different places, feeds the dashboards and tells other
// services, with a health check by destination, an alert for each destination that fails
// often, and a job that sends again what was given up.
//
//	BACKUP_URL=s3://KEY:SECRET@us-east-1-backup RECOVERY_URL=s3://KEY:SECRET@eu-west-1-backup \
//	ANALYTICS_URL=https://dashboards.example.com/orders EVENTS_URL=https://bus.example.com/events \
//	go run ./examples/production
//
// Another driver takes the place of a webhook without another change: BigQuery or
// PostgreSQL for the dashboards, SQS for the events.
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
	"sync"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/s3db"
	"github.com/s3db-go/replicator/drivers/webhook"
	"github.com/s3db-go/replicator/store"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := serve(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "production:", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "production-") // a program of yours keeps its journal
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := open(ctx, settings{
		dir: dir, backup: os.Getenv("BACKUP_URL"), recovery: os.Getenv("RECOVERY_URL"), analytics: os.Getenv("ANALYTICS_URL"), events: os.Getenv("EVENTS_URL"),
		giveUpAfter: time.Hour, retryEvery: time.Minute,
		alert: func(title string) { slog.Error(title) },
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	server := &http.Server{Addr: "localhost:8080", Handler: s.handler(), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	defer func() { err = errors.Join(err, server.Close()) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

type settings struct {
	dir                                 string
	backup, recovery, analytics, events string // where the destinations are
	giveUpAfter, retryEvery             time.Duration
	alert                               func(title string)
}

// shop is a store whose changes go to four destinations.
type shop struct {
	db         *store.DB
	replicator *replicator.Replicator
	logs       *store.Resource
	end        func()
	watched    sync.WaitGroup
}

func open(ctx context.Context, o settings) (*shop, error) {
	db, err := store.Open(ctx, "file:///"+filepath.ToSlash(filepath.Join(o.dir, "db")))
	if err != nil {
		return nil, err
	}
	for _, definition := range []store.Definition{
		{Name: "users", Attributes: store.Attributes{"name": "string", "email": "string"}},
		{Name: "orders", Attributes: store.Attributes{"total": "string", "status": "string"}, Timestamps: true},
		{Name: "products", Attributes: store.Attributes{"title": "string"}},
	} {
		if _, err := db.CreateResource(ctx, definition); err != nil {
			return nil, err
		}
	}
	s := &shop{db: db, logs: db.Resource("plg_replicator_logs")}
	everything := replicator.Routes("users", "orders", "products")
	s.replicator, err = replicator.New(db, replicator.Options{
		Dir:              filepath.Join(o.dir, "replicator"),
		MaxRetries:       3,
		Concurrency:      10,
		GiveUpAfter:      o.giveUpAfter,
		RetryFailedEvery: o.retryEvery, // the scheduled recovery job
		RetryFailedMax:   3,
		Log:              replicator.LogOptions{Resource: s.logs.Name()},
		Destinations: []replicator.Destination{
			{Name: "backup", Driver: s3db.New(s3db.Options{ConnectionString: o.backup}), Routes: everything},
			{Name: "recovery", Driver: s3db.New(s3db.Options{ConnectionString: o.recovery}), Routes: everything},
			{Name: "analytics", Driver: webhook.New(webhook.Options{URL: o.analytics, BatchSize: 100}), Routes: []replicator.Route{
				{From: "orders", To: "analytics_orders", Key: []string{"order_id"}, Transform: analyticsOrder},
				{From: "users", To: "analytics_users"},
			}},
			{Name: "events", Driver: webhook.New(webhook.Options{URL: o.events}), Routes: replicator.Routes("orders")},
		},
	})
	if err != nil {
		return nil, err
	}
	events, end := s.replicator.Subscribe(replicator.Errors)
	s.end = end
	s.watched.Go(func() { watch(events, o.alert) })
	return s, s.replicator.Start(ctx)
}

func analyticsOrder(c replicator.Change) (replicator.Record, error) {
	created := c.Data.Time("createdAt")
	return replicator.Record{
		"order_id": c.RecordID, "total_usd": c.Data.Float("total"), "status": c.Data["status"], "created_timestamp": created.UnixMilli(),
	}, nil
}

func (s *shop) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := s.replicator.Stop(ctx)
	s.end()
	s.watched.Wait()
	return errors.Join(err, s.db.Close())
}

const (
	alertWindow = 5 * time.Minute
	alertErrors = 10
)

// watch raises an alert when a destination fails ten times within five minutes, and the
// next one no sooner than when those are over.
func watch(events <-chan replicator.Event, alert func(string)) {
	failures := map[string][]time.Time{} // by destination
	quiet := map[string]time.Time{}      // until when
	for e := range events {
		recent := failures[e.Destination]
		for len(recent) > 0 && e.Time.Sub(recent[0]) > alertWindow {
			recent = recent[1:]
		}
		recent = append(recent, e.Time)
		failures[e.Destination] = recent
		if len(recent) >= alertErrors && e.Time.After(quiet[e.Destination]) {
			quiet[e.Destination] = e.Time.Add(alertWindow)
			alert(fmt.Sprintf("Replication failures to %s: %d errors in the last 5 minutes", e.Destination, len(recent)))
		}
	}
}

func (s *shop) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /health", s.replicator.HealthHandler())
	mux.HandleFunc("GET /health/replication", s.health)
	return mux
}

// health is the guide's check: what failed within five minutes, by destination.
func (s *shop) health(w http.ResponseWriter, req *http.Request) {
	counts := map[string]int{"total": 0}
	for name := range s.replicator.Stats().Destinations {
		counts[name] = 0
	}
	since := map[string]any{"$gte": time.Now().Add(-5 * time.Minute).UnixMilli()}
	for row, err := range s.logs.Query(req.Context(), store.Filter{"status": "failed", "timestamp": since}, store.QueryOptions{}) {
		if errors.Is(err, store.ErrNoResource) {
			break // it is made a moment after Start
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		counts[row.String("destination")]++
		counts["total"]++
	}
	overall, status := "healthy", http.StatusOK
	if counts["total"] > 5 {
		overall, status = "degraded", http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"overall": overall, "errors": counts, "timestamp": time.Now().UTC()}) // who asked may have gone
}
