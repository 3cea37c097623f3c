package replicator

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/s3db-go/replicator/internal/ledger"
)

// HealthStatus is how well replication goes, as a whole or for a destination.
type HealthStatus string

// The health states, from best to worst.
const (
	// HealthHealthy: changes arrive.
	HealthHealthy HealthStatus = "healthy"
	// HealthDegraded: somebody should look: a destination is unavailable, more than
	// five deliveries failed within five minutes, or some were given up and nothing was
	// delivered since Start, a call of a driver overran its timeout, a write ended in
	// doubt, the journal's disk budget is nearly spent, or changes were not captured.
	HealthDegraded HealthStatus = "degraded"
	// HealthUnhealthy: somebody must look: a change has waited for more than five
	// minutes, a destination's own work stands still, the journal or the log can't be
	// written, or the journal is full.
	HealthUnhealthy HealthStatus = "unhealthy"
	// HealthPaused, of a destination: somebody has paused it, or it asked for that. As a
	// whole, that is degraded.
	HealthPaused HealthStatus = "paused"
)

// worse orders the states.
func (s HealthStatus) worse(than HealthStatus) bool {
	rank := map[HealthStatus]int{HealthHealthy: 0, HealthDegraded: 1, HealthUnhealthy: 2}
	return rank[s] > rank[than]
}

// The bounds are those that the users of the original set for their alerts.
const (
	healthWindow  = 5 * time.Minute
	healthFailed  = 5
	healthWaiting = 5 * time.Minute
)

// Health is a judgement of the present Stats and of the last five minutes of the
// log. It holds no secret.
type Health struct {
	// Status judges the whole.
	Status HealthStatus
	// Reason says everything that is wrong, "" if it is healthy.
	Reason string
	// Destinations by their name.
	Destinations map[string]DestinationHealth
	// InDoubt is how many records had a write whose end isn't known yet.
	InDoubt int
	// Timestamp is when it was judged.
	Timestamp time.Time
}

// DestinationHealth is the judgement of one destination.
type DestinationHealth struct {
	Status HealthStatus
	// Reason says everything that is wrong, "" if it is healthy.
	Reason string
	// Failed is how many deliveries failed within the last five minutes, given up or to be
	// tried again.
	Failed int
	// GivenUp is how many deliveries stand in the log as given up, whenever that was: what
	// Query.GivenUp selects. Retry, Discard or a later state of the record takes them off.
	// OldestGivenUp is when the first of them got there, zero if there is none. They are
	// told beside Status, and do not change it.
	GivenUp       int
	OldestGivenUp time.Time
	// Lag, Waiting and BreakerOpen are as in DestinationStats.
	Lag         time.Duration
	Waiting     uint64
	BreakerOpen bool
}

// Health judges how replication goes. A replicator that is not started is
// unhealthy.
func (r *Replicator) Health() Health {
	h := Health{Status: HealthHealthy, Destinations: map[string]DestinationHealth{}, Timestamp: time.Now()}
	find := func(status HealthStatus, format string, args ...any) {
		if status.worse(h.Status) {
			h.Status = status
		}
		if h.Reason != "" {
			h.Reason += "; "
		}
		h.Reason += fmt.Sprintf(format, args...)
	}
	run, err := r.current()
	if err != nil {
		find(HealthUnhealthy, "%v", err)
		return h
	}
	stats := r.Stats()
	h.InDoubt = stats.InDoubt
	if stats.Journal.Err != "" {
		find(HealthUnhealthy, "the journal can't be written: %s", stats.Journal.Err)
	}
	switch j := stats.Journal; {
	case j.Pressure == PressureFull:
		find(HealthUnhealthy, "the journal's disk budget is spent")
	case j.Unjournaled > 0:
		find(HealthDegraded, "%d changes were not captured while the journal was full; what they changed differs at the destinations", j.Unjournaled)
	case j.Pressure == PressureHigh:
		find(HealthDegraded, "the journal's disk budget is nearly spent")
	}
	if h.InDoubt > 0 {
		find(HealthDegraded, "records in doubt: %d", h.InDoubt)
	}
	for _, name := range slices.Sorted(maps.Keys(stats.Destinations)) {
		failed, err := run.failed(name, stats.Destinations[name], h.Timestamp.Add(-healthWindow))
		d := judge(stats.Destinations[name], failed)
		given := ledger.Query{Destination: name, GivenUp: true}
		if err == nil {
			d.GivenUp, err = run.ledger.Count(given)
		}
		if err == nil && d.GivenUp > 0 {
			d.OldestGivenUp, err = run.ledger.Oldest(given)
		}
		if err != nil {
			find(HealthUnhealthy, "the log can't be read: %v", err)
		}
		h.Destinations[name] = d
		switch d.Status {
		case HealthHealthy:
		case HealthPaused:
			find(HealthDegraded, "%s: %s", name, d.Reason)
		default:
			find(d.Status, "%s: %s", name, d.Reason)
		}
	}
	return h
}

// failed counts the deliveries that failed since then: given up, or to be tried again.
func (run *running) failed(destination string, s DestinationStats, since time.Time) (int, error) {
	n, err := run.ledger.Count(ledger.Query{Destination: destination, Status: ledger.Failed, Since: since})
	// An engine that stands still may hold its lock.
	if d := run.find(destination); d != nil && s.Still == 0 && d.is(delivering) {
		n += d.present().Failing(since)
	}
	return n, err
}

func judge(s DestinationStats, failed int) DestinationHealth {
	d := DestinationHealth{Status: HealthHealthy, Failed: failed, Lag: s.Lag, Waiting: s.Waiting, BreakerOpen: s.BreakerOpen}
	switch {
	case s.Paused != nil:
		d.Status, d.Reason = HealthPaused, s.Paused.String()
	case s.Still > 0:
		d.Status, d.Reason = HealthUnhealthy, fmt.Sprintf("%s has stood still for %v", s.Doing, s.Still.Round(time.Second))
	case s.Lag > healthWaiting:
		d.Status, d.Reason = HealthUnhealthy, fmt.Sprintf("a change has waited for %v", s.Lag.Round(time.Second))
		if s.Err != "" {
			d.Reason += ": " + s.Err
		}
	case s.Err != "" && !s.BreakerOpen && !s.attempted:
		d.Status, d.Reason = HealthUnhealthy, s.Err
	case s.BreakerOpen:
		d.Status, d.Reason = HealthDegraded, "unavailable: "+s.Err
	case failed > healthFailed:
		d.Status, d.Reason = HealthDegraded, fmt.Sprintf("%d deliveries failed in the last %v", failed, healthWindow)
	case s.Failed > 0 && failed > 0 && s.Replicated == 0:
		d.Status, d.Reason = HealthDegraded, fmt.Sprintf("nothing was delivered since Start; given up: %d", s.Failed)
	case s.Stuck > 0:
		d.Status, d.Reason = HealthDegraded, fmt.Sprintf("calls of the driver that have overrun their timeout: %d", s.Stuck)
	}
	return d
}
