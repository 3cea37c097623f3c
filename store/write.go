package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/s3db-go/replicator/cdc"
)

// tries bounds how often a record is read and written again because another process
// wrote to it in between: of as many that do so at a time, each gets its turn.
const tries = 16

// writers bounds how many records of one call are written at a time: enough for a
// disk to gather their flushes.
const writers = 16

// write is a mutation that was prepared under its record's lock.
type write struct {
	mutation
	key     string // of the record's object
	op      cdc.Op
	object  object   // what to write, unless it is a delete
	tag     string   // of what the write takes the place of, see backend.swap
	retried bool     // what was there changed before it could be written
	wanted  bool     // a recorder wanted what it may come to when it was prepared
	before  Record   // nil if there was none, or if nobody asked
	after   Record   // what Get will give; nil for a delete
	flat    bool     // nothing in after can be changed by who has a copy of it
	added   []string // the keys of references that are new with it
	dropped []string // and of those that are not its any more
	asked   bool     // pending is to be had: a recorder wants what the write comes to
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
	var ids map[string]bool // what is alone can't occur twice
	if n > 1 {
		ids = make(map[string]bool, n)
	}
	var errs []error
	for i := range n {
		w := new(write)
		var err error
		w.mutation, err = validate(s, i)
		switch reason := r.db.backend.refuses(w.id); {
		case err != nil || w.id == "":
		case reason != "":
			err = invalid(s.resource, w.id, []Fault{{"id", reason}})
		case ids[w.id]:
			err = invalid(s.resource, w.id, []Fault{{"id", "occurs twice"}})
		case n > 1:
			ids[w.id] = true
		}
		if err != nil {
			errs = append(errs, err)
		}
		writes = append(writes, w)
	}
	if errs != nil {
		return nil, join(errs)
	}
	if err := r.db.runWithIDs(ctx, s, writes); err != nil {
		return nil, err
	}
	out := make([]Record, n)
	for i, w := range writes {
		if w.err != nil {
			errs = append(errs, recordError(s.resource, w.id, w.err))
		} else {
			out[i] = w.result()
		}
	}
	return out, join(errs)
}

// runWithIDs runs the writes after it has given ids to those that have none. One that
// is taken, as a number may be that another writer has made too, is made again.
func (db *DB) runWithIDs(ctx context.Context, s *schema, writes []*write) error {
	nameless := those(writes, func(w *write) bool { return w.id == "" })
	for range tries {
		ids, err := db.newIDs(ctx, s, len(nameless))
		if err != nil {
			return err
		}
		for i, w := range nameless {
			w.id = ids[i]
		}
		if err := db.run(ctx, s, writes); err != nil {
			return err
		}
		nameless = those(nameless, func(w *write) bool { return errors.Is(w.err, ErrExists) })
		if len(nameless) == 0 {
			return nil
		}
		writes = nameless
	}
	return nil
}

// those gives the writes of which it is so.
func those(writes []*write, so func(*write) bool) (out []*write) {
	for _, w := range writes {
		if so(w) {
			out = append(out, w)
		}
	}
	return out
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
		w.key = recordKey(s.resource, w.id)
		keys[i] = cdc.Key{Resource: s.resource, RecordID: w.id}
	}
	release, err := db.locks.Lock(ctx, keys...)
	if err != nil {
		return fmt.Errorf("store: %s: %w", s.resource, err)
	}
	defer release()
	recorder, leave := db.hook.Enter()
	defer leave()

	if err := db.try(ctx, s, recorder, writes); err != nil {
		return err
	}
	changed := func(w *write) bool { return errors.Is(w.err, errChanged) }
	again := those(writes, changed)
	for try := 1; len(again) > 0 && try < tries; try++ {
		for _, w := range again {
			w.retried = true
		}
		if err := db.try(ctx, s, recorder, again); err != nil {
			for _, w := range again {
				w.err = err // of the others some are written
			}
		}
		again = those(again, changed)
	}
	for _, w := range again {
		w.err = ErrConflict
	}
	return nil
}

// try takes the records as they are now from prepare to end. An error means that
// nothing was announced or written.
func (db *DB) try(ctx context.Context, s *schema, recorder cdc.Recorder, writes []*write) error {
	// Stale is a record that a former write reached late: read again, it is not.
	for stale := true; stale; {
		db.each(ctx, s, recorder, writes, (*DB).prepare)
		err := announce(ctx, s, recorder, writes)
		if stale = errors.Is(err, cdc.ErrStale); err != nil && !stale {
			return err
		}
	}
	if ctx.Done() != nil && slices.ContainsFunc(writes, func(w *write) bool { return w.pending != nil }) {
		// The recorder knows of them now, and the caller can no longer call them off.
		ctx = context.WithoutCancel(ctx)
	}
	db.each(ctx, s, recorder, writes, (*DB).finish)
	return nil
}

// step is what is done with every write of a call.
type step func(*DB, context.Context, *schema, cdc.Recorder, *write)

// each takes the step for every write, for several at a time.
func (db *DB) each(ctx context.Context, s *schema, recorder cdc.Recorder, writes []*write, do step) {
	if len(writes) == 1 {
		do(db, ctx, s, recorder, writes[0])
		return
	}
	var next atomic.Int64
	var running sync.WaitGroup
	for range min(writers, len(writes)) {
		running.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(writes)); i = next.Add(1) - 1 {
				do(db, ctx, s, recorder, writes[i])
			}
		})
	}
	running.Wait()
}

// prepare finds out what the mutation comes to, without changing anything.
func (db *DB) prepare(ctx context.Context, s *schema, recorder cdc.Recorder, w *write) {
	w.pending = nil
	w.err = db.foresee(ctx, s, recorder, w)
}

func (db *DB) foresee(ctx context.Context, s *schema, recorder cdc.Recorder, w *write) error {
	w.before, w.tag = nil, anyTag
	w.wanted = cdc.WantsAny(recorder, s.resource, w.ops)
	switch {
	case w.ops == cdc.Inserted && db.backend.remote() && !w.retried && !(w.reads && w.wanted):
		// The server looks whether there is one, at the only time that counts. Who looks
		// before does so to announce no change that is then refused.
		w.tag = noTag
	case w.reads || w.retried || w.wanted:
		now, tag, err := db.readTagged(ctx, s, w.id, w.key)
		if err != nil {
			return err
		}
		w.before, w.tag = now, tag
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
		w.op, w.after = cdc.Deleted, nil
		return db.refer(s, w)
	case w.before == nil:
		w.op = cdc.Inserted
	default:
		w.op = cdc.Updated
	}
	o, same, err := s.encode(next, db.secrets)
	if err != nil {
		if e, ok := errors.AsType[*unfit](err); ok {
			return invalid(s.resource, w.id, []Fault{{"", e.reason}})
		}
		return err
	}
	w.object = o
	if size := o.size(); size > maxRecord {
		return invalid(s.resource, w.id, []Fault{{"", fmt.Sprintf("takes %d bytes, more than %d", size, maxRecord)}})
	}
	// Whoever compares what was announced with what is stored compares like with
	// like: both are as they are read from the object.
	if w.flat = same; same {
		w.after = next
		w.after["id"] = w.id
	} else if w.after, err = s.decode(w.id, o, db.secrets); err != nil {
		return err
	}
	return db.refer(s, w)
}

// announce begins those of the writes that the recorder wants.
func announce(ctx context.Context, s *schema, recorder cdc.Recorder, writes []*write) error {
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("store: %s: %w", s.resource, err)
	}
	var changes []cdc.Change
	for _, w := range writes {
		// What was not wanted then may have no before image, and is not announced now.
		w.asked = w.err == nil && w.wanted && cdc.WantsAny(recorder, s.resource, w.op)
		if !w.asked {
			continue
		}
		c := cdc.Change{Op: w.op, Resource: s.resource, RecordID: w.id, Data: w.after, Before: w.before, SchemaVersion: s.version}
		if w.op == cdc.Deleted {
			c.Data = w.before
		}
		changes = append(changes, c)
	}
	if len(changes) == 0 {
		return nil
	}
	pendings, err := recorder.Begin(ctx, changes...)
	if err != nil {
		return fmt.Errorf("store: %s: %w", s.resource, err)
	}
	for _, w := range writes {
		if w.asked {
			w.pending, pendings = pendings[0], pendings[1:]
		}
	}
	return nil
}

// finish writes one record and ends its announcement.
func (db *DB) finish(ctx context.Context, s *schema, _ cdc.Recorder, w *write) {
	if w.err != nil {
		return
	}
	w.err = db.apply(ctx, s, w)
	if w.pending != nil {
		end(w.pending, w.err)
	}
	if errors.Is(w.err, errAbsent) {
		w.err = ErrNotFound
	}
}

// apply writes the record, and its references before and after it.
func (db *DB) apply(ctx context.Context, s *schema, w *write) error {
	err := db.putReferences(ctx, s, w.added)
	if err == nil {
		to := &w.object
		if w.op == cdc.Deleted {
			to = nil
		}
		err = db.backend.swap(ctx, w.key, to, w.tag)
	}
	_, inDoubt := errors.AsType[*uncertain](err)
	switch {
	case err == nil:
		db.removeReferences(ctx, w.dropped)
	case !inDoubt && !db.backend.remote():
		db.removeReferences(ctx, w.added) // elsewhere another process may have written the same ones
	}
	return err
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
	switch {
	case w.pending == nil || w.after == nil:
		return w.after
	case w.flat:
		return maps.Clone(w.after)
	}
	return ownFields(w.after)
}

// ownFields gives a copy of normalized fields that shares nothing that can be changed.
func ownFields(fields map[string]any) map[string]any {
	out := maps.Clone(fields)
	for name, v := range fields {
		switch v.(type) {
		case []byte, []any, map[string]any:
			out[name] = ownValue(v)
		}
	}
	return out
}

func ownValue(v any) any {
	switch v := v.(type) {
	case []byte:
		return bytes.Clone(v)
	case []any:
		out := slices.Clone(v)
		for i := range out {
			out[i] = ownValue(out[i])
		}
		return out
	case map[string]any:
		return ownFields(v)
	}
	return v
}
