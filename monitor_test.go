package replicator_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/memory"
)

// switched is a driver that gives an error while one is set.
type switched struct {
	*memory.Driver
	err atomic.Pointer[error]
}

func newSwitched() *switched {
	s := &switched{}
	s.Driver = memory.New(memory.Options{Before: func(context.Context, []replicator.Delivery) error {
		if err := s.err.Load(); err != nil {
			return *err
		}
		return nil
	}})
	return s
}

// answer sets what the driver gives from now on.
func (s *switched) answer(err error) {
	if err == nil {
		s.err.Store(nil)
	} else {
		s.err.Store(&err)
	}
}

// served asks the health endpoint.
func served(t *testing.T, r *replicator.Replicator) (code int, body struct {
	Status       string
	Reason       string
	Errors       map[string]int
	Destinations map[string]struct {
		Status, Reason, Breaker string
		LagSeconds              float64
		Waiting, GivenUp        int
		OldestGivenUp           time.Time
	}
	Timestamp string
}) {
	t.Helper()
	answer := httptest.NewRecorder()
	r.HealthHandler().ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/health/replication", nil))
	if err := json.Unmarshal(answer.Body.Bytes(), &body); err != nil {
		t.Fatalf("%v in %s", err, answer.Body)
	}
	if kind := answer.Header().Get("Content-Type"); kind != "application/json" {
		t.Errorf("the health is %s", kind)
	}
	return answer.Code, body
}

func logCount(t *testing.T, r *replicator.Replicator, q replicator.Query) int {
	t.Helper()
	n, err := r.LogCount(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for _, err := range r.Log(t.Context(), q) {
		if err != nil {
			t.Fatal(err)
		}
		rows++
	}
	if rows != n {
		t.Errorf("LogCount gives %d of what Log gives %d: %+v", n, rows, q)
	}
	return n
}

func putN(t *testing.T, s *shelf, resource string, n int) {
	t.Helper()
	for i := range n {
		if err := s.put(t.Context(), resource, fmt.Sprint(i), replicator.Record{"v": i}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestHealthHandlerFollowsAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, down := newShelf(), newSwitched()
		r := start(t, s, replicator.Options{Destinations: []replicator.Destination{
			{Name: "backup", Driver: memory.New(memory.Options{}), Routes: replicator.Routes("r")},
			{Name: "analytics", Driver: down, Routes: replicator.Routes("r")},
		}})
		putN(t, s, "r", 10)
		flush(t, r)
		code, body := served(t, r)
		if code != 200 || body.Status != "healthy" || body.Reason != "" || body.Errors["total"] != 0 || len(body.Errors) != 3 ||
			len(body.Destinations) != 2 || body.Destinations["analytics"].Breaker != "closed" {
			t.Errorf("when all is well: %d, %+v", code, body)
		}
		if at, err := time.Parse("2006-01-02T15:04:05.000Z", body.Timestamp); err != nil || !at.Equal(time.Now().UTC().Truncate(time.Millisecond)) {
			t.Errorf("the timestamp is %q", body.Timestamp)
		}

		down.answer(replicator.Unavailable(errors.New("connection refused")))
		putN(t, s, "r", 10)
		time.Sleep(time.Minute)
		code, body = served(t, r)
		sick := body.Destinations["analytics"]
		if code != 503 || body.Status != "degraded" || sick.Status != "degraded" || sick.Breaker != "open" || sick.Waiting != 10 ||
			sick.LagSeconds != 60 || !strings.Contains(body.Reason, "analytics: unavailable") || body.Destinations["backup"].Status != "healthy" {
			t.Errorf("after a minute: %d, %+v", code, body)
		}
		if body.Errors["analytics"] == 0 || body.Errors["total"] != body.Errors["analytics"] || body.Errors["backup"] != 0 {
			t.Errorf("the errors are %v", body.Errors)
		}
		if n := logCount(t, r, replicator.Query{Status: replicator.StatusFailed, Since: time.Now().Add(-5 * time.Minute)}); n != body.Errors["total"] {
			t.Errorf("the log has %d failed, the endpoint says %d", n, body.Errors["total"])
		}
		if n := logCount(t, r, replicator.Query{GivenUp: true}); n != 0 || body.Destinations["analytics"].GivenUp != 0 {
			t.Errorf("%d deliveries that wait are taken for given up, the endpoint says %d", n, body.Destinations["analytics"].GivenUp)
		}
		time.Sleep(5 * time.Minute)
		if code, body = served(t, r); code != 503 || body.Status != "unhealthy" {
			t.Errorf("after six minutes: %d, %+v", code, body)
		}
		down.answer(nil)
		flush(t, r)
		if code, body = served(t, r); code != 200 || body.Errors["total"] != 0 || body.Destinations["analytics"].LagSeconds != 0 {
			t.Errorf("when it is back: %d, %+v", code, body)
		}
		halt(t, r)
		if code, body = served(t, r); code != 503 || body.Status != "unhealthy" {
			t.Errorf("when it is stopped: %d, %+v", code, body)
		}
	})
}

// What was given up is told for as long as it stands, beside what only waits.
func TestHealthTellsWhatWasGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := newShelf(), newSwitched()
		r := start(t, s, replicator.Options{Log: replicator.LogOptions{Successes: true}, Destinations: to(d, "r", "ok")})
		putN(t, s, "ok", 3)
		flush(t, r)
		d.answer(replicator.Permanent(errors.New("no such column")))
		first := time.Now()
		putN(t, s, "r", 1)
		flush(t, r)
		time.Sleep(time.Hour)
		putN(t, s, "r", 3)
		flush(t, r)
		d.answer(nil)
		time.Sleep(time.Hour)
		code, body := served(t, r)
		if stand := body.Destinations["memory"]; code != 200 || body.Status != "healthy" || stand.GivenUp != 4 || !stand.OldestGivenUp.Equal(first) {
			t.Errorf("hours later, of 4 given up since %v: %d, %+v", first, code, body)
		}
		if n := logCount(t, r, replicator.Query{GivenUp: true}); n != 4 {
			t.Errorf("the log has %d given up, want 4", n)
		}
		if n, err := r.Discard(t.Context(), replicator.Query{GivenUp: true, Until: first.Add(time.Minute)}); n != 1 || err != nil {
			t.Errorf("%d discarded: %v", n, err)
		}
		if h := r.Health().Destinations["memory"]; h.GivenUp != 3 || !h.OldestGivenUp.Equal(first.Add(time.Hour)) {
			t.Errorf("when one is discarded: %+v", h)
		}
		if n, err := r.Retry(t.Context(), replicator.Query{GivenUp: true}); n != 3 || err != nil {
			t.Errorf("%d retried: %v", n, err)
		}
		flush(t, r)
		if _, body = served(t, r); body.Destinations["memory"].GivenUp != 0 || !body.Destinations["memory"].OldestGivenUp.IsZero() {
			t.Errorf("when they are sent: %+v", body)
		}
		halt(t, r)
	})
}

// A handler of log lines that hangs stops an engine's loop; a user's function that hangs
// stops what it reads. Both are told, and asking for it does not hang.
func TestHealthTellsWhatStandsStill(t *testing.T) {
	for name, c := range map[string]struct {
		want    string
		options func(hang func()) replicator.Options
	}{
		"listener": {"deciding", func(hang func()) replicator.Options {
			return replicator.Options{Logger: slog.New(hangingHandler{hang}), Destinations: to(memory.New(memory.Options{}), "r")}
		}},
		"function": {"routing", func(hang func()) replicator.Options {
			return replicator.Options{Destinations: []replicator.Destination{{Driver: memory.New(memory.Options{}), Routes: []replicator.Route{{
				From: "r", ShouldReplicate: func(replicator.Change) bool { hang(); return true },
			}}}}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, release := newShelf(), make(chan struct{})
				r := start(t, s, c.options(func() { <-release }))
				r.Stats()
				putN(t, s, "r", 1)
				time.Sleep(59 * time.Second)
				if h := r.Health(); h.Status != replicator.HealthHealthy {
					t.Errorf("before a minute is over: %+v", h)
				}
				time.Sleep(2 * time.Second)
				h := r.Health()
				if d := h.Destinations["memory"]; h.Status != replicator.HealthUnhealthy || !strings.Contains(d.Reason, c.want+" has stood still for 1m1s") {
					t.Errorf("after a minute: %+v", h)
				}
				close(release)
				flush(t, r)
				synctest.Wait() // what it settled is told a moment later
				if h := r.Health(); h.Status != replicator.HealthHealthy {
					t.Errorf("when it goes on: %+v", h)
				}
				halt(t, r)
			})
		})
	}
}

type hangingHandler struct{ hang func() }

func (hangingHandler) Enabled(context.Context, slog.Level) bool { return true }
func (h hangingHandler) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "replicated" {
		h.hang()
	}
	return nil
}
func (h hangingHandler) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h hangingHandler) WithGroup(string) slog.Handler      { return h }

// The recovery job finds what was given up, three times and not more, and spends no try
// while the destination is away.
func TestFailedDeliveriesAreRetriedByThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := newShelf(), newSwitched()
		r := start(t, s, replicator.Options{RetryFailedEvery: time.Minute, Destinations: to(d, "r")})
		d.answer(replicator.Permanent(errors.New("no such column")))
		putN(t, s, "r", 7)
		flush(t, r)
		count := func(q replicator.Query) int { q.Status = replicator.StatusFailed; return logCount(t, r, q) }
		for tries := range 4 {
			if n := count(replicator.Query{RetryCountBelow: tries + 1}); n != 7 {
				t.Errorf("after %d tries %d rows have no more than that, want 7", tries, n)
			}
			if n := count(replicator.Query{RetryCountBelow: tries}); tries > 0 && n != 0 {
				t.Errorf("after %d tries %d rows have fewer", tries, n)
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			flush(t, r)
		}
		time.Sleep(time.Hour)
		if n := count(replicator.Query{}) - count(replicator.Query{RetryCountBelow: 3}); n != 7 || count(replicator.Query{RetryCountBelow: 4}) != 7 {
			t.Errorf("%d rows were put on the road three times, want 7", n)
		}

		// Failed anew, and then an outage: no try is spent on it.
		if err := s.put(t.Context(), "r", "late", replicator.Record{"v": 1}); err != nil {
			t.Fatal(err)
		}
		flush(t, r)
		d.answer(replicator.Unavailable(errors.New("connection refused")))
		for i := range 5 {
			if err := s.put(t.Context(), "r", fmt.Sprint("down", i), replicator.Record{"v": 1}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(40 * time.Second) // not yet the job's turn; the breaker opens
		if !r.Stats().Destinations["memory"].BreakerOpen {
			t.Fatalf("the breaker is closed: %s", describe(r))
		}
		time.Sleep(time.Hour)
		if n := logCount(t, r, replicator.Query{RecordID: "late", RetryCountBelow: 1}); n != 1 {
			t.Error("a try was spent during the outage")
		}
		d.answer(nil)
		time.Sleep(2 * time.Minute)
		flush(t, r)
		if n := logCount(t, r, replicator.Query{RecordID: "late", Status: replicator.StatusReplicated}); n != 1 {
			t.Errorf("it was not sent again: %+v", failedRows(t, r))
		}
		halt(t, r)
	})
}

func TestRetentionRemovesWhatIsSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := newShelf(), newSwitched()
		r := start(t, s, replicator.Options{Log: replicator.LogOptions{Successes: true, Retention: time.Hour, FailedRetention: 3 * time.Hour}, Destinations: to(d, "r", "bad")})
		putN(t, s, "r", 300)
		flush(t, r)
		d.answer(replicator.Permanent(errors.New("no")))
		putN(t, s, "bad", 3)
		flush(t, r)
		d.answer(nil)
		time.Sleep(50 * time.Minute)
		if n := logCount(t, r, replicator.Query{}); n != 303 {
			t.Errorf("before an hour is over there are %d rows, want 303", n)
		}
		time.Sleep(12 * time.Minute)
		if n := logCount(t, r, replicator.Query{}); n != 3 {
			t.Errorf("after an hour there are %d rows, want the 3 that failed", n)
		}
		time.Sleep(2 * time.Hour)
		if n := logCount(t, r, replicator.Query{Status: replicator.StatusDiscarded}); n != 3 {
			t.Errorf("after three hours %d are discarded, want 3", n)
		}
		time.Sleep(62 * time.Minute)
		if n := logCount(t, r, replicator.Query{}); n != 0 {
			t.Errorf("in the end there are %d rows", n)
		}
		putN(t, s, "r", 1)
		flush(t, r)
		if n := logCount(t, r, replicator.Query{}); n != 1 {
			t.Errorf("a new row makes it %d", n)
		}
		halt(t, r)
	})
}

// Whatever takes more than two seconds says how far it is, and that it is done.
func TestDrainTellsHowFarItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := newShelf(), newSwitched()
		r := start(t, s, replicator.Options{Destinations: to(d, "r")})
		events, cancel := r.Subscribe(replicator.DrainProgress)
		defer cancel()
		putN(t, s, "r", 1)
		flush(t, r)
		d.answer(replicator.Unavailable(errors.New("connection refused")))
		putN(t, s, "r", 4)
		time.AfterFunc(10*time.Second, func() { d.answer(nil) })
		flush(t, r)
		var told []replicator.Event
		for more := true; more; {
			synctest.Wait()
			select {
			case e := <-events:
				told = append(told, e)
			default:
				more = false
			}
		}
		last := len(told) - 1
		if last < 3 || told[0].Waiting != 4 || told[0].Done || !told[last].Done || told[last].Waiting != 0 || told[0].Destination != "memory" {
			t.Errorf("a drain of ten seconds and more tells %+v", told)
		}
		if done := slices.IndexFunc(told, func(e replicator.Event) bool { return e.Done }); done != last {
			t.Errorf("it is said to be done before: %+v", told)
		}
		halt(t, r)
	})
}
