package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/store"
)

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
		if e.Kind == replicator.Missed {
			continue // this listener was too slow, and no destination is to blame
		}
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
