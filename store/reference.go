package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/s3db-go/replicator/cdc"
)

// A record and its references are several objects, and the record is the one that
// counts. New references are written before it, old ones removed after it. So
// whatever stops a write in between leaves references too many and never too few:
// to a record that is not there, or under values that it does not have any more.
// Readers look at the record and pass over these. The next write of the record, or
// [Resource.Reindex], removes them.

// refer finds out which references a write adds and removes.
func (db *DB) refer(s *schema, w *write) error {
	w.added, w.dropped = nil, nil
	if len(s.partitions) == 0 {
		return nil
	}
	old, _ := s.references(w.id, w.before)
	now, faults := s.references(w.id, w.after)
	if err := invalid(s.resource, w.id, faults); err != nil {
		return err
	}
	if w.before == nil {
		old = nil
	}
	if w.after == nil {
		now = nil
	}
	for _, key := range now {
		for segment := range strings.SplitSeq(key, "/") {
			if reason := db.backend.refuses(segment); reason != "" {
				return invalid(s.resource, w.id, []Fault{{"", reason + ", as in the key of a partition"}})
			}
		}
	}
	w.added, w.dropped = without(now, old), without(old, now)
	return nil
}

// without gives the keys that are not among the others.
func without(keys, others []string) (out []string) {
	for _, key := range keys {
		if !slices.Contains(others, key) {
			out = append(out, key)
		}
	}
	return out
}

// putReferences writes references; if one can't be written, none is there that was
// not before, as far as that can be told.
func (db *DB) putReferences(ctx context.Context, s *schema, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	var p packer
	p.add(versionHeader, s.mark)
	reference := object{headers: p.headers()}
	var g errgroup.Group
	g.SetLimit(referenceWriters)
	for _, key := range keys {
		g.Go(func() error {
			if err := db.backend.put(ctx, key, reference); err != nil {
				return &referenceError{"write", key, err}
			}
			return nil
		})
	}
	return g.Wait()
}

// referenceError is why something could not be done with a reference. Nothing of it says
// that the record may have been written, and the text does not quote the key, which holds
// values of the record.
type referenceError struct {
	do  string
	key string
	err error
}

func (e *referenceError) Error() string {
	reason := e.err
	if p, ok := errors.AsType[*fs.PathError](e.err); ok {
		reason = p.Err
	} else if l, ok := errors.AsType[*os.LinkError](e.err); ok {
		reason = l.Err
	}
	return e.do + " the reference in " + partitionOf(e.key) + ": " + strings.ReplaceAll(reason.Error(), e.key, "it")
}

func (e *referenceError) Unwrap() error {
	if u, ok := errors.AsType[*uncertain](e.err); ok {
		return u.err
	}
	return e.err
}

// partitionOf gives the part of a reference's key that names its partition.
func partitionOf(key string) string { return strings.Split(key, "/")[1] }

// referenceWriters bounds the references of one record that are written at a time.
const referenceWriters = 8

// removeReferences removes what can be removed. What stays leads nowhere, and nobody
// who reads by it takes it for a record.
func (db *DB) removeReferences(ctx context.Context, keys []string) {
	if len(keys) == 0 {
		return
	}
	var g errgroup.Group
	g.SetLimit(referenceWriters)
	for _, key := range keys {
		g.Go(func() error {
			_ = db.backend.remove(ctx, key)
			return nil
		})
	}
	_ = g.Wait()
}

// Reindex puts the references of all partitions right: it writes those that are
// missing, and removes those of records that are not there or have other values. It
// is for resources that had records before they had a partition, and after programs
// that write to the partitions late or not at all were stopped. It gives the number of
// references that it wrote or removed. Other writers need not stop, but what another
// process writes to a record at that moment may be undone for its references.
func (r *Resource) Reindex(ctx context.Context) (int, error) {
	s, err := r.writable()
	if err != nil {
		return 0, err
	}
	changed := 0
	for f, err := range r.db.walk(ctx, s, s.everything(), "") {
		if err == nil {
			var n int
			n, err = r.db.mend(ctx, s, s.everything().id(f.key), nil)
			changed += n
		}
		if err != nil {
			return changed, fmt.Errorf("store: %s: reindex: %w", r.name, err)
		}
	}
	for _, p := range s.partitions {
		prefix := "resource=" + s.resource + "/partition=" + p.name + "/"
		for key, err := range r.db.backend.list(ctx, prefix, prefix) {
			if err == nil {
				var n int
				n, err = r.db.mend(ctx, s, referenceID(key), []string{key})
				changed += n
			} else {
				err = &referenceError{"list", prefix, err}
			}
			if err != nil {
				return changed, fmt.Errorf("store: %s: reindex: %w", r.name, err)
			}
		}
	}
	return changed, nil
}

// mend writes a record's missing references, and removes those given that are not its.
func (db *DB) mend(ctx context.Context, s *schema, id string, present []string) (int, error) {
	release, err := db.locks.Lock(ctx, cdc.Key{Resource: s.resource, RecordID: id})
	if err != nil {
		return 0, err
	}
	defer release()
	rec, err := db.read(ctx, s, id)
	if err != nil {
		return 0, err
	}
	var right []string
	if rec != nil {
		right, _ = s.references(id, rec) // one that can't be is missing for ever
	}
	changed := 0
	for _, key := range right {
		_, err := db.backend.get(ctx, key)
		switch {
		case errors.Is(err, errAbsent):
			changed++
			err = db.putReferences(ctx, s, []string{key})
		case err != nil:
			err = &referenceError{"read", key, err}
		}
		if err != nil {
			return changed, err
		}
	}
	for _, key := range present {
		if slices.Contains(right, key) {
			continue
		}
		if err := db.backend.remove(ctx, key); err != nil && !errors.Is(err, errAbsent) {
			return changed, &referenceError{"remove", key, err}
		}
		changed++
	}
	return changed, nil
}
