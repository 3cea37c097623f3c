package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/store"
)

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
			GivenUp: true, Resource: resource, Since: time.Now().Add(-time.Hour),
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
	return m.replicator.Retry(ctx, replicator.Query{GivenUp: true, RetryCountBelow: 3})
}
