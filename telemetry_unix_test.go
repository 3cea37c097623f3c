//go:build unix

package replicator_test

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	mnoop "go.opentelemetry.io/otel/metric/noop"
	tnoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/s3db-go/replicator"
)

var telemetryRounds = flag.Int("telemetry-rounds", 0, "how many rounds TestTelemetryCostsNothing measures; 0 for a short run that judges loosely")

// nowhere is a destination that takes everything.
type nowhere struct{ name string }

func (n *nowhere) Name() string                                       { return n.name }
func (n *nowhere) Apply(context.Context, []replicator.Delivery) error { return nil }

// TestTelemetryCostsNothing compares the processor time of a delivery to one of sixteen
// destinations: without telemetry, the same again, which shows the noise, and with
// providers that keep nothing.
func TestTelemetryCostsNothing(t *testing.T) {
	rounds, changes := *telemetryRounds, 20_000
	if rounds == 0 {
		rounds, changes = 1, 320
	}
	off := replicator.Telemetry{}
	kinds := []struct {
		name string
		replicator.Telemetry
		took []time.Duration
	}{
		{"off", off, nil},
		{"off again", off, nil},
		{"no-op providers", replicator.Telemetry{MeterProvider: mnoop.NewMeterProvider(), TracerProvider: tnoop.NewTracerProvider()}, nil},
	}
	fanoutTime(t, off, changes) // what only the first run pays
	for round := range rounds {
		for i := range kinds {
			k := &kinds[(round+i)%len(kinds)] // each comes first as often
			k.took = append(k.took, fanoutTime(t, k.Telemetry, changes))
		}
	}
	for i := range kinds {
		k := &kinds[i]
		slices.Sort(k.took)
		t.Logf("%-16s %v per delivery, from %v to %v in %d rounds", k.name, k.took[rounds/2], k.took[0], k.took[rounds-1], rounds)
	}
	// The medians of one kind differ by noise alone, so that of the three is judged with it.
	noise := float64(max(kinds[0].took[rounds/2], kinds[1].took[rounds/2])) / float64(min(kinds[0].took[rounds/2], kinds[1].took[rounds/2]))
	bound := max(noise, 1.05)
	if *telemetryRounds == 0 {
		bound = 5
	}
	if more := float64(kinds[2].took[rounds/2]) / float64(kinds[0].took[rounds/2]); more > bound {
		t.Errorf("telemetry that goes nowhere costs %.3f of none, and none differs from itself by %.3f", more, noise)
	}
}

// fanoutTime gives the processor time of one delivery.
func fanoutTime(t *testing.T, o replicator.Telemetry, changes int) time.Duration {
	t.Helper()
	const fan, writers = 16, 64
	s := newShelf()
	var destinations []replicator.Destination
	for i := range fan {
		destinations = append(destinations, replicator.Destination{Driver: &nowhere{fmt.Sprint("d", i)}, Routes: replicator.Routes("r")})
	}
	r := start(t, s, replicator.Options{Telemetry: o, Destinations: destinations})
	defer halt(t, r)
	begun := processorTime(t)
	var work sync.WaitGroup
	for w := range writers {
		work.Go(func() {
			for i := range changes / writers {
				if err := s.put(t.Context(), "r", fmt.Sprint(w, "-", i), replicator.Record{"n": int64(i), "name": "Alice", "email": "alice@example.com"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	flush(t, r)
	return (processorTime(t) - begun) / time.Duration(changes*fan)
}

func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
