package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/store"
)

const (
	// writeEvery paces the orders, sampleEvery the looks at Stats.
	writeEvery  = 10 * time.Millisecond
	sampleEvery = 100 * time.Millisecond
)

// recording is what was seen of a run.
type recording struct {
	names      []string // of the destinations
	samples    []sample
	from, to   time.Duration // of the outage, since the begin
	caughtUp   time.Duration // how long after it
	orders     int
	replicated map[string]uint64
}

// sample is one look at Stats.
type sample struct {
	at  time.Duration // since the begin
	lag map[string]time.Duration
}

func (r *recording) worst(name string) (most time.Duration) {
	for _, s := range r.samples {
		most = max(most, s.lag[name])
	}
	return most
}

// take writes orders, takes the victim's server away for so long, and looks at Stats until
// the destination has caught up.
func (r *recording) take(ctx context.Context, of *replicator.Replicator, orders *store.Resource, ill *receiver, dead time.Duration) error {
	begin := time.Now()
	calm := max(dead/6, time.Second) // before and after
	r.from, r.to = calm, calm+dead
	write, look := time.NewTicker(writeEvery), time.NewTicker(sampleEvery)
	defer write.Stop()
	defer look.Stop()
	away, back := time.After(r.from), time.After(r.to)
	var returned time.Time
	for over := false; !over; {
		select {
		case <-write.C:
			if _, err := orders.Insert(ctx, store.Record{"total": 100}); err != nil {
				return err
			}
			r.orders++
		case <-look.C:
			now := sample{time.Since(begin), map[string]time.Duration{}}
			for name, s := range of.Stats().Destinations {
				now.lag[name] = s.Lag
			}
			r.samples = append(r.samples, now)
			switch {
			case returned.IsZero():
			case r.caughtUp == 0 && now.lag[victim] < 2*sampleEvery:
				r.caughtUp = time.Since(returned)
			case r.caughtUp > 0:
				over = time.Since(returned) > r.caughtUp+calm
			}
		case <-away:
			ill.stop()
		case <-back:
			if err := ill.start(); err != nil {
				return err
			}
			returned = time.Now()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

func (r *recording) print(out io.Writer) {
	for _, name := range r.names {
		fmt.Fprintf(out, "%-10s lagged behind by at most %v\n", name, r.worst(name).Round(time.Millisecond))
	}
	fmt.Fprintf(out, "%d orders; after the outage %s had caught up within %v\n", r.orders, victim, r.caughtUp.Round(10*time.Millisecond))
}

// check holds that only who was away for so long lagged behind, and that all got all.
func (r *recording) check(dead time.Duration) error {
	var faults []error
	for _, name := range r.names {
		if lagged := r.worst(name) > dead/2; lagged != (name == victim) {
			faults = append(faults, fmt.Errorf("%s lagged behind by %v", name, r.worst(name)))
		}
		if r.replicated[name] != uint64(r.orders) {
			faults = append(faults, fmt.Errorf("%s got %d of %d orders", name, r.replicated[name], r.orders))
		}
	}
	if first := r.worst(victim); first < dead*9/10 {
		faults = append(faults, fmt.Errorf("%s was away for %v, and lagged behind by no more than %v", victim, dead, first))
	}
	return errors.Join(faults...)
}
