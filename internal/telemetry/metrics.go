package telemetry

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// attemptBounds are the histogram's, in seconds: from a local call to a timeout.
var attemptBounds = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}

// instruments are those that are read at each collection.
type instruments struct {
	deliveries, retries, flushes         metric.Int64ObservableCounter
	flushTime                            metric.Float64ObservableCounter
	lag                                  metric.Float64ObservableGauge
	waiting, waitingBytes, running       metric.Int64ObservableGauge
	breaker, paused, journalSize, doubts metric.Int64ObservableGauge
}

// measure makes the instruments and has them read.
func (t *Telemetry) measure(m metric.Meter, read func() Figures) error {
	var in instruments
	var errs []error
	var all []metric.Observable
	counter := func(name, unit, what string) metric.Int64ObservableCounter {
		c, err := m.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(what))
		errs, all = append(errs, err), append(all, c)
		return c
	}
	gauge := func(name, unit, what string) metric.Int64ObservableGauge {
		g, err := m.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(what))
		errs, all = append(errs, err), append(all, g)
		return g
	}
	in.deliveries = counter("replicator.deliveries", "{delivery}", "Deliveries that ended, by destination and outcome.")
	in.retries = counter("replicator.retries", "{attempt}", "Failed attempts that another followed.")
	in.flushes = counter("replicator.journal.flushes", "{flush}", "Times the journal was flushed to the disk.")
	in.waiting = gauge("replicator.backlog", "{change}", "Changes that are not settled at a destination.")
	in.waitingBytes = gauge("replicator.backlog.size", "By", "Bytes of the journal that a destination still needs.")
	in.running = gauge("replicator.attempts.running", "{attempt}", "Calls of the driver that run.")
	in.breaker = gauge("replicator.breaker.open", "1", "1 while a destination is taken for unavailable.")
	in.paused = gauge("replicator.paused", "1", "1 while a destination is paused.")
	in.journalSize = gauge("replicator.journal.size", "By", "Bytes of the journal on disk.")
	in.doubts = gauge("replicator.indoubt", "{record}", "Records with a write of which nobody knows whether it was applied.")
	var err error
	in.flushTime, err = m.Float64ObservableCounter("replicator.journal.flush.time", metric.WithUnit("s"), metric.WithDescription("Time that flushing the journal took."))
	errs, all = append(errs, err), append(all, in.flushTime)
	in.lag, err = m.Float64ObservableGauge("replicator.lag", metric.WithUnit("s"), metric.WithDescription("Age of the oldest change that is not settled at a destination, 0 when idle."))
	errs, all = append(errs, err), append(all, in.lag)
	t.attempts, err = m.Float64Histogram("replicator.attempt.duration", metric.WithUnit("s"), metric.WithExplicitBucketBoundaries(attemptBounds...),
		metric.WithDescription("Duration of the calls of a driver, by destination and outcome."))
	if err := errors.Join(append(errs, err)...); err != nil {
		return err
	}
	t.metrics, err = m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		in.observe(o, read())
		return nil
	}, all...)
	return err
}

func (in *instruments) observe(o metric.Observer, f Figures) {
	o.ObserveInt64(in.journalSize, f.Journal.Bytes)
	o.ObserveInt64(in.flushes, int64(f.Journal.Flushes))
	o.ObserveFloat64(in.flushTime, f.Journal.FlushTime.Seconds())
	o.ObserveInt64(in.doubts, int64(f.InDoubt))
	for _, d := range f.Destinations {
		where := []attribute.KeyValue{attribute.String("destination", d.Name), attribute.String("driver", d.Driver)}
		at := metric.WithAttributes(where...)
		for _, ended := range []struct {
			outcome string
			count   uint64
		}{{"replicated", d.Replicated}, {"coalesced", d.Coalesced}, {"skipped", d.Skipped}, {"failed", d.Failed}} {
			o.ObserveInt64(in.deliveries, int64(ended.count), at, metric.WithAttributes(attribute.String("outcome", ended.outcome)))
		}
		o.ObserveInt64(in.retries, int64(d.Retried), at)
		o.ObserveInt64(in.waiting, int64(d.Waiting), at)
		o.ObserveInt64(in.waitingBytes, d.WaitingBytes, at)
		o.ObserveFloat64(in.lag, d.Lag.Seconds(), at)
		o.ObserveInt64(in.running, int64(d.InFlight), at)
		o.ObserveInt64(in.breaker, flag(d.BreakerOpen), at)
		o.ObserveInt64(in.paused, flag(d.Paused), at)
	}
}

func flag(set bool) int64 {
	if set {
		return 1
	}
	return 0
}
