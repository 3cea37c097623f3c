package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/s3db-go/replicator/cdc"
)

var (
	_ cdc.Source    = (*DB)(nil)
	_ cdc.Reader    = (*DB)(nil)
	_ cdc.Describer = (*DB)(nil)
	_ cdc.Awaiter   = (*DB)(nil)
)

// Capture announces every write to rec from now on, those on resources created
// later included. A second recorder is refused while one is hooked in. release
// waits for the writes that are under way; it may be called more than once, but
// not from within the recorder.
func (db *DB) Capture(rec cdc.Recorder) (release func(), err error) {
	if release, err = db.hook.Capture(rec); err != nil {
		return nil, fmt.Errorf("store: capture: %w", err)
	}
	return release, nil
}

// Await returns when every write that was under way when it was called has ended, or
// with the error of ctx.
func (db *DB) Await(ctx context.Context) error { return db.hook.Await(ctx) }

// announceSchema tells the recorder of a definition that is durable and in force.
func (db *DB) announceSchema(ctx context.Context, resource string) {
	s, err := db.schema(resource)
	if err != nil {
		return // nothing can be written under it
	}
	recorder, leave := db.hook.Enter()
	defer leave()
	if r, ok := recorder.(cdc.SchemaRecorder); ok {
		r.SchemaChanged(ctx, s.resource, s.version)
	}
}

// Read gives the record's present state, without waiting for a write that is
// under way. What was never created is not there, be it the record or its
// resource.
//
// It tells a recorder how an interrupted write ended, so what it gives is durable,
// unlike what Get gives: on file:// it flushes the record's directory first, and fails
// if that does. With ?sync=off it flushes no more than a write does.
func (db *DB) Read(ctx context.Context, resource, recordID string) (Record, bool, error) {
	s, err := db.schema(resource)
	if errors.Is(err, ErrNoResource) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	if err := db.backend.flush(ctx, recordPrefix(resource)); err != nil {
		return nil, false, recordError(resource, recordID, err)
	}
	rec, err := db.read(ctx, s, recordID)
	return rec, rec != nil, err
}

// WithLock calls fn while no write of the record is under way.
func (db *DB) WithLock(resource, recordID string, fn func()) {
	db.locks.With(cdc.Key{Resource: resource, RecordID: recordID}, fn)
}

// secondLook is how long a server may still work on a request whose client is gone.
const secondLook = 5 * time.Second

// SecondLook is zero for local stores: when a local write has returned, it is over. A
// request to a server may outlive its sender by seconds.
func (db *DB) SecondLook() time.Duration {
	if db.backend.remote() {
		return secondLook
	}
	return 0
}

// Describe gives a resource's present schema. Fields come in the order of their
// names.
func (db *DB) Describe(_ context.Context, resource string) (cdc.Schema, bool, error) {
	s, err := db.schema(resource)
	if errors.Is(err, ErrNoResource) {
		return cdc.Schema{}, false, nil
	}
	if err != nil {
		return cdc.Schema{}, false, err
	}
	return cdc.Schema{
		Resource: s.resource, Version: s.version, Key: []string{"id"}, Fields: describe(s.attributes), Retired: s.retired,
		Native: s.definition().native(),
	}, true, nil
}
