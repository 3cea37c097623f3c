package store

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/s3db-go/replicator/cdc"
)

// writers bounds how many records of one call are written at a time: enough for a
// disk to gather their flushes.
const writers = 16

// write is a mutation that was prepared under its record's lock.
type write struct {
	mutation
	op      cdc.Op
	object  object // what to write, unless it is a delete
	before  Record // nil if there was none, or if nobody asked
	after   Record // what Get will give; nil for a delete
	pending cdc.Pending
	err     error
}

// one runs the mutation that validate gives and returns the record as it is then.
func (r *Resource) one(ctx context.Context, validate func(*schema) (mutation, error)) (Record, error) {
	out, err := r.many(ctx, 1, func(s *schema, _ int) (mutation, error) { return validate(s) })
	if err != nil {
		return nil, err
	}
	return out[0], nil
}

// many runs n mutations as one announcement. If validate refuses any, none is run.
func (r *Resource) many(ctx context.Context, n int, validate func(*schema, int) (mutation, error)) ([]Record, error) {
	s, err := r.writable()
	if err != nil {
		return nil, err
	}
	writes := make([]*write, 0, n)
	ids := make(map[string]bool, n)
	var errs []error
	for i := range n {
		m, err := validate(s, i)
		switch reason := r.db.backend.refuses(m.id); {
		case err != nil:
		case reason != "":
			err = invalid(s.resource, m.id, []Fault{{"id", reason}})
		case ids[m.id]:
			err = invalid(s.resource, m.id, []Fault{{"id", "occurs twice"}})
		}
		ids[m.id] = true
		errs = append(errs, err)
		writes = append(writes, &write{mutation: m})
	}
	if err := join(errs); err != nil {
		return nil, err
	}
	if err := r.db.run(ctx, s, writes); err != nil {
		return nil, err
	}
	out := make([]Record, n)
	errs = errs[:0]
	for i, w := range writes {
		errs = append(errs, recordError(s.resource, w.id, w.err))
		if w.err == nil {
			out[i] = w.result()
		}
	}
	return out, join(errs)
}

// join gives a single error as it is, several joined.
func join(errs []error) error {
	joined := errors.Join(errs...)
	if all, ok := joined.(interface{ Unwrap() []error }); ok && len(all.Unwrap()) == 1 {
		return all.Unwrap()[0]
	}
	return joined
}

// run takes the records from lock to unlock: prepare, announce, write, end. An
// error means that nothing was announced or written; what became of each record
// stands in its write.
func (db *DB) run(ctx context.Context, s *schema, writes []*write) error {
	keys := make([]cdc.Key, len(writes))
	for i, w := range writes {
		keys[i] = cdc.Key{Resource: s.resource, RecordID: w.id}
	}
	release, err := db.locks.Lock(ctx, keys...)
	if err != nil {
		return fmt.Errorf("store: %s: %w", s.resource, err)
	}
	defer release()
	recorder, leave := db.hook.Enter()
	defer leave()

	// Stale is a record that a former write reached late: read again, it is not.
	for stale := true; stale; {
		for _, w := range writes {
			w.err = db.prepare(ctx, s, recorder, w)
		}
		err := announce(ctx, s, recorder, writes)
		if stale = errors.Is(err, cdc.ErrStale); err != nil && !stale {
			return err
		}
	}
	// From here on the writes are known to the recorder, and the caller can no longer
	// call them off.
	ctx = context.WithoutCancel(ctx)
	if len(writes) == 1 {
		db.finish(ctx, s, writes[0])
		return nil
	}
	var running sync.WaitGroup
	tokens := make(chan struct{}, writers)
	for _, w := range writes {
		tokens <- struct{}{}
		running.Go(func() {
			db.finish(ctx, s, w)
			<-tokens
		})
	}
	running.Wait()
	return nil
}

// prepare finds out what the mutation comes to, without changing anything.
func (db *DB) prepare(ctx context.Context, s *schema, recorder cdc.Recorder, w *write) error {
	if w.reads || wanted(recorder, s.resource, w.ops) {
		now, err := db.read(ctx, s, w.id)
		if err != nil {
			return err
		}
		w.before = now
		if now == nil && w.ops == cdc.Deleted {
			return ErrNotFound
		}
	}
	next, err := w.next(w.before)
	if err != nil {
		return err
	}
	switch {
	case next == nil:
		w.op = cdc.Deleted
		return nil
	case w.before == nil:
		w.op = cdc.Inserted
	default:
		w.op = cdc.Updated
	}
	if w.object, err = s.encode(next, db.secrets); err != nil {
		return err
	}
	if size := w.object.size(); size > maxRecord {
		return invalid(s.resource, w.id, []Fault{{"", fmt.Sprintf("takes %d bytes, more than %d", size, maxRecord)}})
	}
	// Whoever compares what was announced with what is stored compares like with
	// like: both were read from the object.
	w.after, err = s.decode(w.id, w.object, db.secrets)
	return err
}

// wanted reports whether the recorder wants any of several operations.
func wanted(recorder cdc.Recorder, resource string, ops cdc.Op) bool {
	for _, op := range []cdc.Op{cdc.Inserted, cdc.Updated, cdc.Deleted} {
		if recorder != nil && ops.Has(op) && recorder.Wants(resource, op) {
			return true
		}
	}
	return false
}

// announce begins those of the writes that the recorder wants.
func announce(ctx context.Context, s *schema, recorder cdc.Recorder, writes []*write) error {
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("store: %s: %w", s.resource, err)
	}
	var changes []cdc.Change
	var announced []*write
	for _, w := range writes {
		if w.err != nil || !wanted(recorder, s.resource, w.op) {
			continue
		}
		c := cdc.Change{Op: w.op, Resource: s.resource, RecordID: w.id, Data: w.after, Before: w.before, SchemaVersion: s.version}
		if w.op == cdc.Deleted {
			c.Data = w.before
		}
		changes, announced = append(changes, c), append(announced, w)
	}
	if len(changes) == 0 {
		return nil
	}
	pendings, err := recorder.Begin(ctx, changes...)
	if err != nil {
		return fmt.Errorf("store: %s: %w", s.resource, err)
	}
	for i, w := range announced {
		w.pending = pendings[i]
	}
	return nil
}

// finish writes one record and ends its announcement.
func (db *DB) finish(ctx context.Context, s *schema, w *write) {
	if w.err != nil {
		return
	}
	key := recordKey(s.resource, w.id)
	if w.op == cdc.Deleted {
		w.err = db.backend.remove(ctx, key)
	} else {
		w.err = db.backend.put(ctx, key, w.object)
	}
	if w.pending != nil {
		end(w.pending, w.err)
	}
	if errors.Is(w.err, errAbsent) {
		w.err = ErrNotFound
	}
}

// end tells how an announced write went.
func end(p cdc.Pending, err error) {
	if err == nil {
		p.Commit()
	} else if _, ok := errors.AsType[*uncertain](err); ok {
		p.Doubt(err)
	} else {
		p.Abort()
	}
}

// result is the record for the caller, who may change it: what was announced is
// shared with others.
func (w *write) result() Record {
	if w.pending == nil || w.after == nil {
		return w.after
	}
	own, err := cdc.Normalize(w.after)
	if err != nil {
		return w.after.Clone() // it is normalized, so this does not happen
	}
	return own
}
