// Package keylock holds a lock per record, for as long as somebody wants it.
package keylock

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/s3db-go/replicator/cdc"
)

// Set is a set of locks, one per record. The zero value is ready. It uses memory only
// for records that somebody holds or waits for. Safe for concurrent use.
type Set struct {
	parts [parts]part // a record's lock is in the part that its id says
}

// parts is how many parts a set has: so many that callers on all processors seldom meet
// at one.
const parts = 64

type part struct {
	mu sync.Mutex // guards what follows
	// held are the locks that are held, and who waits for each; nil if nobody does, so
	// that what is not contended costs no memory.
	held map[cdc.Key]*queue
	_    [48]byte // two parts in one line of a processor's cache would stand in each other's way
}

// queue is who waits for a lock. It is a channel, so that they can wait under a context,
// and in virtual time.
type queue struct {
	waiting int           // those that the lock is not promised to
	next    chan struct{} // holds a token while one that waits is to take the lock
}

// Lock takes the locks of all keys, which must be distinct, and gives the function
// that releases them, to be called once. They are taken in sorted order, so that two
// calls never wait for each other. An error is ctx's cause, and then nothing is held.
func (s *Set) Lock(ctx context.Context, keys ...cdc.Key) (release func(), err error) {
	if len(keys) == 1 {
		key := keys[0]
		if err := s.take(ctx, key); err != nil {
			return nil, err
		}
		return func() { s.release(key) }, nil
	}
	keys = slices.Clone(keys)
	slices.SortFunc(keys, func(a, b cdc.Key) int {
		return cmp.Or(cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.RecordID, b.RecordID))
	})
	for i, key := range keys {
		if err := s.take(ctx, key); err != nil {
			s.release(keys[:i]...)
			return nil, err
		}
	}
	return func() { s.release(keys...) }, nil
}

// With calls fn while it holds the key's lock.
func (s *Set) With(key cdc.Key, fn func()) {
	// Without an end of the context there is no error.
	_ = s.take(context.Background(), key)
	defer s.release(key)
	fn()
}

// part gives the part of a key, by the hash FNV-1a.
func (s *Set) part(key cdc.Key) *part {
	hash := uint32(2166136261)
	for i := range len(key.RecordID) {
		hash = (hash ^ uint32(key.RecordID[i])) * 16777619
	}
	return &s.parts[hash%parts]
}

func (s *Set) take(ctx context.Context, key cdc.Key) error {
	p := s.part(key)
	q := p.enter(key)
	if q == nil {
		return nil
	}
	select {
	case <-q.next:
		return nil
	case <-ctx.Done():
		p.leave(key, q)
		return context.Cause(ctx)
	}
}

// enter takes the lock if nobody holds it, and else gives the queue in which the caller
// waits now.
func (p *part) enter(key cdc.Key) *queue {
	p.mu.Lock()
	defer p.mu.Unlock()
	q, held := p.held[key]
	switch {
	case p.held == nil:
		p.held = map[cdc.Key]*queue{key: nil}
		return nil
	case !held:
		p.held[key] = nil
		return nil
	case q == nil:
		q = &queue{next: make(chan struct{}, 1)}
		p.held[key] = q
	}
	q.waiting++
	return q
}

// leave gives up waiting.
func (p *part) leave(key cdc.Key, q *queue) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if q.waiting > 0 {
		q.waiting--
		return
	}
	<-q.next // it was promised to the caller, who alone can still take it
	p.pass(key, q)
}

func (s *Set) release(keys ...cdc.Key) {
	for _, key := range keys {
		p := s.part(key)
		p.mu.Lock()
		p.pass(key, p.held[key])
		p.mu.Unlock()
	}
}

// pass promises a lock to one that waits, and forgets it if nobody does. The caller
// holds mu.
func (p *part) pass(key cdc.Key, q *queue) {
	if q == nil || q.waiting == 0 {
		delete(p.held, key)
		return
	}
	q.waiting--
	q.next <- struct{}{}
}
