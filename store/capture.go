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

// SecondLook is zero: when a local write has returned, it is over.
func (db *DB) SecondLook() time.Duration { return 0 }

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
	}, true, nil
}
