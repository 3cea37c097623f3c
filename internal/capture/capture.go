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
	"sync/atomic"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/disk"
	"github.com/s3db-go/replicator/internal/journal"
	"github.com/s3db-go/replicator/internal/panics"
)

// Options are what a Recorder works with. All fields but Resources, FS and
// Trace are required.
type Options struct {
	Journal journal.Journal
	Source  cdc.Source // asked for what else it can do
	// Resources gives the names of those whose schemas may have changed while nobody
	// captured. nil: there are none.
	Resources func() []string
	// FS keeps which schemas the journal has a note of. nil: a journal that ends with
	// the process needs none.
	FS     disk.FS
	Wants  func(resource string, op cdc.Op) bool
	Now    func() time.Time
	Logger *slog.Logger
	// Trace gives the trace that a writer's context stands in, as Change.Trace has it. nil:
	// nobody traces.
	Trace func(context.Context) string
}

// Recorder implements cdc.Recorder on a journal. Safe for concurrent use.
type Recorder struct {
	opts      Options
	reader    cdc.Reader    // nil if the source can't read back
	describer cdc.Describer // nil if it has no schemas

	ctx    context.Context // ends background resolution
	cancel context.CancelFunc
	wg     sync.WaitGroup

	schemas  schemas
	doubtful atomic.Int64 // len(open), for a look without the lock

	mu       sync.Mutex // guards what follows
	open     map[cdc.Key]*doubt
	settled  chan struct{} // closed and replaced whenever a doubt ends
	watching bool          // a goroutine looks after the doubts
}

var (
	_ cdc.Recorder       = (*Recorder)(nil)
	_ cdc.SchemaRecorder = (*Recorder)(nil)
)

// New makes a Recorder. It starts nothing; the first doubt does.
func New(opts Options) *Recorder {
	r := &Recorder{opts: opts, open: map[cdc.Key]*doubt{}, settled: make(chan struct{})}
	r.schemas.turn = make(chan struct{}, 1)
	r.reader, _ = opts.Source.(cdc.Reader)
	r.describer, _ = opts.Source.(cdc.Describer)
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// Recover resolves every announcement that a former process left open, and notes the
// schemas that have changed since. It is to be called before the source is hooked. A
// record that can't be read is an error: going on without it would deliver later
// changes before it.
func (r *Recorder) Recover(ctx context.Context) error {
	return errors.Join(r.recoverDoubts(ctx), r.recoverSchemas(ctx))
}

func (r *Recorder) recoverDoubts(ctx context.Context) error {
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
	present, version, err := r.read(ctx, a.Change)
	if err != nil {
		return nil, false, fmt.Errorf("reading %s, which is in doubt: %w", a.Change.RecordKey(), err)
	}
	switch end, as := Judge(a.Change, present); end {
	case Applied:
		if as != nil {
			as.SchemaVersion = version
		}
		r.opts.Journal.Commit(a.Ticket, a.Index, as)
	case NotApplied:
		if !believe {
			return present, false, nil
		}
		r.opts.Journal.Abort(a.Ticket, a.Index)
	}
	return present, true, nil
}

// read gives the record's present state, nil if there is none, and the version of the
// schema that it follows.
func (r *Recorder) read(ctx context.Context, c cdc.Change) (present cdc.Record, version int, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = panics.Error("the source", v)
		}
	}()
	for {
		before, err := r.schemaVersion(ctx, c)
		if err != nil {
			return nil, 0, err
		}
		present, exists, err := r.reader.Read(ctx, c.Resource, c.RecordID)
		if err != nil {
			return nil, 0, err
		}
		after, err := r.schemaVersion(ctx, c)
		switch {
		case err != nil:
			return nil, 0, err
		case before != after:
			continue // it may have been read under either
		case !exists:
			return nil, after, nil
		}
		return present, after, nil
	}
}

// Present reads a record as it is now, without its lock, and whether there is one. The
// source must be a cdc.Reader.
func (r *Recorder) Present(ctx context.Context, resource, recordID string) (row cdc.Row, there bool, err error) {
	present, version, err := r.read(ctx, cdc.Change{Resource: resource, RecordID: recordID})
	return cdc.Row{RecordID: recordID, Data: present, SchemaVersion: version}, present != nil, err
}

// schemaVersion gives the version of the schema that the resource has now, that of the
// change if the source has none.
func (r *Recorder) schemaVersion(ctx context.Context, c cdc.Change) (int, error) {
	if r.describer == nil {
		return c.SchemaVersion, nil
	}
	schema, ok, err := r.describer.Describe(ctx, c.Resource)
	if err != nil || !ok {
		return c.SchemaVersion, err
	}
	return schema.Version, nil
}

// Wants implements cdc.Recorder. While the end of any write of the resource is not
// known it wants everything of it: a write that it does not see could not wait for that
// end, and would change what is to be found out.
func (r *Recorder) Wants(resource string, op cdc.Op) bool {
	return r.opts.Wants(resource, op) || r.doubtful.Load() > 0 && r.doubts(resource)
}

// Begin implements cdc.Recorder.
func (r *Recorder) Begin(ctx context.Context, changes ...cdc.Change) ([]cdc.Pending, error) {
	a := newAnnouncement(len(changes))
	for i := range changes {
		if err := a.add(r, changes[i]); err != nil {
			return nil, err
		}
	}
	for i := range changes {
		if err := r.clear(ctx, &changes[i]); err != nil {
			return nil, err
		}
	}
	if len(a.wanted) == 0 {
		return a.out, nil
	}
	r.noteAll(ctx, a.wanted)
	r.trace(ctx, a.wanted)
	ticket, err := r.opts.Journal.Begin(ctx, a.wanted)
	if err != nil {
		return nil, err
	}
	for i := range a.handles {
		a.handles[i].ticket = ticket
	}
	return a.out, nil
}

// Append implements cdc.Recorder.
func (r *Recorder) Append(ctx context.Context, changes ...cdc.Change) error {
	wanted := make([]cdc.Change, 0, len(changes))
	for i := range changes {
		wanted = append(wanted, changes[i])
		ok, err := r.complete(&wanted[len(wanted)-1])
		if err != nil {
			return err
		}
		if !ok {
			wanted = wanted[:len(wanted)-1]
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	r.noteAll(ctx, wanted)
	r.trace(ctx, wanted)
	return r.opts.Journal.Append(ctx, wanted)
}

// complete judges a change, reports whether some route wants it, and then fills in what
// a source leaves to the recorder.
func (r *Recorder) complete(c *cdc.Change) (wanted bool, err error) {
	if !c.Op.Single() || c.Resource == "" || c.RecordID == "" {
		return false, fmt.Errorf("replicator: a change needs one operation, a resource and a record id, got %s", *c)
	}
	if !r.opts.Wants(c.Resource, c.Op) {
		return false, nil
	}
	now := r.opts.Now() // once, since every write pays for it
	if c.ChangeID.IsZero() {
		c.ChangeID = newID(now)
	}
	if c.Time.IsZero() {
		c.Time = now
	}
	c.Time = c.Time.UTC().Truncate(time.Microsecond)
	return true, nil
}

// trace notes in which trace the changes of one call were written.
func (r *Recorder) trace(ctx context.Context, changes []cdc.Change) {
	if r.opts.Trace == nil {
		return
	}
	if trace := r.opts.Trace(ctx); trace != "" {
		for i := range changes {
			changes[i].Trace = trace
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
