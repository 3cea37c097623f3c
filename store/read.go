package store

import (
	"context"
	"fmt"
	"iter"
	"sync"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/codec"
)

// readBytes bounds what is read ahead of a caller, so that large records don't add up:
// a quarter of what a destination loads at once.
const readBytes = 4 << 20

// found is a record that a key led to; nil if there is none.
type found struct {
	key  string
	rec  Record
	size int
	err  error
}

// way is a way through a resource's records: all of them, or those that have references
// in one part of a partition, in the order of their ids. It is what the keys have in
// common, up to the id.
type way string

func (w way) id(key string) string { return key[len(w):] }

// everything is the way by all records.
func (s *schema) everything() way { return way(recordPrefix(s.resource)) }

// walk gives what is found on a way behind an id, reading ahead as far as the backend
// gains by it. Whoever takes one record pays for one: it begins with that, and doubles.
func (db *DB) walk(ctx context.Context, s *schema, w way, after string) iter.Seq2[found, error] {
	return func(yield func(found, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var reads sync.WaitGroup
		defer reads.Wait()
		defer cancel()
		depth := 1
		var queue []chan found
		take := func() bool {
			f := <-queue[0]
			queue = queue[1:]
			depth = min(2*depth, db.backend.parallel(), max(1, readBytes/max(1, f.size)))
			return yield(f, f.err) && f.err == nil
		}
		for key, err := range db.backend.list(ctx, string(w), string(w)+after) {
			if err != nil {
				key = ""
			}
			next := make(chan found, 1)
			queue = append(queue, next)
			if depth == 1 {
				next <- db.find(ctx, s, w, key, err)
			} else {
				reads.Go(func() { next <- db.find(ctx, s, w, key, err) })
			}
			for len(queue) >= depth {
				if !take() {
					return
				}
			}
		}
		for len(queue) > 0 {
			if !take() {
				return
			}
		}
	}
}

// find reads what a key leads to.
func (db *DB) find(ctx context.Context, s *schema, w way, key string, err error) found {
	if err != nil {
		return found{err: err}
	}
	rec, err := db.read(ctx, s, w.id(key))
	if err != nil {
		return found{key: key, err: err}
	}
	return found{key: key, rec: rec, size: codec.SizeChange(&cdc.Change{Data: rec})}
}

// wrong gives the error of a walk, which names a record itself.
func (f found) wrong(resource, what string, err error) error {
	if f.key != "" {
		return err
	}
	return fmt.Errorf("store: %s: %s: %w", resource, what, err)
}
