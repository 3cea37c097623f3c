package replicator

import (
	"encoding/json"
	"net/http"
	"time"
)

// HealthHandler serves the present Health as JSON, with the status 200 if it is healthy
// and 503 if it is degraded or unhealthy:
//
//	{"status": "degraded", "reason": "…",
//	 "errors": {"total": 7, "analytics": 7, "backup": 0},
//	 "destinations": {"analytics": {"status": "degraded", "reason": "…", "lagSeconds": 12.5, "waiting": 40, "breaker": "open",
//	   "givenUp": 2, "oldestGivenUp": "2026-01-01T08:00:00.000Z"}, …},
//	 "inDoubt": 0, "timestamp": "2026-01-02T15:04:05.123Z"}
//
// The errors are the deliveries that failed within the last five minutes, those on the
// road included; givenUp are those that stand in the log as given up, whenever that was,
// and oldestGivenUp is missing if there are none. It holds no secret and no content of a record, but the names and error
// texts of destinations: serve it where those may be seen.
func (r *Replicator) HealthHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := r.Health()
		body, err := json.Marshal(h)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if h.Status != HealthHealthy {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = w.Write(append(body, '\n')) // who asked may have gone
	})
}

// healthTotal is the name of the sum among the errors of the destinations.
const healthTotal = "total"

// MarshalJSON writes what [Replicator.HealthHandler] serves.
func (h Health) MarshalJSON() ([]byte, error) {
	type destination struct {
		Status     HealthStatus `json:"status"`
		Reason     string       `json:"reason"`
		LagSeconds float64      `json:"lagSeconds"`
		Waiting    uint64       `json:"waiting"`
		Breaker    string       `json:"breaker"`
		GivenUp    int          `json:"givenUp"`
		Oldest     string       `json:"oldestGivenUp,omitempty"`
	}
	out := struct {
		Status       HealthStatus           `json:"status"`
		Reason       string                 `json:"reason"`
		Errors       map[string]int         `json:"errors"`
		Destinations map[string]destination `json:"destinations"`
		InDoubt      int                    `json:"inDoubt"`
		Timestamp    string                 `json:"timestamp"`
	}{
		Status: h.Status, Reason: h.Reason, Errors: map[string]int{}, Destinations: map[string]destination{}, InDoubt: h.InDoubt,
		Timestamp: isoTime(h.Timestamp),
	}
	total := 0
	for name, d := range h.Destinations {
		total += d.Failed
		breaker := "closed"
		if d.BreakerOpen {
			breaker = "open"
		}
		out.Errors[name] = d.Failed
		out.Destinations[name] = destination{d.Status, d.Reason, d.Lag.Seconds(), d.Waiting, breaker, d.GivenUp, isoTime(d.OldestGivenUp)}
	}
	out.Errors[healthTotal] = total // also over a destination of this name
	return json.Marshal(out)
}

// isoTime writes a time as JavaScript's toISOString does, "" for none.
func isoTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}
