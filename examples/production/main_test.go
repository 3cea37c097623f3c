package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/examples/internal/compare"
	"github.com/s3db-go/replicator/store"
)

// receiver is a server of webhooks that goes away and comes back at its address.
type receiver struct {
	addr   string
	server *http.Server

	mu   sync.Mutex
	seen map[string]bool // the ids of changes
}

func (r *receiver) start(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	r.addr = listener.Addr().String()
	server := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		var one struct{ ID string }
		_ = json.Unmarshal(body, &one) // a batch has no id of its own
		r.mu.Lock()
		defer r.mu.Unlock()
		if one.ID != "" {
			r.seen[one.ID] = true
		}
	})}
	r.server = server
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
}

func (r *receiver) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.seen)
}

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
	at := func(name string) string { return "file:///" + filepath.ToSlash(filepath.Join(dir, name)) }
	analytics, events := &receiver{addr: "127.0.0.1:0", seen: map[string]bool{}}, &receiver{addr: "127.0.0.1:0", seen: map[string]bool{}}
	analytics.start(t)
	events.start(t)
	var mu sync.Mutex
	var alerts []string
	s, err := open(t.Context(), settings{
		dir: dir, backup: at("backup"), recovery: at("recovery"), analytics: "http://" + analytics.addr, events: "http://" + events.addr,
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
			if _, err := s.db.Resource("orders").Insert(t.Context(), store.Record{"total": "99.50", "status": "new"}); err != nil {
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

	events.server.Close()
	write(during)
	eventually(t, time.Minute, func() string {
		for _, path := range []string{"/health", "/health/replication"} {
			status, failed, body := get(path)
			if status != http.StatusServiceUnavailable || failed["events"] != during || failed["total"] != during || failed["backup"]+failed["recovery"]+failed["analytics"] != 0 {
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
	if n, err := s.replicator.LogCount(t.Context(), replicator.Query{Status: replicator.StatusFailed, Destination: "events", RetryCountBelow: 3}); n != during || err != nil {
		t.Errorf("%d deliveries wait for the recovery job with all its tries left (%v), want %d", n, err, during)
	}

	events.start(t)
	eventually(t, time.Minute, func() string {
		for _, path := range []string{"/health", "/health/replication"} {
			if status, _, body := get(path); status != http.StatusOK {
				return fmt.Sprintf("%s answers %d: %s", path, status, body)
			}
		}
		return ""
	})
	if n := events.count(); n != before+during {
		t.Errorf("%d events arrived, want %d", n, before+during)
	}
	if err := s.replicator.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, d := range s.replicator.Stats().Destinations {
		if d.Lag != 0 || d.Waiting != 0 {
			t.Errorf("%s: %d changes wait for %v", name, d.Waiting, d.Lag)
		}
	}
	for _, name := range []string{"backup", "recovery"} {
		copied, err := store.Open(t.Context(), at(name))
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
