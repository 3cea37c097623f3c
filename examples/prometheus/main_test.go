package main

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/memory"
	"github.com/s3db-go/replicator/store"
)

// scrape reads what Prometheus would, by its line up to the value.
func scrape(t *testing.T, url string) map[string]float64 {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	values := map[string]float64{}
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		line := lines.Text()
		name, rest, _ := strings.Cut(line, "{")
		labels, number, _ := strings.Cut(rest, "} ")
		value, err := strconv.ParseFloat(number, 64)
		if strings.HasPrefix(line, "#") || err != nil {
			continue
		}
		// The scope's labels are the same everywhere.
		var own []string
		for label := range strings.SplitSeq(labels, ",") {
			if !strings.HasPrefix(label, "otel_scope") {
				own = append(own, label)
			}
		}
		values[name+"{"+strings.Join(own, ",")+"}"] = value
	}
	return values
}

func TestMetricsAreScraped(t *testing.T) {
	var down atomic.Bool
	backup := memory.New(memory.Options{Before: func(context.Context, []replicator.Delivery) error {
		if down.Load() {
			return replicator.Unavailable(errors.New("connection refused"))
		}
		return nil
	}})
	s, err := open(t.Context(), t.TempDir(), backup, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	endpoint := httptest.NewServer(s.metrics)
	t.Cleanup(endpoint.Close)
	for range 20 {
		if _, err := s.orders.Insert(t.Context(), store.Record{"total": 1}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.replicator.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := scrape(t, endpoint.URL)
	const here = `destination="backup",driver="memory"`
	for line, want := range map[string]float64{
		`replicator_deliveries_total{` + here + `,outcome="replicated"}`: 20,
		`replicator_deliveries_total{` + here + `,outcome="failed"}`:     0,
		`replicator_backlog{` + here + `}`:                               0,
		`replicator_backlog_size_bytes{` + here + `}`:                    0,
		`replicator_lag_seconds{` + here + `}`:                           0,
		`replicator_breaker_open_ratio{` + here + `}`:                    0,
		`replicator_paused_ratio{` + here + `}`:                          0,
		`replicator_indoubt{}`:                                           0,
	} {
		if value, there := got[line]; !there || value != want {
			t.Errorf("%s is %v (%v), want %v", line, value, there, want)
		}
	}
	attempts := float64(s.replicator.Stats().Destinations["backup"].Attempts)
	if n := got[`replicator_attempt_duration_seconds_count{`+here+`,outcome="delivered"}`]; n != attempts {
		t.Errorf("%v attempts are told, there were %v", n, attempts)
	}
	for _, line := range []string{"replicator_journal_size_bytes{}", "replicator_journal_flushes_total{}", "replicator_journal_flush_time_seconds_total{}"} {
		if got[line] <= 0 {
			t.Errorf("%s is %v", line, got[line])
		}
	}

	down.Store(true)
	opened, cancel := s.replicator.Subscribe(replicator.BreakerOpened)
	defer cancel()
	for range 20 {
		if _, err := s.orders.Insert(t.Context(), store.Record{"total": 1}); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-opened:
	case <-time.After(30 * time.Second):
		t.Fatal("no breaker opened")
	}
	got = scrape(t, endpoint.URL)
	for _, line := range []string{"replicator_breaker_open_ratio{" + here + "}", "replicator_lag_seconds{" + here + "}",
		"replicator_backlog{" + here + "}", "replicator_backlog_size_bytes{" + here + "}"} {
		if got[line] <= 0 {
			t.Errorf("in an outage %s is %v", line, got[line])
		}
	}
	down.Store(false)
	if err := s.replicator.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Each attempt is a span that is linked to those in which its changes were written.
func TestSpansAreLinkedToTheWriters(t *testing.T) {
	exported := tracetest.NewInMemoryExporter()
	provider := trace.NewTracerProvider(trace.WithSyncer(exported))
	var refuse atomic.Bool
	backup := memory.New(memory.Options{Before: func(context.Context, []replicator.Delivery) error {
		if refuse.Load() {
			return replicator.Permanent(errors.New("the column is too short"))
		}
		return nil
	}})
	s, err := open(t.Context(), t.TempDir(), backup, provider)
	if err != nil {
		t.Fatal(err)
	}
	write := func(id string) trace.ReadOnlySpan {
		ctx, span := provider.Tracer("shop").Start(t.Context(), "order "+id)
		defer span.End()
		if _, err := s.orders.Insert(ctx, store.Record{"id": id, "total": 1}); err != nil {
			t.Fatal(err)
		}
		if err := s.replicator.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		return span.(trace.ReadOnlySpan)
	}
	fine := write("fine")
	refuse.Store(true)
	bad := write("bad")
	if err := s.close(context.Background()); err != nil {
		t.Fatal(err)
	}
	for writer, want := range map[trace.ReadOnlySpan]string{fine: "delivered", bad: "permanent"} {
		found := false
		for _, span := range exported.GetSpans() {
			if len(span.Links) != 1 || span.Links[0].SpanContext.SpanID() != writer.SpanContext().SpanID() {
				continue
			}
			found = true
			attributes := map[string]string{}
			for _, a := range span.Attributes {
				attributes[string(a.Key)] = a.Value.String()
			}
			if span.Name != "replicate to backup" || attributes["destination"] != "backup" || attributes["driver"] != "memory" ||
				attributes["deliveries"] != "1" || attributes["outcome"] != want || span.Links[0].SpanContext.TraceID() != writer.SpanContext().TraceID() {
				t.Errorf("%s: the attempt's span is %q, %v", writer.Name(), span.Name, attributes)
			}
			if failed := span.Status.Description != ""; failed != (want != "delivered") {
				t.Errorf("%s: the status is %+v", writer.Name(), span.Status)
			}
		}
		if !found {
			t.Errorf("no attempt is linked to %q; there are %+v", writer.Name(), exported.GetSpans())
		}
	}
}
