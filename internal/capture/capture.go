// Package capture closes the gap between a store and the journal. It implements
// the [cdc.Recorder] that a source announces its writes to, and it resolves the
// announcements whose end nobody knows by looking at the record.
//
// An announcement stays open when a write ended in doubt, or when the process died
// between the announcement and its end. Such a record is resolved before its next
// write: under the caller's lock in Begin, in the background, or all at once by
// Recover before a source is hooked. So at most one announcement per record is ever
// open, and a change is delivered if and only if the store applied it.
package capture

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/backoff"
	"github.com/s3db-go/replicator/internal/journal"
)

// readAgain paces the reading of a record in doubt while its store can't be read.
// Quick at first, since most doubts are a reset connection; then slow enough not to
// burden a store that is coming back.
var readAgain = backoff.Policy{Base: 100 * time.Millisecond, Cap: 5 * time.Second}

// Options are what a Recorder works with. All fields are required.
type Options struct {
	Journal journal.Journal
	Source  cdc.Source // asked for its cdc.Reader ability
	Wants   func(resource string, op cdc.Op) bool
	Now     func() time.Time
	Logger  *slog.Logger
}

// Recorder implements cdc.Recorder on a journal. Safe for concurrent use.
type Recorder struct {
	opts   Options
	reader cdc.Reader // nil if the source can't read back

	ctx    context.Context // ends background resolution
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex // guards what follows
	doubts  map[cdc.Key]*doubt
	settled chan struct{} // closed and replaced whenever a doubt ends
}

// doubt is an announcement whose end is not known.
type doubt struct {
	journal.Announced
	cause error // what the source said, nil after a crash
	// ended is guarded by the record's lock, like everything that ends an
	// announcement.
	ended bool
}

// New makes a Recorder. It starts nothing; the first doubt does.
func New(opts Options) *Recorder {
	r := &Recorder{opts: opts, doubts: map[cdc.Key]*doubt{}, settled: make(chan struct{})}
	r.reader, _ = opts.Source.(cdc.Reader)
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// Recover resolves every announcement that a former process left open. It is to be
// called before the source is hooked. A record that can't be read is an error:
// going on without it would deliver later changes before it.
func (r *Recorder) Recover(ctx context.Context) error {
	open := r.opts.Journal.Unresolved()
	if len(open) == 0 {
		return nil
	}
	r.opts.Logger.Info("resolving announced changes of a former run", "changes", len(open))
	if r.reader == nil {
		for _, a := range open {
			r.opts.Journal.Commit(a.Ticket, a.Index, nil)
		}
		return nil
	}
	var again []journal.Announced
	for _, a := range open {
		sure, err := r.look(ctx, a, r.reader.SecondLook() == 0)
		if err != nil {
			return err
		}
		if !sure {
			again = append(again, a)
		}
	}
	if len(again) == 0 {
		return nil
	}
	// One wait serves all of them: each has then been left alone for that long.
	if err := pause(ctx, r.reader.SecondLook()); err != nil {
		return fmt.Errorf("resolving %d announced changes: %w", len(again), err)
	}
	for _, a := range again {
		if _, err := r.look(ctx, a, true); err != nil {
			return err
		}
	}
	return nil
}

// look reads the record under its lock and ends the announcement by what it sees.
// It reports false, and ends nothing, if the write seems not to have been applied
// but believe says that a first look does not prove that.
func (r *Recorder) look(ctx context.Context, a journal.Announced, believe bool) (sure bool, err error) {
	r.reader.WithLock(a.Change.Resource, a.Change.RecordID, func() {
		_, sure, err = r.resolve(ctx, a, believe)
	})
	return sure, err
}

// resolve does the work of look, and gives the state that it saw. The caller holds
// the record's lock.
func (r *Recorder) resolve(ctx context.Context, a journal.Announced, believe bool) (present cdc.Record, sure bool, err error) {
	present, exists, err := r.reader.Read(ctx, a.Change.Resource, a.Change.RecordID)
	if err != nil {
		return nil, false, fmt.Errorf("reading %s, which is in doubt: %w", a.Change.RecordKey(), err)
	}
	if !exists {
		present = nil
	}
	switch end, as := Judge(a.Change, present); end {
	case Applied:
		r.opts.Journal.Commit(a.Ticket, a.Index, as)
	case NotApplied:
		if !believe {
			return present, false, nil
		}
		r.opts.Journal.Abort(a.Ticket, a.Index)
	}
	return present, true, nil
}

// Wants implements cdc.Recorder.
func (r *Recorder) Wants(resource string, op cdc.Op) bool { return r.opts.Wants(resource, op) }

// Begin implements cdc.Recorder.
func (r *Recorder) Begin(ctx context.Context, changes ...cdc.Change) ([]cdc.Pending, error) {
	wanted, at, err := r.prepare(changes)
	if err != nil {
		return nil, err
	}
	for i := range changes {
		if err := r.clear(ctx, &changes[i]); err != nil {
			return nil, err
		}
	}
	out := make([]cdc.Pending, len(changes))
	for i := range out {
		out[i] = unwanted{}
	}
	if len(wanted) == 0 {
		return out, nil
	}
	ticket, err := r.opts.Journal.Begin(ctx, wanted)
	if err != nil {
		return nil, err
	}
	handles := make([]pending, len(wanted))
	for i, c := range wanted {
		handles[i].r = r
		handles[i].announced = journal.Announced{Ticket: ticket, Index: i, Change: c}
		out[at[i]] = &handles[i]
	}
	return out, nil
}

// Append implements cdc.Recorder.
func (r *Recorder) Append(ctx context.Context, changes ...cdc.Change) error {
	wanted, _, err := r.prepare(changes)
	if err != nil || len(wanted) == 0 {
		return err
	}
	return r.opts.Journal.Append(ctx, wanted)
}

// prepare judges the changes and gives those that some route wants, with the fields
// that a source leaves to the recorder, and where they stood.
func (r *Recorder) prepare(changes []cdc.Change) (wanted []cdc.Change, at []int, err error) {
	wanted, at = make([]cdc.Change, 0, len(changes)), make([]int, 0, len(changes))
	for i, c := range changes {
		if !c.Op.Single() || c.Resource == "" || c.RecordID == "" {
			return nil, nil, fmt.Errorf("replicator: a change needs one operation, a resource and a record id, got %s", c)
		}
		if !r.opts.Wants(c.Resource, c.Op) {
			continue
		}
		if c.ChangeID.IsZero() {
			id, err := uuid.NewV7()
			if err != nil {
				return nil, nil, fmt.Errorf("replicator: no id for %s: %w", c.RecordKey(), err)
			}
			c.ChangeID = cdc.ID(id)
		}
		if c.Time.IsZero() {
			c.Time = r.opts.Now()
		}
		c.Time = c.Time.UTC().Truncate(time.Microsecond)
		wanted, at = append(wanted, c), append(at, i)
	}
	return wanted, at, nil
}

// InDoubt gives the number of records whose last write is in doubt.
func (r *Recorder) InDoubt() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.doubts)
}

// Settle waits until no record is in doubt, or ctx ends.
func (r *Recorder) Settle(ctx context.Context) error {
	for {
		r.mu.Lock()
		n, settled := len(r.doubts), r.settled
		r.mu.Unlock()
		if n == 0 {
			return nil
		}
		select {
		case <-settled:
		case <-ctx.Done():
			return fmt.Errorf("%d records are in doubt: %w", n, context.Cause(ctx))
		}
	}
}

// Stop ends the resolution of doubts, in the background and in writes that wait for
// it, so that the source can be unhooked. What is in doubt stays open in the journal,
// for the next Recover. Idempotent.
func (r *Recorder) Stop() {
	r.mu.Lock()
	r.cancel()
	r.mu.Unlock()
	r.wg.Wait()
}

// clear resolves the doubt of the record that is about to change, if there is one.
// The caller holds the record's lock. While the store can't be read it waits, since
// going on would lose the order.
func (r *Recorder) clear(ctx context.Context, next *cdc.Change) error {
	r.mu.Lock()
	d := r.doubts[next.RecordKey()]
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

// enter notes a doubt and starts its resolution. The caller holds the record's lock.
func (r *Recorder) enter(a journal.Announced, cause error) {
	if r.reader == nil {
		// It can't be looked at. A change that may have been applied is delivered:
		// at least once, rather than perhaps never.
		r.opts.Journal.Commit(a.Ticket, a.Index, nil)
		return
	}
	d := &doubt{Announced: a, cause: cause}
	key := a.Change.RecordKey()
	r.mu.Lock()
	r.doubts[key] = d
	// Under mu, so that Stop either sees this goroutine or it is not started.
	if r.ctx.Err() == nil {
		r.wg.Go(func() { r.background(d) })
	}
	r.mu.Unlock()
	r.opts.Logger.Warn("a write ended in doubt, the record will be read", "resource", key.Resource, "record", key.RecordID, "cause", cause)
}

// background resolves a doubt whose record nobody writes again.
func (r *Recorder) background(d *doubt) {
	_ = r.insist(r.ctx, d, func(believe bool) (sure bool, err error) {
		r.reader.WithLock(d.Change.Resource, d.Change.RecordID, func() {
			if d.ended { // the record's next write was quicker
				sure = true
				return
			}
			if _, sure, err = r.resolve(r.ctx, d.Announced, believe); sure {
				r.end(d)
			}
		})
		return sure, err
	})
}

// end takes the doubt off the list. The caller holds the record's lock, or the doubt
// has ended already.
func (r *Recorder) end(d *doubt) {
	key := d.Change.RecordKey()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.doubts[key] != d {
		return
	}
	d.ended = true
	delete(r.doubts, key)
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
