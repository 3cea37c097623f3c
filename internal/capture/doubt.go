package capture

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/backoff"
	"github.com/s3db-go/replicator/internal/journal"
)

// readAgain paces the reading of a record in doubt while its store can't be read.
// Quick at first, since most doubts are a reset connection; then slow enough not to
// burden a store that is coming back.
var readAgain = backoff.Policy{Base: 100 * time.Millisecond, Cap: 5 * time.Second}

// doubt is an announcement whose end is not known.
type doubt struct {
	journal.Announced
	// due is when watch looks next, and believe whether it believes what it sees then;
	// they belong to it.
	due     time.Time
	believe bool
	// ended is guarded by the record's lock, like everything that ends an
	// announcement.
	ended bool
}

// InDoubt gives the number of records whose last write is in doubt.
func (r *Recorder) InDoubt() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.open)
}

// Settle waits until no record is in doubt, or ctx ends.
func (r *Recorder) Settle(ctx context.Context) error {
	for {
		r.mu.Lock()
		n, settled := len(r.open), r.settled
		r.mu.Unlock()
		if n == 0 {
			return nil
		}
		select {
		case <-settled:
		case <-ctx.Done():
			return fmt.Errorf("records in doubt: %d: %w", n, context.Cause(ctx))
		}
	}
}

// doubts reports whether any record of the resource is in doubt.
func (r *Recorder) doubts(resource string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key := range r.open {
		if key.Resource == resource {
			return true
		}
	}
	return false
}

// clear resolves the doubt of the record that is about to change, if there is one.
// The caller holds the record's lock. While the store can't be read it waits, since
// going on would lose the order.
func (r *Recorder) clear(ctx context.Context, next *cdc.Change) error {
	if r.doubtful.Load() == 0 {
		return nil
	}
	r.mu.Lock()
	d := r.open[next.RecordKey()]
	r.mu.Unlock()
	if d == nil {
		return nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(r.ctx, func() { cancel(cdc.ErrStopped) })()
	var present cdc.Record
	err := r.insist(ctx, d, func(believe bool) (sure bool, err error) {
		present, sure, err = r.resolve(ctx, d.Announced, believe)
		return sure, err
	})
	if err != nil {
		return err
	}
	// The source read the record before it came here. If the doubtful write was
	// applied in between, what it is about to write is made of an old state.
	if before, known := stateBefore(next); known && !present.Equal(before) {
		return cdc.ErrStale
	}
	return nil
}

// insist looks until the doubt is resolved or ctx ends. A look that shows the old
// state is repeated after the source's SecondLook, and only then believed.
func (r *Recorder) insist(ctx context.Context, d *doubt, look func(believe bool) (bool, error)) error {
	believe := r.reader.SecondLook() == 0
	for attempt := 1; ; attempt++ {
		sure, err := look(believe)
		if sure {
			r.end(d)
			return nil
		}
		wait := readAgain.Ceiling(attempt)
		if err == nil {
			wait, believe = r.reader.SecondLook(), true
		}
		if stop := pause(ctx, wait); stop != nil {
			return errors.Join(err, stop)
		}
	}
}

// enter notes a doubt and has it looked after. The caller holds the record's lock.
func (r *Recorder) enter(a journal.Announced, cause error) {
	if r.reader == nil {
		// It can't be looked at. A change that may have been applied is delivered:
		// at least once, rather than perhaps never.
		r.opts.Journal.Commit(a.Ticket, a.Index, nil)
		return
	}
	d := &doubt{Announced: a, due: time.Now(), believe: r.reader.SecondLook() == 0}
	key := a.Change.RecordKey()
	r.mu.Lock()
	r.open[key] = d
	r.doubtful.Add(1)
	// Under mu, so that Stop either sees the goroutine or it is not started.
	if !r.watching && r.ctx.Err() == nil {
		r.watching = true
		r.wg.Go(r.watch)
	}
	r.mu.Unlock()
	r.opts.Logger.Warn("a write ended in doubt, the record will be read", "resource", key.Resource, "record", key.RecordID, "cause", cause)
}

// watch resolves the doubts of records that nobody writes again, one after the other:
// while the store can't be read there is one that asks, however many wait.
func (r *Recorder) watch() {
	for failures := 0; ; {
		d := r.nextDue()
		if d == nil {
			return
		}
		wait := time.Until(d.due)
		if failures > 0 {
			wait = max(wait, readAgain.Ceiling(failures))
		}
		if pause(r.ctx, wait) != nil {
			return
		}
		switch sure, err := r.lookAt(d); {
		case err != nil:
			failures++
		case sure:
			failures = 0
		default:
			failures = 0
			d.due, d.believe = time.Now().Add(r.reader.SecondLook()), true
		}
	}
}

// nextDue gives the doubt that is to be looked at next. If there is none it gives nil,
// and the next doubt starts a new watch.
func (r *Recorder) nextDue() (next *doubt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range r.open {
		if next == nil || d.due.Before(next.due) {
			next = d
		}
	}
	r.watching = next != nil
	return next
}

// lookAt looks at the record of a doubt under its lock.
func (r *Recorder) lookAt(d *doubt) (sure bool, err error) {
	r.reader.WithLock(d.Change.Resource, d.Change.RecordID, func() {
		if d.ended { // the record's next write was quicker
			sure = true
			return
		}
		if _, sure, err = r.resolve(r.ctx, d.Announced, d.believe); sure {
			r.end(d)
		}
	})
	return sure, err
}

// end takes the doubt off the list. The caller holds the record's lock, or the doubt
// has ended already.
func (r *Recorder) end(d *doubt) {
	key := d.Change.RecordKey()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open[key] != d {
		return
	}
	d.ended = true
	delete(r.open, key)
	r.doubtful.Add(-1)
	close(r.settled)
	r.settled = make(chan struct{})
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
