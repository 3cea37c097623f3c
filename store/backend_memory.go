package store

import (
	"context"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
)

// memory is a backend that lives and dies with the opened store.
type memory struct {
	mu      sync.RWMutex // guards objects
	objects map[string]object
}

func newMemory() *memory { return &memory{objects: make(map[string]object)} }

func (m *memory) get(_ context.Context, key string) (object, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	o, ok := m.objects[key]
	if !ok {
		return object{}, errAbsent
	}
	return o, nil
}

func (m *memory) put(_ context.Context, key string, o object) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.objects[key] = o
	return nil
}

func (m *memory) remove(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.objects[key]; !ok {
		return errAbsent
	}
	delete(m.objects, key)
	return nil
}

func (m *memory) swap(ctx context.Context, key string, to *object, _ string) error {
	return swapHere(ctx, m, key, to)
}

// swapHere is the swap of a backend that no other process writes to.
func swapHere(ctx context.Context, b backend, key string, to *object) error {
	if to == nil {
		return b.remove(ctx, key)
	}
	return b.put(ctx, key, *to)
}

func (m *memory) list(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		m.mu.RLock()
		keys := slices.Collect(maps.Keys(m.objects))
		m.mu.RUnlock()
		keys = slices.DeleteFunc(keys, func(k string) bool { return !strings.HasPrefix(k, prefix) || k <= after })
		slices.Sort(keys)
		yieldKeys(ctx, keys, yield)
	}
}

func (m *memory) flush(context.Context, string) error { return nil }
func (m *memory) refuses(string) string               { return "" }
func (m *memory) remote() bool                        { return false }
func (m *memory) parallel() int                       { return 1 }
func (m *memory) close() error                        { return nil }

// yieldKeys hands out keys until ctx ends, which is the last that the caller sees.
func yieldKeys(ctx context.Context, keys []string, yield func(string, error) bool) {
	for _, key := range keys {
		if ctx.Err() != nil {
			yield("", context.Cause(ctx))
			return
		}
		if !yield(key, nil) {
			return
		}
	}
}
