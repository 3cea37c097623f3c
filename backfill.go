package replicator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/backfill"
	"github.com/s3db-go/replicator/internal/disk"
	"github.com/s3db-go/replicator/internal/route"
)

// BackfillOptions say how a destination is backfilled.
type BackfillOptions struct {
	// Filter lets a present record pass or leaves it out, before any route is asked. It
	// gets the change as it is to be sent, with Op Inserted and OriginSnapshot, secret
	// fields included, and may alter the top level of its copy. It leaves live changes
	// alone. A panic stops the backfill at that record's chunk, which is tried again.
	// nil lets all pass.
	Filter func(Change) bool
	// ChunkSize is how many records are read at once. About three chunks are in the
	// journal at a time. Defaults to 1,000.
	ChunkSize int
	// Rate bounds the records that are read in a second, for each destination. 0 for no
	// bound.
	Rate int
}

// everything is the From of a route for all resources.
const everything = "*"

// defaultChunk costs one append to the journal and one small file for a thousand
// records, and a megabyte or so of memory.
const defaultChunk = 1000

func (o BackfillOptions) faults() (faults []error) {
	if o.ChunkSize < 0 {
		faults = append(faults, fmt.Errorf("Backfill.ChunkSize is %d; it can't be negative", o.ChunkSize))
	}
	if o.Rate < 0 {
		faults = append(faults, fmt.Errorf("Backfill.Rate is %d; it can't be negative", o.Rate))
	}
	return faults
}

// unscannable gives the destinations whose InitialSync the source can't do.
func (o Options) unscannable(source cdc.Source) (faults []error) {
	for _, d := range o.Destinations {
		if !d.InitialSync {
			continue
		}
		scanner, lister := scans(source)
		if scanner == nil {
			faults = append(faults, fmt.Errorf("replicator: destination %q: InitialSync needs a source that can be scanned", d.Name))
			continue
		}
		if lister == nil && slices.ContainsFunc(d.Routes, func(r Route) bool { return r.From == everything }) {
			faults = append(faults, fmt.Errorf("replicator: destination %q: InitialSync of %q needs a source that lists its resources", d.Name, everything))
		}
	}
	return faults
}

// scans gives the source's abilities to be backfilled from, nil where it has them not.
// A CustomSource has the methods, but not always what is behind them.
func scans(source cdc.Source) (cdc.Scanner, cdc.Lister) {
	scanner, _ := source.(cdc.Scanner)
	lister, _ := source.(cdc.Lister)
	if custom, ok := source.(interface{ scans() (scan, list bool) }); ok {
		scan, list := custom.scans()
		if !scan {
			scanner = nil
		}
		if !list {
			lister = nil
		}
	}
	return scanner, lister
}

// Backfill sends the present records of the resources to a destination, and waits until
// they are settled there: delivered, skipped, or in the log as failed. Without
// resources it sends those of all that the destination's routes carry. Live changes go on
// meanwhile; what is sent never overwrites a newer change and brings back no deleted
// record. Rows at the destination that the source does not have stay there.
//
// A present record goes as an insert of OriginSnapshot: a route gets it whose Actions
// hold Inserted, and one that wants only updates or deletes does not. A record that is
// written while it is read is left to that write. Each destination works through its
// resources one after the other. A resource whose backfill is under way already is not
// begun again, but waited for.
//
// Before anything is sent the backfill is durable: from then on it is carried out,
// whatever becomes of ctx, over Stop and Start. ctx bounds only the wait; when it ends,
// or at Stop, the error tells for each resource how far it is and what keeps it, if the
// source or the journal fails. Such failures are tried again. See BackfillProgress for
// the way there.
func (r *Replicator) Backfill(ctx context.Context, destination string, resources ...string) error {
	run, err := r.current()
	if err != nil {
		return err
	}
	if err := run.backfill(ctx, destination, resources); err != nil {
		return fmt.Errorf("replicator: backfill: %w", err)
	}
	return nil
}

func (run *running) backfill(ctx context.Context, destination string, resources []string) error {
	f := run.filler(destination)
	if f == nil {
		return fmt.Errorf("there is no destination %q", destination)
	}
	if f.runner == nil {
		return fmt.Errorf("%s: the source can't be scanned", destination)
	}
	if len(resources) == 0 {
		resources = f.carried()
	}
	var faults []error
	for _, resource := range resources {
		if !f.router.Wants(resource, Inserted) {
			faults = append(faults, fmt.Errorf("%s: %s: no route carries its inserts", destination, resource))
		}
	}
	if len(faults) > 0 {
		return errors.Join(faults...)
	}
	begun := make([]*backfill.Run, len(resources))
	for i, resource := range resources {
		var err error
		if begun[i], err = f.runner.Begin(resource); err != nil {
			return fmt.Errorf("%s: %s: %w", destination, resource, err)
		}
	}
	errs := make([]error, len(begun))
	for i, b := range begun {
		errs[i] = b.Wait(ctx)
	}
	return errors.Join(errs...)
}

// filler is what backfills one destination.
type filler struct {
	destination Destination
	router      *route.Router
	resources   cdc.Lister       // nil if the source does not list them
	runner      *backfill.Runner // nil if the source can't be scanned
}

// carried gives the resources whose inserts the destination's routes carry: those that
// they name, and with a route for everything those that the source has.
func (f *filler) carried() []string {
	var names []string
	for _, r := range f.destination.Routes {
		if r.From == everything && f.resources != nil {
			names = append(names, f.resources.Resources()...)
		} else if r.From != everything {
			names = append(names, r.From)
		}
	}
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(name string) bool { return !f.router.Wants(name, Inserted) })
}

// fill puts down what is to be backfilled, before the engines start: a destination
// without a cursor has one from then on, and would not be known as new after a crash.
func (run *running) fill(r *Replicator) error {
	// A journal in memory is gone with what was sent, so how far that got is not kept.
	var kept disk.FS
	var unfinished []backfill.State
	if !r.opts.Volatile {
		kept = run.fs
		var err error
		if unfinished, err = backfill.Unfinished(kept); err != nil {
			return err
		}
	}
	for _, s := range unfinished {
		if run.find(s.Destination) == nil {
			if err := backfill.Forget(kept, s); err != nil {
				return fmt.Errorf("%s: backfill: %s: %w", s.Destination, s.Resource, err)
			}
		}
	}
	scanner, lister := scans(r.source)
	for i, d := range r.opts.Destinations {
		f := &filler{destination: d, router: run.routers[i], resources: lister}
		run.fillers = append(run.fillers, f)
		if scanner == nil {
			continue
		}
		mine, err := run.theirs(kept, d.Name, unfinished)
		if err != nil {
			return err
		}
		f.runner = backfill.New(backfill.Options{
			Destination: d.Name, Source: scanner, Journal: run.journal, FS: kept,
			Settled: func(ctx context.Context, seq uint64) error { return run.find(d.Name).present().Drain(ctx, seq) },
			Filter:  d.Backfill.Filter, ChunkSize: d.Backfill.ChunkSize, Rate: d.Backfill.Rate, Notify: r.progress(d.Name),
		}, mine)
		if _, old := run.journal.Cursor(d.Name); old || !d.InitialSync {
			continue
		}
		for _, resource := range f.carried() {
			if _, err := f.runner.Begin(resource); err != nil {
				return fmt.Errorf("%s: backfill: %s: %w", d.Name, resource, err)
			}
		}
	}
	return nil
}

// theirs gives the backfills that a destination has not finished. Without a cursor there
// are none: whatever they had sent is gone, so they are forgotten.
func (run *running) theirs(kept disk.FS, destination string, unfinished []backfill.State) (mine []backfill.State, err error) {
	_, known := run.journal.Cursor(destination)
	for _, s := range unfinished {
		switch {
		case s.Destination != destination:
		case known:
			mine = append(mine, s)
		default:
			if err := backfill.Forget(kept, s); err != nil {
				return nil, fmt.Errorf("%s: backfill: %s: %w", destination, s.Resource, err)
			}
		}
	}
	return mine, nil
}

func (run *running) filler(destination string) *filler {
	i := slices.IndexFunc(run.fillers, func(f *filler) bool { return f.destination.Name == destination })
	if i < 0 {
		return nil
	}
	return run.fillers[i]
}

// eachRunner calls do for the destinations side by side.
func (run *running) eachRunner(do func(*backfill.Runner)) {
	var wg sync.WaitGroup
	for _, f := range run.fillers {
		if f.runner != nil {
			wg.Go(func() { do(f.runner) })
		}
	}
	wg.Wait()
}

// progress gives the function that turns what a runner tells into events and log lines.
func (r *Replicator) progress(destination string) func(backfill.Progress) {
	logger := r.opts.Logger.With("destination", destination)
	return func(p backfill.Progress) {
		e := Event{Kind: BackfillProgress, Time: time.Now(), Destination: destination, Resource: p.Resource, Read: p.Read, Sent: p.Sent, Done: p.Done, Err: p.Err}
		r.hub.Publish(e)
		switch {
		case p.Err != nil:
			logger.Warn("backfill fails, and is tried again", "resource", p.Resource, "error", p.Err)
		case p.Done:
			logger.Info("backfill done", "resource", p.Resource, "read", p.Read, "sent", p.Sent)
		}
	}
}
