package replicator

import (
	"context"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/s3db-go/replicator/internal/telemetry"
)

// Telemetry says where OpenTelemetry gets metrics and spans. Without providers it costs
// nothing.
type Telemetry struct {
	// MeterProvider makes the metrics, all named replicator.…: lag in seconds, backlog in
	// changes and bytes, deliveries by destination and outcome, durations of attempts,
	// breakers, the journal's size and flushes. They are read from Stats when they are
	// collected. None by default.
	MeterProvider metric.MeterProvider
	// TracerProvider makes a span for each call of a driver, linked to the spans in which
	// its changes were written, if those are given to the source's writes by their
	// context. None by default.
	TracerProvider trace.TracerProvider
}

// observe begins to report to OpenTelemetry.
func (r *Replicator) observe(run *running) (err error) {
	run.telemetry, err = telemetry.Start(telemetry.Options{
		Meter: r.opts.Telemetry.MeterProvider, Tracer: r.opts.Telemetry.TracerProvider,
		Read: func() telemetry.Figures { return run.figures(r.Stats()) },
	})
	return err
}

// traces gives the function that finds the trace of a writer, nil if nobody traces.
func (t Telemetry) traces() func(context.Context) string {
	if t.TracerProvider == nil {
		return nil
	}
	return telemetry.Parent
}

// figures gives what becomes metrics. Of a replicator that has not started, or is
// stopped, there is nothing to tell.
func (run *running) figures(s Stats) telemetry.Figures {
	j := run.journal.Stats()
	f := telemetry.Figures{
		InDoubt: s.InDoubt,
		Journal: telemetry.Journal{Bytes: j.Bytes, Flushes: j.Flushes, FlushTime: j.FlushTime},
	}
	for name, d := range s.Destinations {
		f.Destinations = append(f.Destinations, telemetry.Destination{
			Name: name, Driver: d.Driver, Replicated: d.Replicated, Coalesced: d.Coalesced, Skipped: d.Skipped, Failed: d.Failed,
			Retried: d.Retried, Waiting: d.Waiting, WaitingBytes: d.WaitingBytes, Lag: d.Lag, InFlight: d.InFlight,
			BreakerOpen: d.BreakerOpen, Paused: d.Paused != nil,
		})
	}
	return f
}
