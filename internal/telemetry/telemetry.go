// Package telemetry tells OpenTelemetry how a replicator stands: metrics that are read
// from its figures when somebody collects them, and a span for each attempt, linked to
// the writes whose changes it carries.
//
// It promises to cost nothing where no provider is given, and nothing per delivery: what
// is counted by delivery is read from counters that are kept anyway. It does not promise
// a metric per resource or record, whose number nobody bounds.
package telemetry

import (
	"fmt"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// scope names the library to OpenTelemetry.
const scope = "github.com/s3db-go/replicator"

// Options say where metrics and spans go.
type Options struct {
	// Meter makes the instruments, nil makes none.
	Meter metric.MeterProvider
	// Tracer makes the spans, nil makes none.
	Tracer trace.TracerProvider
	// Read gives the present figures. It is called at each collection, from any
	// goroutine, and must be cheap. Required with a Meter.
	Read func() Figures
}

// Figures are what becomes metrics. Counts only grow.
type Figures struct {
	Destinations []Destination
	Journal      Journal
	InDoubt      int // records with a write whose end is not known
}

// Destination are the figures of one destination.
type Destination struct {
	Name, Driver string
	// The deliveries that ended, by how.
	Replicated, Coalesced, Skipped, Failed uint64
	// Retried counts failures that another attempt followed.
	Retried uint64
	// Waiting are the changes that are not settled, WaitingBytes what the journal keeps
	// for them on disk, and Lag the age of the oldest.
	Waiting      uint64
	WaitingBytes int64
	Lag          time.Duration
	InFlight     int // calls of the driver that run
	BreakerOpen  bool
	Paused       bool
}

// Journal are the figures of the journal.
type Journal struct {
	Bytes     int64         // on disk
	Flushes   uint64        // to the disk
	FlushTime time.Duration // that they took, together
}

// Telemetry reports until Stop. A nil Telemetry reports nothing.
type Telemetry struct {
	tracer   trace.Tracer
	attempts metric.Float64Histogram
	metrics  metric.Registration
}

// Start begins to report. It gives nil where there is no provider at all.
func Start(o Options) (*Telemetry, error) {
	if o.Meter == nil && o.Tracer == nil {
		return nil, nil
	}
	t := &Telemetry{}
	if o.Tracer != nil {
		t.tracer = o.Tracer.Tracer(scope)
	}
	if o.Meter != nil {
		if err := t.measure(o.Meter.Meter(scope), o.Read); err != nil {
			return nil, fmt.Errorf("telemetry: %w", err)
		}
	}
	return t, nil
}

// Stop ends the reporting of figures. Stopping nil does nothing.
func (t *Telemetry) Stop() error {
	if t == nil || t.metrics == nil {
		return nil
	}
	if err := t.metrics.Unregister(); err != nil {
		return fmt.Errorf("telemetry: %w", err)
	}
	return nil
}
