package replicator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/keylock"
)

// SourceOptions describe a store without callbacks of its own.
type SourceOptions struct {
	// Get returns the record's present state, or false if there is none; values as
	// [cdc.Normalize] lists them. It is called with the record's lock held: within Write, by
	// the goroutine that called it, and also outside, when the end of an earlier write isn't
	// known. So hold no lock that Get takes while calling Write: the two would wait for each
	// other, and a warning in Options.Logger after five seconds, and each minute, is all that tells. Required.
	Get func(ctx context.Context, resource, recordID string) (Record, bool, error)
	// Describe returns the schema of a resource, or false if there is none. It is asked
	// in every Write and must be quick: a look-up in memory. Its Version should be 1 or
	// more and grow with every change of the schema. Without it a destination's shape
	// grows from the records, and no field is a secret.
	Describe func(ctx context.Context, resource string) (Schema, bool, error)
	// Scan returns records of a resource in an order of their ids that stays the same:
	// those after the id given, "" for the first; at most limit, fewer if they are
	// large, none only if none follow. A record is as its last write that has returned
	// left it, or a later one, and must not be gone after a crash. Without Scan there is
	// no backfill.
	Scan func(ctx context.Context, resource, after string, limit int) ([]Row, error)
	// Resources returns the names of all resources: a look-up in memory. Without it, a
	// backfill sends only resources that it, or a route, names.
	Resources func() []string
	// SecondLook is how long a write may still be applied after its client gave up
	// on it. Defaults to 0, which is right for a store in this process or on this
	// machine; a remote store needs seconds.
	SecondLook time.Duration
}

// CustomSource makes a Source of any store: its user wraps each write in Write. Safe
// for concurrent use; every write of a record must go through the same CustomSource.
type CustomSource struct {
	opts   SourceOptions
	locks  keylock.Set
	hook   cdc.Hook
	logger atomic.Pointer[slog.Logger] // of the Replicator that was made or started last
	missed atomic.Bool                 // it was told of a write that nobody captured
}

var (
	_ cdc.Source    = (*CustomSource)(nil)
	_ cdc.Reader    = (*CustomSource)(nil)
	_ cdc.Describer = (*CustomSource)(nil)
	_ cdc.Validator = (*CustomSource)(nil)
	_ cdc.Scanner   = (*CustomSource)(nil)
	_ cdc.Lister    = (*CustomSource)(nil)
	_ cdc.Awaiter   = (*CustomSource)(nil)
)

// NewSource makes a Source of a store without callbacks. New judges the options.
func NewSource(opts SourceOptions) *CustomSource { return &CustomSource{opts: opts} }

// Validate implements cdc.Validator.
func (s *CustomSource) Validate() error {
	var faults []error
	if s.opts.Get == nil {
		faults = append(faults, errors.New("SourceOptions.Get is nil; without it the end of an interrupted write can't be found out"))
	}
	if s.opts.SecondLook < 0 {
		faults = append(faults, fmt.Errorf("SourceOptions.SecondLook is %v; it can't be negative", s.opts.SecondLook))
	}
	return errors.Join(faults...)
}

// notAppliedError marks an error after which the store is certainly unchanged.
type notAppliedError struct{ error }

func (e notAppliedError) Unwrap() error { return e.error }

// NotApplied marks an error of a write as certain: the store did not apply it. Any
// other error leaves that open, and the record is read to find out. nil stays nil.
func NotApplied(err error) error {
	if err == nil {
		return nil
	}
	return notAppliedError{err}
}

// Write applies a change through write and has it replicated. It locks the record,
// makes the announcement durable, calls write, and ends the announcement by what
// write returned: nil is applied, an error marked by NotApplied is not, any other
// error is in doubt, and settled by Get. That error is returned as it is.
//
// The change needs Op, Resource, RecordID and, but for a delete, Data: the whole
// record as Get will return it afterwards. Nothing compares the two: Data is sent as it
// is. With Inserted | Updated as its Op, Get tells which of the two it is. Before, and
// Data of a delete, are read with Get if they are left nil; a delete of what is not there
// is sent too, if write returns nil. If Data holds an id, its text is RecordID. While no
// Replicator is started on the source, the write is carried out and not replicated; the
// Logger of one that was made is told of the first. Values are normalized here (see [cdc.Normalize]); one that can't be
// replicated is an error before anything is announced or written. The context given to
// write is not cancelled by ctx any more: the change is announced.
//
// The caller holds no lock that Get or write takes.
func (s *CustomSource) Write(ctx context.Context, c Change, write func(context.Context) error) (err error) {
	if c, err = s.normalized(c); err != nil {
		return err
	}
	unlock, err := s.locks.Lock(ctx, c.RecordKey())
	if err != nil {
		return err
	}
	defer unlock()

	recorder, leave := s.hook.Enter()
	defer leave()
	if recorder == nil {
		s.miss(c)
	}
	pending, err := s.begin(ctx, recorder, c)
	if err != nil {
		return err
	}
	if pending == nil {
		return write(ctx)
	}
	// A panic of write leaves the store's state open, like an error does.
	ended := false
	defer func() {
		if !ended {
			pending.Doubt(errors.New("the write panicked"))
		}
	}()
	err = write(context.WithoutCancel(ctx))
	ended = true
	switch _, not := errors.AsType[notAppliedError](err); {
	case err == nil:
		pending.Commit()
	case not:
		pending.Abort()
	default:
		pending.Doubt(err)
	}
	return err
}

// normalized judges the change and gives it with values of the closed list.
func (s *CustomSource) normalized(c Change) (Change, error) {
	switch {
	case !c.Op.Single() && c.Op != upsert:
		return c, fmt.Errorf("replicator: Op of the change of %s is %v; want Inserted, Updated, Deleted or Inserted|Updated", c.RecordKey(), c.Op)
	case c.Resource == "":
		return c, errors.New("replicator: Resource of the change is empty")
	case c.RecordID == "":
		return c, fmt.Errorf("replicator: RecordID of the change of %s is empty", c.Resource)
	}
	var dataErr, beforeErr error
	c.Data, dataErr = cdc.Normalize(c.Data)
	c.Before, beforeErr = cdc.Normalize(c.Before)
	if err := errors.Join(dataErr, beforeErr); err != nil {
		return c, fmt.Errorf("replicator: %s: %w", c.RecordKey(), err)
	}
	if c.Op != Deleted && c.Data == nil {
		return c, fmt.Errorf("replicator: %s: Data of the change is nil", c.RecordKey())
	}
	// A destination keys rows by the id in the record, and the engine orders by
	// RecordID: were they to differ, two records could meet in one row, in any order.
	if id, ok := c.Data["id"]; ok && fmt.Sprint(id) != c.RecordID {
		return c, fmt.Errorf("replicator: %s: the id in Data is another one than RecordID", c.RecordKey())
	}
	return c, nil
}

// upsert is the Op of a write that inserts what is absent and updates what is there.
const upsert = Inserted | Updated

// begin announces the change. It gives nil if nobody wants it.
func (s *CustomSource) begin(ctx context.Context, rec cdc.Recorder, c Change) (cdc.Pending, error) {
	if !cdc.WantsAny(rec, c.Resource, c.Op) {
		return nil, nil
	}
	for again := false; ; again = true {
		filled, err := s.fill(ctx, c)
		if err != nil {
			return nil, err
		}
		if !rec.Wants(filled.Resource, filled.Op) {
			return nil, nil
		}
		pending, err := rec.Begin(ctx, filled)
		if err == nil {
			return pending[0], nil
		}
		if !errors.Is(err, cdc.ErrStale) || c.Op == Inserted || again {
			return nil, err
		}
		// A write of before was applied late. The state that it left is read in place
		// of what was read, or given, before; the record's lock keeps it so.
		if c.Before = nil; c.Op == Deleted {
			c.Data = nil
		}
	}
}

// fill reads the state before the change where the caller did not give it, and notes
// the schema that it follows.
func (s *CustomSource) fill(ctx context.Context, c Change) (Change, error) {
	if s.opts.Describe != nil && c.SchemaVersion == 0 {
		// If it fails here, it is asked again before the change is delivered.
		if schema, ok, err := s.opts.Describe(ctx, c.Resource); ok && err == nil {
			c.SchemaVersion = schema.Version
		}
	}
	if c.Op == Inserted || (c.Op == Updated && c.Before != nil) || (c.Op == Deleted && c.Data != nil) {
		return c, nil
	}
	present, there, err := s.Read(ctx, c.Resource, c.RecordID)
	if err != nil {
		return c, fmt.Errorf("replicator: reading %s before its write: %w", c.RecordKey(), err)
	}
	switch {
	case c.Op == Deleted:
		c.Data = present
	case c.Op == upsert && !there:
		c.Op = Inserted
	default:
		c.Op, c.Before = Updated, present
	}
	return c, nil
}

// Capture implements Source.
func (s *CustomSource) Capture(rec cdc.Recorder) (release func(), err error) {
	return s.hook.Capture(rec)
}

// Await implements cdc.Awaiter.
func (s *CustomSource) Await(ctx context.Context) error { return s.hook.Await(ctx) }

// SchemaChanged tells the destinations of a new schema as soon as Describe gives it,
// rather than with the first change that follows it. It returns when that is noted
// durably, or ctx ends. While no Replicator is started on the source it does nothing:
// the next Start asks Describe.
func (s *CustomSource) SchemaChanged(ctx context.Context, resource string) {
	schema, ok, err := s.Describe(ctx, resource)
	if err != nil || !ok {
		return
	}
	recorder, leave := s.hook.Enter()
	defer leave()
	if r, ok := recorder.(cdc.SchemaRecorder); ok {
		r.SchemaChanged(ctx, resource, schema.Version)
	}
}

// slowGet is when a Get is taken for one that may never return: a store that is only slow
// answers within seconds.
const slowGet = 5 * time.Second

// slowGetAgain is how often that is repeated: often enough to be seen by who looks only when
// something stands still.
const slowGetAgain = time.Minute

// reporter is a source with warnings of its own.
type reporter interface{ report(*slog.Logger) }

// report says where warnings go, and that what was told may be told again.
func (s *CustomSource) report(logger *slog.Logger) {
	s.logger.Store(logger)
	s.missed.Store(false)
}

// miss tells of the first write that is not captured: more are likely to follow.
func (s *CustomSource) miss(c Change) {
	if logger := s.logger.Load(); logger != nil && s.missed.CompareAndSwap(false, true) {
		logger.Warn("a write while the replicator is not started is not captured, and is sent nowhere", "resource", c.Resource, "record", c.RecordID)
	}
}

// Read implements cdc.Reader.
func (s *CustomSource) Read(ctx context.Context, resource, recordID string) (Record, bool, error) {
	if logger := s.logger.Load(); logger != nil {
		returned := make(chan struct{})
		defer close(returned)
		defer time.AfterFunc(slowGet, func() {
			for after := slowGet; ; after += slowGetAgain {
				logger.Warn("SourceOptions.Get has not returned; does who called Write hold a lock that Get takes?", "resource", resource, "record", recordID, "after", after)
				select {
				case <-returned:
					return
				case <-time.After(slowGetAgain):
				}
			}
		}).Stop()
	}
	record, found, err := s.opts.Get(ctx, resource, recordID)
	if err != nil || !found {
		return nil, false, err
	}
	if record == nil {
		// It would pass for a record that is absent, and be deleted at the destinations.
		return nil, false, errors.New("SourceOptions.Get gives nil and says that it is there")
	}
	record, err = cdc.Normalize(record)
	return record, err == nil, err
}

// WithLock implements cdc.Reader.
func (s *CustomSource) WithLock(resource, recordID string, fn func()) {
	s.locks.With(cdc.Key{Resource: resource, RecordID: recordID}, fn)
}

// SecondLook implements cdc.Reader.
func (s *CustomSource) SecondLook() time.Duration { return s.opts.SecondLook }

// Describe implements cdc.Describer.
func (s *CustomSource) Describe(ctx context.Context, resource string) (Schema, bool, error) {
	if s.opts.Describe == nil {
		return Schema{}, false, nil
	}
	return s.opts.Describe(ctx, resource)
}

// Scan implements cdc.Scanner. Without SourceOptions.Scan it is an error.
func (s *CustomSource) Scan(ctx context.Context, resource, after string, limit int) ([]Row, error) {
	if s.opts.Scan == nil {
		return nil, errors.New("replicator: SourceOptions.Scan is nil")
	}
	rows, err := s.opts.Scan(ctx, resource, after, limit)
	if err != nil {
		return nil, err
	}
	rows = slices.Clone(rows)
	for i, row := range rows {
		c, err := s.normalized(Change{Op: Inserted, Resource: resource, RecordID: row.RecordID, Data: row.Data})
		if err != nil {
			return nil, err
		}
		rows[i].Data = c.Data
	}
	return rows, nil
}

// Resources implements cdc.Lister. Without SourceOptions.Resources there are none.
func (s *CustomSource) Resources() []string {
	if s.opts.Resources == nil {
		return nil
	}
	names := slices.Clone(s.opts.Resources())
	slices.Sort(names)
	return names
}

// customized is a CustomSource, or what embeds one. It has the methods of all abilities,
// but only its options say which of them have something behind them.
type customized interface{ options() SourceOptions }

func (s *CustomSource) options() SourceOptions { return s.opts }
