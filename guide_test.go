package replicator_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/memory"
)

// guide lists what the users' guide reads of an event or of a row of the log, by the line
// of its example, and what stands there under that name in JSON: of an order that was
// replicated in 250 ms, and of one that was refused until its three retries were spent.
var guide = []struct {
	line string
	of   string // "event" of the success, "error" of the last failure, "log"
	name string
	want any
}{
	{"operation: event.operation, // inserted, updated, deleted", "event", "operation", "inserted"},
	{"resource: event.resource", "event", "resource", "orders"},
	{"recordId: event.recordId", "event", "recordId", "good"},
	{"duration: event.duration, // milliseconds", "event", "duration", 250.0},
	{"destination: event.destination", "event", "destination", "analytics"},
	{"resource: error.resource", "error", "resource", "orders"},
	{"recordId: error.recordId", "error", "recordId", "bad"},
	{"operation: error.operation", "error", "operation", "inserted"},
	{"reason: error.message", "error", "error", "analytics: orders bad: value too long"},
	{"willRetry: error.retryCount < 3", "error", "willRetry", false},
	{"if (error.retryCount >= 3)", "error", "retryCount", 3.0},
	{"replication_error:${error.destination}", "error", "destination", "analytics"},
	{"logs.query({ status: 'failed' })", "log", "status", "failed"},
	{"logs.query({ timestamp: { $gte: Date.now() - 3600000 } })", "log", "timestamp", nil}, // epoch milliseconds, see below
	{"logs.query({ resource: 'orders' })", "log", "resource", "orders"},
	{"recentErrors.filter(e => e.destination === 's3db')", "log", "destination", "analytics"},
	{"logs.query({ retryCount: { $lt: 3 } })", "log", "retryCount", 0.0},
}

func TestEveryFieldOfTheGuideIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		d := memory.New(memory.Options{Before: func(_ context.Context, batch []replicator.Delivery) error {
			time.Sleep(250 * time.Millisecond)
			answer := &replicator.BatchError{Errs: make([]error, len(batch))}
			for i := range batch {
				if batch[i].RecordID == "bad" {
					answer.Errs[i] = errors.New("value too long")
				}
			}
			return answer
		}})
		s := newShelf()
		r := start(t, s, replicator.Options{MaxRetries: 3, Destinations: []replicator.Destination{{Name: "analytics", Driver: d, Routes: replicator.Routes("orders")}}})
		events, cancel := r.Subscribe(replicator.Replicated | replicator.Errors)
		var listener sync.WaitGroup
		var good, bad []replicator.Event
		listener.Go(func() {
			for e := range events {
				switch e.RecordID {
				case "good":
					good = append(good, e)
				case "bad":
					bad = append(bad, e)
				}
			}
		})
		for _, id := range []string{"good", "bad"} {
			write := func(context.Context) error {
				return s.set(func() { s.items["orders/"+id] = replicator.Record{"id": id} })
			}
			if err := s.Write(t.Context(), replicator.Change{Op: replicator.Inserted, Resource: "orders", RecordID: id, Data: replicator.Record{"id": id}}, write); err != nil {
				t.Fatal(err)
			}
		}
		// While others arrive, what fails is to blame itself.
		for range 30 {
			putN(t, s, "orders", 1)
			time.Sleep(time.Second)
		}
		flush(t, r)
		synctest.Wait()
		cancel()
		listener.Wait()
		rows := failedRows(t, r)
		if len(rows) != 1 || len(good) != 1 || len(bad) < 4 {
			t.Fatalf("%d rows, and %d and %d events; want 1, and 1 and at least 4: %+v", len(rows), len(good), len(bad), bad)
		}
		last := bad[len(bad)-1]
		for i, e := range bad {
			// A try that may be the destination's fault is not counted, also after the third.
			if e.RetryCount < bad[max(i-1, 0)].RetryCount || e.WillRetry != (e.Kind == replicator.Retrying) || !e.WillRetry && e.RetryCount < 3 {
				t.Errorf("failure %d is %+v", i, e)
			}
		}
		if !rows[0].Timestamp.Equal(last.Time.Truncate(time.Microsecond)) || !last.Time.After(begun) {
			t.Errorf("it failed at %v, and its row says %v", last.Time, rows[0].Timestamp)
		}
		stands := map[string]any{"event": good[0], "error": last, "log": rows[0]}
		for _, g := range guide {
			text, err := json.Marshal(stands[g.of])
			var fields map[string]any
			if err != nil || json.Unmarshal(text, &fields) != nil {
				t.Fatalf("%s: %v", text, err)
			}
			got, there := fields[g.name]
			if g.name == "timestamp" {
				g.want = float64(rows[0].Timestamp.UnixMilli())
			}
			if !there || got != g.want {
				t.Errorf("%s: of the %s, %q is %v, want %v: %s", g.line, g.of, g.name, got, g.want, text)
			}
		}
		for name, q := range map[string]replicator.Query{
			"last hour":   {Status: replicator.StatusFailed, Since: time.UnixMilli(time.Now().UnixMilli() - 3600000)},
			"by resource": {Status: replicator.StatusFailed, Resource: "orders"},
			"by tries":    {Status: replicator.StatusFailed, RetryCountBelow: 3},
			"by all":      {Status: replicator.StatusFailed, Resource: "orders", Destination: "analytics", RetryCountBelow: 3},
		} {
			if n := logCount(t, r, q); n != 1 {
				t.Errorf("the guide's query %s counts %d", name, n)
			}
		}
		if n := logCount(t, r, replicator.Query{Status: replicator.StatusFailed, Since: time.Now().Add(time.Minute)}); n != 0 {
			t.Errorf("%d rows of the future", n)
		}
		if !strings.Contains(rows[0].Error, "value too long") {
			t.Errorf("the row says %q", rows[0].Error)
		}
		halt(t, r)
	})
}
