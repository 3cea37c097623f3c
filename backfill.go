package replicator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
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
	// ChunkSize is how many records are sent at once, fewer if they are large. About three
	// chunks are in the journal at a time. Defaults to 1,000.
	ChunkSize int
	// Rate bounds the records that are read in a second, for each destination. 0 for no
	// bound.
	Rate int
}

// defaultChunk costs one append to the journal and one small file for a thousand
// records, and a megabyte or so of memory.
const defaultChunk = 1000

// chunkBytes bounds a chunk: half of what a destination loads at once, and in a small
// journal an eighth, so that three of them and live changes fit.
func (o Options) chunkBytes() int {
	const most = 8 << 20
	if o.MaxJournalBytes > 0 {
		return int(min(most, o.MaxJournalBytes/8))
	}
	return most
}

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
		if lister == nil && slices.ContainsFunc(d.Routes, func(r Route) bool { return r.From == route.Everything }) {
			faults = append(faults, fmt.Errorf("replicator: destination %q: InitialSync of %q needs a source that lists its resources", d.Name, route.Everything))
		}
	}
	return faults
}

// scans gives the source's abilities to be backfilled from, nil where it has them not.
func scans(source cdc.Source) (cdc.Scanner, cdc.Lister) {
	scanner, _ := source.(cdc.Scanner)
	lister, _ := source.(cdc.Lister)
	if custom, ok := source.(customized); ok {
		if custom.options().Scan == nil {
			scanner = nil
		}
		if custom.options().Resources == nil {
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
// written while it is read is left to that write, where the routes carry it. Each
// destination works through its resources one after the other. A resource whose backfill
// is under way already is not begun again, but waited for. While the destination is
// paused, so are its backfills.
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
	d := run.find(destination)
	if d == nil {
		return fmt.Errorf("there is no destination %q", destination)
	}
	if d.backfill == nil {
		return fmt.Errorf("%s: the source can't be scanned", destination)
	}
	whole := len(resources) == 0
	if whole {
		resources = d.carried()
	}
	var faults []error
	for _, resource := range resources {
		if !d.router.Wants(resource, Inserted) {
			faults = append(faults, fmt.Errorf("%s: %s: no route carries its inserts", destination, resource))
		}
	}
	if len(faults) > 0 {
		return errors.Join(faults...)
	}
	missing := run.journal.Stats().Unjournaled
	begun := make([]*backfill.Run, len(resources))
	for i, resource := range resources {
		// One that was under way may have read before something was let go.
		whole = whole && !d.backfill.Underway(resource)
		var err error
		if begun[i], err = d.backfill.Begin(resource); err != nil {
			return fmt.Errorf("%s: %s: %w", destination, resource, err)
		}
	}
	errs := make([]error, len(begun))
	for i, b := range begun {
		errs[i] = b.Wait(ctx)
	}
	if err := errors.Join(errs...); err != nil || !whole {
		return err
	}
	if now := run.journal.Stats().Unjournaled; now != missing {
		return run.gap.grow(now, run.all())
	}
	if err := run.gap.grow(missing, run.all()); err != nil {
		return err
	}
	return run.gap.mend(destination)
}

// named gives the resources that the destination's routes name, and with a route for
// everything those that the source has.
func (d *destination) named() []string {
	var names []string
	for _, r := range d.Routes {
		if r.From == route.Everything && d.resources != nil {
			names = append(names, d.resources.Resources()...)
		} else if r.From != route.Everything {
			names = append(names, r.From)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// carried gives those of them whose inserts the routes carry.
func (d *destination) carried() []string {
	return slices.DeleteFunc(d.named(), func(name string) bool { return !d.router.Wants(name, Inserted) })
}

// carries gives the routes that carry inserts of a resource, perhaps one that yields to
// another.
func (d *destination) carries(resource string) (routes []Route) {
	for _, r := range d.Routes {
		if (r.From == resource || r.From == route.Everything) && (r.Actions == 0 || r.Actions.Has(Inserted)) {
			routes = append(routes, r)
		}
	}
	return routes
}

// misses reports whether a route may not carry the change that a record had while it was
// read for a backfill.
func (d *destination) misses(resource string) bool {
	return slices.ContainsFunc(d.carries(resource), func(r Route) bool { return r.Actions != 0 && !r.Actions.Has(Updated) })
}

// restock puts down a backfill, from its beginning, of every resource that ends in a
// target which holds state. Present records can't stand for events.
func (d *destination) restock() error {
	if d.backfill == nil {
		return nil
	}
	limits := limits(d.Driver)
	for _, resource := range d.carried() {
		if limits != nil && !slices.ContainsFunc(d.carries(resource), func(r Route) bool { return !limits(cmp.Or(r.To, resource)).Events }) {
			continue
		}
		if err := d.backfill.Restart(resource); err != nil {
			return err
		}
	}
	return nil
}

// fill puts down what is to be backfilled, before the engines start: a destination
// without a cursor has one from then on, and would not be known as new after a crash.
func (run *running) fill(r *Replicator) error {
	// A journal in memory is gone with what was sent, so how far that got is not kept.
	var unfinished []backfill.State
	if run.kept != nil {
		var err error
		if unfinished, err = backfill.Unfinished(run.kept); err != nil {
			return err
		}
	}
	for _, s := range unfinished {
		if run.find(s.Destination) == nil {
			if err := backfill.Forget(run.kept, s); err != nil {
				return fmt.Errorf("%s: backfill: %s: %w", s.Destination, s.Resource, err)
			}
		}
	}
	for _, d := range run.all() {
		if err := run.equip(r, d, unfinished); err != nil {
			return err
		}
	}
	return nil
}

// equip gives a destination what backfills it, and if it is new puts down what it is to
// get first.
func (run *running) equip(r *Replicator, d *destination, unfinished []backfill.State) error {
	scanner, _ := scans(r.source)
	if scanner == nil {
		return nil
	}
	mine, err := run.theirs(run.kept, d.Name, unfinished)
	if err != nil {
		return err
	}
	o := backfill.Options{
		Destination: d.Name, Source: scanner, Journal: run.journal, FS: run.kept, Settled: d.drain,
		Filter: d.Backfill.Filter, ChunkSize: d.Backfill.ChunkSize, ChunkBytes: r.opts.chunkBytes(), Rate: d.Backfill.Rate, Notify: r.progress(d.Name),
	}
	if awaiter, ok := r.source.(cdc.Awaiter); ok {
		o.Await = awaiter.Await
	}
	if _, ok := r.source.(cdc.Reader); ok {
		o.Again = d.misses
		o.Present = func(ctx context.Context, resource, id string) (cdc.Row, bool, error) {
			return run.recorder.Present(ctx, resource, id)
		}
	}
	d.backfill = backfill.New(o, mine)
	if _, old := run.journal.Cursor(d.Name); old || !d.InitialSync {
		return nil
	}
	for _, resource := range d.carried() {
		if _, err := d.backfill.Begin(resource); err != nil {
			return fmt.Errorf("%s: backfill: %s: %w", d.Name, resource, err)
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
