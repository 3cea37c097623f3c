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
		parallel := db.backend.parallel()
		// Twice as many keys as readers, so that one slow answer lets no reader stand idle.
		most := 2*parallel - 1
		ahead := reader{parallel: parallel, most: most, find: func(key string, err error) found { return db.find(ctx, s, w, key, err) }}
		defer ahead.stop()
		defer cancel()
		depth := 1
		take := func() bool {
			f := ahead.next()
			depth = min(2*depth, most, max(1, readBytes/max(1, f.size)))
			return yield(f, f.err) && f.err == nil
		}
		for key, err := range db.backend.list(ctx, string(w), string(w)+after) {
			if err != nil {
				key = ""
			}
			ahead.add(key, err, depth)
			for len(ahead.queue) >= depth {
				if !take() {
					return
				}
			}
		}
		for len(ahead.queue) > 0 {
			if !take() {
				return
			}
		}
	}
}

// reader reads what keys lead to, several at a time, and gives it in their order.
type reader struct {
	find     func(key string, err error) found
	parallel int          // how many are read at a time
	most     int          // how many keys there are at a time
	queue    []chan found // one for each key, with what it led to as soon as that is read
	work     chan request // nil until somebody reads ahead
	workers  int
	running  sync.WaitGroup
}

// request is a key, or an error in place of one, and who waits for what it leads to.
type request struct {
	key string
	err error
	to  chan found
}

func (q request) run(find func(string, error) found) { q.to <- find(q.key, q.err) }

// add has a key read, beside as many others as depth says: there are never more keys than
// that. A depth of 1 needs no goroutine.
func (r *reader) add(key string, err error, depth int) {
	q := request{key, err, make(chan found, 1)}
	r.queue = append(r.queue, q.to)
	if depth == 1 {
		q.run(r.find)
		return
	}
	if r.work == nil {
		r.work = make(chan request, r.most)
	}
	if r.workers < min(depth, r.parallel) {
		r.workers++
		r.running.Go(func() {
			for q := range r.work {
				q.run(r.find)
			}
		})
	}
	r.work <- q
}

// next waits for the first key that was added and not yet asked for.
func (r *reader) next() found {
	f := <-r.queue[0]
	r.queue = r.queue[1:]
	return f
}

// stop returns when nobody reads any more.
func (r *reader) stop() {
	if r.work != nil {
		close(r.work)
	}
	r.running.Wait()
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
