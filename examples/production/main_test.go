package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/s3db-go/replicator/examples/internal/compare"
	"github.com/s3db-go/replicator/examples/internal/local"
	"github.com/s3db-go/replicator/store"
)

func eventually(t *testing.T, within time.Duration, check func() string) {
	t.Helper()
	deadline := time.After(within)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		problem := check()
		if problem == "" {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("after %v: %s", within, problem)
		}
	}
}

func TestOneDestinationFailsAndRecoversByItself(t *testing.T) {
	dir := t.TempDir()
	events, dashboards := newQueue(t), newDashboards(t)
	var mu sync.Mutex
	var alerts []string
	s, err := open(t.Context(), settings{
		dir: dir, sinks: sinks{backup: local.URL(dir, "backup"), recovery: local.URL(dir, "recovery"), dashboards: dashboards.driver, events: events.driver},
		giveUpAfter: 2 * time.Second, retryEvery: 500 * time.Millisecond,
		alert: func(title string) {
			mu.Lock()
			defer mu.Unlock()
			alerts = append(alerts, title)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	endpoints := httptest.NewServer(s.handler())
	t.Cleanup(endpoints.Close)
	get := func(path string) (int, map[string]int, string) {
		answer, err := http.Get(endpoints.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		var health struct{ Errors map[string]int }
		if err := json.Unmarshal(body, &health); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		return answer.StatusCode, health.Errors, string(body)
	}
	write := func(n int) {
		t.Helper()
		for range n {
			if err := s.order(t.Context(), "99.50"); err != nil {
				t.Fatal(err)
			}
		}
	}
	const before, during = 5, 15
	write(before)
	if err := s.replicator.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/health", "/health/replication"} {
		if status, _, body := get(path); status != http.StatusOK {
			t.Errorf("%s answers %d: %s", path, status, body)
		}
	}

	back := events.cut()
	write(during)
	eventually(t, time.Minute, func() string {
		for _, path := range []string{"/health", "/health/replication"} {
			status, failed, body := get(path)
			if status != http.StatusServiceUnavailable || failed["events"] != during || failed["total"] != during || failed["backup"]+failed["recovery"]+failed["dashboards"] != 0 {
				return fmt.Sprintf("%s answers %d: %s", path, status, body)
			}
		}
		return ""
	})
	mu.Lock()
	if want := "Replication failures to events: 10 errors in the last 5 minutes"; !slices.Equal(alerts, []string{want}) {
		t.Errorf("the alerts are %q, want %q once", alerts, want)
	}
	mu.Unlock()
	eventually(t, time.Minute, func() string {
		if n := s.replicator.Stats().Destinations["events"].Failed; n < during {
			return fmt.Sprintf("%d deliveries were given up", n)
		}
		return ""
	})
	// The guide's query of what the recovery job may send.
	if n, err := s.logs.Count(t.Context(), store.Filter{"status": "failed", "retryCount": map[string]any{"$lt": 3}}); n != during || err != nil {
		t.Errorf("%d deliveries wait for the recovery job with tries left (%v), want %d", n, err, during)
	}

	back()
	eventually(t, time.Minute, func() string {
		for _, path := range []string{"/health", "/health/replication"} {
			if status, _, body := get(path); status != http.StatusOK {
				return fmt.Sprintf("%s answers %d: %s", path, status, body)
			}
		}
		return ""
	})
	if err := s.replicator.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(events.changes()); n != before+during {
		t.Errorf("%d events arrived, want %d", n, before+during)
	}
	orders := dashboards.orders()
	for id, sum := range orders {
		if sum != 99.5 {
			t.Errorf("the dashboards have order %s with %v", id, sum)
		}
	}
	if len(orders) != before+during {
		t.Errorf("the dashboards have %d orders, want %d", len(orders), before+during)
	}
	for name, d := range s.replicator.Stats().Destinations {
		if d.Lag != 0 || d.Waiting != 0 {
			t.Errorf("%s: %d changes wait for %v", name, d.Waiting, d.Lag)
		}
	}
	for _, name := range []string{"backup", "recovery"} {
		copied, err := store.Open(t.Context(), local.URL(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		verdict, err := compare.Stores(t.Context(), s.db, copied, "orders")
		if err := verdict.Err(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			t.Fatal(err)
		}
		copied.Close()
	}
}
