package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/postgres"
	"github.com/s3db-go/replicator/drivers/webhook"
	"github.com/s3db-go/replicator/internal/testbed"
	"github.com/s3db-go/replicator/store"
)

// receiverEnv makes this test's program a receiver of webhooks at the address that it
// holds.
const receiverEnv = "REPLICATOR_MONITORING_RECEIVER"

func TestMain(m *testing.M) {
	if addr := os.Getenv(receiverEnv); addr != "" {
		receive(addr)
		return
	}
	os.Exit(m.Run())
}

func receive(addr string) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(listener.Addr())
	go func() { // ends with the test, however that ends
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	_ = http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		w.WriteHeader(http.StatusNoContent)
	}))
}

// receiver is a real server, as a process that can be killed.
type receiver struct {
	addr string
	cmd  *exec.Cmd
}

func startReceiver(t *testing.T, addr string) *receiver {
	t.Helper()
	r := &receiver{cmd: exec.Command(os.Args[0])}
	r.cmd.Env = append(os.Environ(), receiverEnv+"="+addr)
	in, err := r.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); r.kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	r.addr = strings.TrimSpace(line)
	return r
}

func (r *receiver) kill() {
	_ = r.cmd.Process.Kill() // it may have ended
	_ = r.cmd.Wait()
}

// eventually waits until a check holds, and fails with what it says last.
func eventually(t *testing.T, within time.Duration, check func() string) {
	t.Helper()
	deadline := time.After(within)
	tick := time.NewTicker(50 * time.Millisecond)
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

// server is a destination's, as a process that is killed and comes back.
type server struct {
	driver      replicator.Driver
	kill, start func()
}

func TestAnOutageIsSeenAndHealed(t *testing.T) {
	t.Run("webhook", func(t *testing.T) {
		r := startReceiver(t, "127.0.0.1:0")
		outage(t, server{webhook.New(webhook.Options{URL: "http://" + r.addr}), r.kill, func() { startReceiver(t, r.addr) }})
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		db := testbed.NewPostgresServer(t)
		must := func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		outage(t, server{
			postgres.New(postgres.Options{ConnectionString: db.URL("postgres", "", "postgres")}),
			func() { must(db.Kill()) }, func() { must(db.Start(t.Context())) },
		})
	})
}

func outage(t *testing.T, server server) {
	var mu sync.Mutex
	var alerts []alert
	m, err := open(t.Context(), t.TempDir(), server.driver, 3*time.Second, func(a alert) {
		mu.Lock()
		defer mu.Unlock()
		alerts = append(alerts, a)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.close(); err != nil {
			t.Error(err)
		}
	})
	endpoints := httptest.NewServer(m.handler())
	t.Cleanup(endpoints.Close)
	get := func(path string) (status int, text string) {
		t.Helper()
		answer, err := http.Get(endpoints.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(body)
	}
	both := func(want int, saying string) func() string {
		return func() string {
			for _, path := range []string{"/health", "/health/replication"} {
				if status, text := get(path); status != want || !strings.Contains(text, saying) {
					return fmt.Sprintf("%s answers %d: %s", path, status, text)
				}
			}
			return ""
		}
	}
	write := func(n int) {
		t.Helper()
		for range n {
			if _, err := m.orders.Insert(t.Context(), store.Record{"total": 100}); err != nil {
				t.Fatal(err)
			}
		}
	}
	const down = 12
	write(20)
	if err := m.replicator.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, both(http.StatusOK, "healthy"))

	server.kill()
	killed := time.Now()
	write(down)
	eventually(t, time.Minute, both(http.StatusServiceUnavailable, "analytics"))
	t.Logf("both endpoints answered 503 after %v", time.Since(killed).Round(time.Millisecond))

	// All is given up in time, and stands where the recovery job looks.
	givenUp := replicator.Query{Status: replicator.StatusFailed, RetryCountBelow: 3}
	eventually(t, time.Minute, func() string {
		n, err := m.logs.Count(t.Context(), store.Filter{"status": "failed", "willRetry": false, "retryCount": map[string]any{"$lt": 3}})
		if n != down || err != nil {
			return fmt.Sprintf("the recovery query finds %d (%v), want %d", n, err, down)
		}
		return ""
	})
	if n, err := m.replicator.LogCount(t.Context(), givenUp); n != down || err != nil {
		t.Errorf("the log counts %d (%v)", n, err)
	}
	var counts map[string]int
	if _, text := get("/errors"); json.Unmarshal([]byte(text), &counts) != nil || counts["orders"] != down {
		t.Errorf("the errors by resource are %s", text)
	}
	mu.Lock()
	if len(alerts) != 1 || !strings.Contains(alerts[0].Title, "analytics") {
		t.Errorf("the alerts are %q, want one", alerts)
	}
	mu.Unlock()

	server.start()
	eventually(t, time.Minute, func() string {
		if n, err := m.again(t.Context()); err != nil {
			return err.Error()
		} else if n > 0 {
			t.Logf("%d deliveries sent again", n)
		}
		return both(http.StatusOK, "healthy")()
	})
	if err := m.replicator.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := m.replicator.Stats().Destinations["analytics"]
	if n, err := m.replicator.LogCount(t.Context(), replicator.Query{Status: replicator.StatusReplicated}); n != down || err != nil || s.Lag != 0 || s.Waiting != 0 {
		t.Errorf("%d were sent again (%v), and %d wait for %v", n, err, s.Waiting, s.Lag)
	}
}
