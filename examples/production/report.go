package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"
)

// report tells how each destination stands, and fails if an order is in the log as failed,
// or waits for a destination that answers.
func (s *shop) report(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_ = s.replicator.Flush(ctx) // what waits is told below
	var faults []error
	destinations := s.replicator.Stats().Destinations
	for _, name := range slices.Sorted(maps.Keys(destinations)) {
		d := destinations[name]
		fmt.Fprintf(out, "%-10s %d replicated, %d waiting, %d failed\n", name, d.Replicated, d.Waiting, d.Failed)
		if d.Failed > 0 || d.Waiting > 0 && !d.BreakerOpen {
			faults = append(faults, fmt.Errorf("%s: %d failed, %d wait: %s", name, d.Failed, d.Waiting, d.Err))
		}
	}
	return errors.Join(faults...)
}
