package replicator

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/s3db-go/replicator/cdc"
)

// Add carries changes to one more destination: those of writes that begin after it
// returned, and perhaps of some that are under way. The destination is judged as by New,
// beside those that are there, and started as by Start: what is certainly wrong is the
// error, and then nothing has changed; one that does not answer is none. With InitialSync
// it gets the present records too, and misses no write in between, as far as the source
// is a [cdc.Awaiter]; Add does not wait for that.
//
// It belongs to this Replicator from then on, over Stop and Start. A new process must
// name it in its Options, like every destination that has a place in the journal.
func (r *Replicator) Add(ctx context.Context, d Destination) error {
	run, err := r.current()
	if err != nil {
		return err
	}
	ctx, leave, err := run.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	// One at a time: each is judged beside those that are there.
	select {
	case run.joining <- struct{}{}:
		defer func() { <-run.joining }()
	case <-ctx.Done():
		return fmt.Errorf("replicator: add: %w", context.Cause(ctx))
	}
	d = d.withDefaults()
	if err := r.judge(run, d); err != nil {
		return err
	}
	if err := r.add(ctx, run, d); err != nil {
		return fmt.Errorf("replicator: add: %w", err)
	}
	return nil
}

// judge gives the faults of a destination beside those that are there.
func (r *Replicator) judge(run *running, d Destination) error {
	r.mu.Lock()
	o := r.opts
	o.Destinations = append(slices.Clone(o.Destinations), d)
	r.mu.Unlock()
	faults := append(o.loops(r.source), o.validate())
	o.Destinations = []Destination{d}
	faults = append(faults, o.unscannable(r.source)...)
	run.mu.Lock()
	departed := run.departed
	run.mu.Unlock()
	for _, gone := range departed {
		if (gone.Name == d.Name || sameDriver(gone.Driver, d.Driver)) && gone.left() {
			faults = append(faults, fmt.Errorf("replicator: destination %q: %w, of the one that was removed", d.Name, errLeft))
		}
	}
	return errors.Join(faults...)
}

// add brings up a destination and lets it in. After an error nothing has changed.
func (r *Replicator) add(ctx context.Context, run *running, d Destination) error {
	if run.places != nil {
		select {
		case run.places <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	made := run.destination(r, d)
	fresh := made.isNew()
	err := run.equip(r, made, nil)
	if err == nil && fresh {
		err = run.recorder.Admit(ctx, made.rest)
	}
	if err == nil {
		err = made.start(ctx)
	}
	if err != nil {
		if made.backfill != nil {
			err = errors.Join(err, made.backfill.Abandon())
		}
		if fresh {
			err = errors.Join(err, run.journal.DropCursor(d.Name))
		}
		run.yield()
		return err
	}
	// Its place in the journal is noted, so that nothing is missing from the first write
	// on that is captured for it.
	run.join(made)
	r.mu.Lock()
	r.opts.Destinations = append(slices.Clone(r.opts.Destinations), d)
	r.mu.Unlock()
	if err := run.recorder.NoteSchemas(ctx); err != nil {
		r.opts.Logger.Warn("a schema is not noted yet; the resource's next write tries again", "destination", d.Name, "error", err)
	}
	made.refill()
	r.opts.Logger.Info("destination added", "destination", d.Name)
	return nil
}

// yield gives back the place of a destination beside those that all share.
func (run *running) yield() {
	if run.places != nil {
		<-run.places
	}
}

// Remove carries no more changes to a destination. What was written before the call is
// delivered first, or as much as can be until ctx ends; if the destination is paused,
// nothing. Then the destination is stopped and its place in the journal forgotten,
// whatever waits: an error tells how much was given up, and of calls of the driver that
// had to be left behind, but the destination is removed all the same. What is unfinished
// of its backfills is given up too; its rows stay in the log. Without destinations, none
// of the writes are captured.
//
// Added again, also under the same name, it is new.
func (r *Replicator) Remove(ctx context.Context, name string) error {
	return r.operate(ctx, "remove", name, func(ctx context.Context, run *running, d *destination) error {
		why := d.drain(ctx, run.journal.Last())
		if run.life.Err() != nil {
			return cdc.ErrStopped // and nothing is given up
		}
		if d.is(paused) {
			why = errors.New("it is paused")
		}
		run.part(d)
		errs := []error{d.finish(ctx, nil)}
		if _, n := unsettled(run.journal, d.Name); why != nil && n > 0 {
			errs = append(errs, fmt.Errorf("%s given up: %w", counted(n, "change is", "changes are"), why))
		}
		if d.backfill != nil {
			errs = append(errs, d.backfill.Abandon())
		}
		errs = append(errs, r.pauses.remove(d.Name), run.gap.mend(d.Name), run.journal.DropCursor(d.Name))
		r.mu.Lock()
		r.opts.Destinations = slices.DeleteFunc(slices.Clone(r.opts.Destinations), func(other Destination) bool { return other.Name == d.Name })
		r.mu.Unlock()
		run.yield()
		err := errors.Join(errs...)
		r.opts.Logger.Info("destination removed", "destination", d.Name, "error", err)
		return err
	})
}
