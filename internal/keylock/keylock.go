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
	mu   sync.Mutex // guards keys and every lock's users
	keys map[cdc.Key]*lock
}

// lock is a mutex that can be waited for under a context, and in virtual time: who
// puts the token in the channel holds it.
type lock struct {
	token chan struct{}
	users int // holders and waiters
}

// Lock takes the locks of all keys, which must be distinct, and gives the function
// that releases them, to be called once. They are taken in sorted order, so that two
// calls never wait for each other. An error is ctx's cause, and then nothing is held.
func (s *Set) Lock(ctx context.Context, keys ...cdc.Key) (release func(), err error) {
	keys = slices.Clone(keys)
	slices.SortFunc(keys, func(a, b cdc.Key) int {
		return cmp.Or(cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.RecordID, b.RecordID))
	})
	for i, key := range keys {
		if err := s.take(ctx, key); err != nil {
			s.release(keys[:i])
			return nil, err
		}
	}
	return func() { s.release(keys) }, nil
}

// With calls fn while it holds the key's lock.
func (s *Set) With(key cdc.Key, fn func()) {
	// Without an end of the context there is no error.
	_ = s.take(context.Background(), key)
	defer s.release([]cdc.Key{key})
	fn()
}

func (s *Set) take(ctx context.Context, key cdc.Key) error {
	s.mu.Lock()
	if s.keys == nil {
		s.keys = make(map[cdc.Key]*lock)
	}
	l := s.keys[key]
	if l == nil {
		l = &lock{token: make(chan struct{}, 1)}
		s.keys[key] = l
	}
	l.users++
	s.mu.Unlock()

	select {
	case l.token <- struct{}{}:
		return nil
	case <-ctx.Done():
		s.leave(key, l)
		return context.Cause(ctx)
	}
}

func (s *Set) release(keys []cdc.Key) {
	for _, key := range keys {
		s.mu.Lock()
		l := s.keys[key]
		s.mu.Unlock()
		<-l.token
		s.leave(key, l)
	}
}

// leave forgets a lock that nobody holds or waits for any more.
func (s *Set) leave(key cdc.Key, l *lock) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.users--; l.users == 0 {
		delete(s.keys, key)
	}
}
