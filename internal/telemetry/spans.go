package telemetry

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/s3db-go/replicator/cdc"
)

// maxLinks bounds the links of a span: the SDK keeps 128 of them by its default, and a
// batch of thousands is not read link by link.
const maxLinks = 128

// Observer is called at the begin of an attempt. The context that it gives is the
// driver's, so that what the driver traces by itself stands below the attempt; what it
// gives beside is called at the end, with the driver's answer.
type Observer func(ctx context.Context, batch []cdc.Delivery) (context.Context, func(error))

// Attempts gives the Observer of a destination, nil where there is nothing to tell.
func (t *Telemetry) Attempts(destination, driver string) Observer {
	if t == nil {
		return nil
	}
	where := []attribute.KeyValue{attribute.String("destination", destination), attribute.String("driver", driver)}
	ended := map[string]metric.MeasurementOption{}
	for _, outcome := range outcomes {
		ended[outcome] = metric.WithAttributeSet(attribute.NewSet(append([]attribute.KeyValue{attribute.String("outcome", outcome)}, where...)...))
	}
	return func(ctx context.Context, batch []cdc.Delivery) (context.Context, func(error)) {
		began := time.Now()
		var span trace.Span
		if t.tracer != nil {
			ctx, span = t.tracer.Start(ctx, "replicate to "+destination, trace.WithSpanKind(trace.SpanKindProducer),
				trace.WithAttributes(where...), trace.WithAttributes(attribute.Int("deliveries", len(batch))), trace.WithLinks(links(batch)...))
		}
		return ctx, func(err error) {
			outcome := outcomeOf(err)
			if t.attempts != nil {
				t.attempts.Record(ctx, time.Since(began).Seconds(), ended[outcome])
			}
			if span == nil {
				return
			}
			span.SetAttributes(attribute.String("outcome", outcome))
			if err != nil {
				span.SetStatus(codes.Error, err.Error())
			}
			span.End()
		}
	}
}

// The outcomes of an attempt.
const (
	delivered = "delivered"
	partial   = "partial" // some of the batch
)

var outcomes = []string{delivered, partial, cdc.Transient.String(), cdc.RecordFault.String(), cdc.DestinationFault.String()}

func outcomeOf(err error) string {
	if err == nil {
		return delivered
	}
	if _, ok := errors.AsType[*cdc.BatchError](err); ok {
		return partial
	}
	return cdc.FaultOf(err).String()
}

// links gives the writers' spans. The changes of one write stand side by side, and give
// one link.
func links(batch []cdc.Delivery) (links []trace.Link) {
	var last string
	for i := range batch {
		parent := batch[i].Trace
		if parent == "" || parent == last {
			continue
		}
		last = parent
		ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": parent})
		if link := trace.LinkFromContext(ctx); link.SpanContext.IsValid() {
			links = append(links, link)
		}
		if len(links) == maxLinks {
			break
		}
	}
	return links
}

// Parent gives the trace that ctx stands in, in the W3C traceparent form, "" if none.
func Parent(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier["traceparent"]
}
