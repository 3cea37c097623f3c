// Package replicator carries the changes of a resource store to other places: s3db
// buckets, tables of PostgreSQL and BigQuery, queues of SQS, webhooks, and whatever a
// [Driver] is written for. It runs inside the process that owns the store. A write is
// announced in a journal on disk before the store applies it, so that it is delivered
// even if the process dies in between; each destination then reads the journal at its
// own pace.
//
//	db, err := store.Open(ctx, "file:///var/lib/app/db")
//	r, err := replicator.New(db, replicator.Options{
//		Dir: "/var/lib/app/replicator",
//		Destinations: []replicator.Destination{{
//			Name:   "backup",
//			Driver: s3db.New(s3db.Options{ConnectionString: "file:///mnt/backup"}),
//			Routes: replicator.Routes("users", "orders"),
//		}},
//	})
//	err = r.Start(ctx)
//	defer r.Stop(ctx)
//
// # Promises
//
//  1. Nothing is lost. A change that the store applied reaches every destination that
//     wants it, or stands in the log as failed with all that is needed to send it
//     again. Also over kill -9, a power loss, and a destination that is down for a
//     week.
//  2. Order per record. A destination gets the changes of one record in the order in
//     which the store applied them, over retries, batches and restarts. Different
//     records go in parallel.
//  3. At least once, made idempotent. Every change has an id that stays, and a version
//     that only grows. Destinations that hold state are written by key.
//  4. No silent success. A delivery counts when the destination said so for that very
//     delivery. An update that finds nothing inserts; deleting what is absent is fine.
//  5. Independence. A slow, dead or misconfigured destination delays no other, and
//     never the store. A record that can't be delivered stops only its own successors
//     there, and only until it is given up.
//  6. Bounded. Memory does not grow with what waits. What waits, waits on disk.
//  7. Truth at a glance. Lag is the age of the oldest change that is not settled, zero
//     when idle. Health says so when nothing moves. A listener that is too slow for the
//     events is told how many it missed; the log misses none.
//  8. The caller pays little. A write waits for one append to the journal, shared with
//     the writes beside it. One that no route wants waits for nothing. Your functions,
//     drivers and listeners never run in the path of a write.
//  9. Bad input gets a clear error, early. All faults of the options at once, in New.
//     A panic in your code is that record's failure, not the process's.
//  10. Secrets stay secret. No credential and no secret attribute appears in an error,
//     an event, the log or a status. A secret attribute leaves the store only for a
//     destination that encrypts it, or where a route names it.
//
// Each is a test of its name in promises_test.go; the last in secrets_test.go.
//
// # What it does not promise
//
//   - Exactly once. After a crash, a timeout or a lost answer a delivery is sent again;
//     a destination that holds state ends the same, one that takes events gets the
//     change's id to tell by.
//   - Order between records, unless Route.OrderBy puts them in one line, and order of
//     what several processes write to one record.
//   - Every state in between. A destination that holds state may get only the newest of
//     the changes that wait; one that takes events gets each.
//   - What was written while no Replicator was started. [Replicator.Backfill] sends what
//     is there by then, but nothing tells of what was deleted.
//
// While it runs, a destination can be paused and resumed, rewound to a time, added and
// removed: see [Replicator.Pause], [Replicator.Rewind] and [Replicator.Add].
//
// # Words
//
//   - record: a resource's item
//   - change: what happened to a record: inserted, updated, deleted; with id, version,
//     before and after
//   - journal: the durable sequence of changes
//   - cursor: what one destination has settled of the journal
//   - destination: a named driver with its routes
//   - route: one resource's way to one target: filter, transform, name
//   - target: where a route ends: a table, a resource, a queue, a path
//   - delivery: one change for one target, as routed
//   - lane: the queue of one ordering key, by default the record, at one target
//   - attempt: one call of a driver
//   - outcome: how a delivery ended: replicated, coalesced, skipped, failed
//   - settle: to record the outcome and move the cursor
//   - log: the outcomes that are kept
//   - event: the live notice
//   - backfill: sending a resource's present records
//   - in doubt: said of a write of which nobody knows whether the store applied it
package replicator

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/hub"
)

// Replicator carries the changes of a source to its destinations. It is safe for
// concurrent use.
type Replicator struct {
	source cdc.Source
	opts   Options // Destinations is guarded by mu; the rest is only read
	hub    *hub.Hub[Event]
	pauses pauses

	turn chan struct{}  // holds one value while a Start or Stop is under way
	left []*destination // stopped, with calls that have not returned; belongs to the turn

	mu  sync.Mutex // guards run, and opts.Destinations while it is set
	run *running   // nil while stopped
}

// New makes a replicator. It does no I/O and starts nothing. Its error joins every
// fault of the options; each names the destination and the field.
func New(source Source, opts Options) (*Replicator, error) {
	opts = opts.withDefaults()
	faults := []error{opts.validate()}
	if source == nil {
		faults = append(faults, errors.New("replicator: the source is nil"))
	} else if v, ok := source.(cdc.Validator); ok {
		for _, err := range each(v.Validate()) {
			faults = append(faults, fmt.Errorf("replicator: source: %w", err))
		}
	}
	if source != nil {
		faults = append(faults, opts.unscannable(source)...)
		faults = append(faults, opts.loops(source)...)
		faults = append(faults, opts.unhosted(source)...)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	if s, ok := source.(reporter); ok {
		s.report(opts.Logger)
	}
	return &Replicator{
		source: source,
		opts:   opts,
		hub:    hub.New(eventBuffer, func(n int) Event { return Event{Kind: Missed, Missed: n} }),
		turn:   make(chan struct{}, 1),
	}, nil
}

// Start opens the journal and the log, resolves what a former run left in doubt,
// opens the drivers, and hooks the source; from then on changes are captured and
// delivered. What is certainly wrong (bad credentials, a directory in use by another
// process, a damaged journal, a cursor that belongs to no destination, a call of a driver
// that the last Stop had to leave behind) is its error, and then nothing runs. A
// destination that does not answer is none: its changes wait. One that is paused stays
// so. ctx bounds the call, not the replicator's life. A second Start does nothing.
func (r *Replicator) Start(ctx context.Context) error {
	if err := r.take(ctx); err != nil {
		return err
	}
	defer r.give()
	if _, err := r.current(); err == nil {
		return nil
	}
	if err := r.gone(); err != nil {
		return err
	}
	run, err := r.open(ctx)
	if err != nil {
		return errors.Join(err, r.stop(ctx, run))
	}
	r.set(run)
	return nil
}

// ErrWaiting is what errors.Is finds in the error of a Stop or Flush whose time ended, as it
// does in every outage, and that has nothing else to tell: what is not delivered waits in the
// journal on disk, and the next Start goes on with it. An error in which it is not found is a
// fault that somebody should look at; under Options.Volatile, where the journal ends with
// the process, every one is.
var ErrWaiting = errors.New("replicator: changes wait in the journal")

// Stop delivers what was written before the call, or as much as it can until ctx
// ends; then it stops the destinations, lets go of the source and closes everything.
// The source is captured all the while: what is left, and what is written meanwhile,
// stays in the journal for the next Start, and an error tells how much for which
// destination; if that is all that it tells, it is [ErrWaiting]. Destinations that are paused are not waited for. What Pause, Resume,
// Rewind, Add and Remove have under way ends with an error. What is written to the source
// after Stop returned, or before Start, is not captured. Stopping what is stopped does
// nothing.
func (r *Replicator) Stop(ctx context.Context) error {
	// Not ctx: a Stop that was called is carried out, however little time it has.
	if err := r.take(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	defer r.give()
	run, err := r.current()
	if err != nil {
		return nil
	}
	run.close()
	told := r.tellDrain(run)
	drained := run.drain(ctx, run.journal.Last())
	told(drained)
	if drained != nil {
		drained = fmt.Errorf("replicator: stop: %w", drained)
	}
	r.set(nil)
	if stopped := r.stop(ctx, run); stopped != nil {
		return errors.Join(drained, stopped)
	}
	return run.asWaiting(drained)
}

// stop takes a run down, and remembers the calls of drivers that it has to leave.
func (r *Replicator) stop(ctx context.Context, run *running) error {
	err := run.stop(ctx)
	r.left = append(run.departed, run.all()...)
	return err
}

// gone forgets the calls that a former run left behind and that have returned since.
// While one still runs, what it carries may yet be applied, after whatever a new run
// would send.
func (r *Replicator) gone() error {
	for _, d := range r.left {
		if d.left() {
			return fmt.Errorf("replicator: %s: a call from before Stop has not returned", d.Name)
		}
	}
	r.left = nil
	return nil
}

// Flush waits until every write that returned before the call is settled at every
// destination: delivered, skipped, or in the log as failed. Destinations that are paused
// are not waited for. It returns early when ctx ends, with an error that tells how much
// waits for which destination, see [ErrWaiting].
func (r *Replicator) Flush(ctx context.Context) error {
	run, err := r.current()
	if err != nil {
		return err
	}
	// A write in doubt is part of it, once it is known what became of it.
	if err := run.recorder.Settle(ctx); err != nil {
		return fmt.Errorf("replicator: flush: %w", err)
	}
	told := r.tellDrain(run)
	err = run.drain(ctx, run.journal.Last())
	if told(err); err != nil {
		err = fmt.Errorf("replicator: flush: %w", err)
	}
	return run.asWaiting(err)
}

// asWaiting gives the error of a drain, as ErrWaiting if the journal on disk has what waits
// and only the time is over.
func (run *running) asWaiting(drained error) error {
	if drained == nil || run.kept == nil || errors.Is(drained, cdc.ErrStopped) || run.journal.Stats().Err != nil {
		return drained
	}
	return waitingError{drained}
}

// waitingError is an error that is ErrWaiting too.
type waitingError struct{ error }

func (waitingError) Is(target error) bool { return target == ErrWaiting }

func (e waitingError) Unwrap() error { return e.error }

// take waits for the turn to start or stop.
func (r *Replicator) take(ctx context.Context) error {
	select {
	case r.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("replicator: %w", context.Cause(ctx))
	}
}

func (r *Replicator) give() { <-r.turn }

func (r *Replicator) set(run *running) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.run = run
}

// current gives what runs, or cdc.ErrStopped.
func (r *Replicator) current() (*running, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.run == nil {
		return nil, cdc.ErrStopped
	}
	return r.run, nil
}
