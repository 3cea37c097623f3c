package store

import (
	"context"
	"hash/maphash"
	"iter"
	"slices"
	"sync"
)

// memory is a backend that lives and dies with the opened store.
type memory struct {
	seed  maphash.Seed
	parts [memoryParts]memoryPart // an object is in the part that its key's hash says
}

// memoryParts is how many parts there are: so many that writers on all processors seldom
// meet at one, and that what moves its objects together holds up few.
const memoryParts = 64

type memoryPart struct {
	mu      sync.Mutex // guards objects
	objects arena
}

func newMemory() *memory {
	m := &memory{seed: maphash.MakeSeed()}
	for i := range m.parts {
		m.parts[i].objects = newArena(m.hash)
	}
	return m
}

func (m *memory) hash(key string) uint64 { return maphash.String(m.seed, key) }

// part gives the part of a key, by bits of the hash in which its numbers differ least.
func (m *memory) part(key string) *memoryPart { return &m.parts[m.hash(key)>>32%memoryParts] }

func (m *memory) get(_ context.Context, key string) (object, error) {
	p := m.part(key)
	p.mu.Lock()
	defer p.mu.Unlock()
	o, ok := p.objects.get(key)
	if !ok {
		return object{}, errAbsent
	}
	return o, nil
}

func (m *memory) put(_ context.Context, key string, o object) error {
	p := m.part(key)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.objects.put(key, o)
	return nil
}

func (m *memory) remove(_ context.Context, key string) error {
	p := m.part(key)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.objects.remove(key) {
		return errAbsent
	}
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
		var keys []string
		for i := range m.parts {
			keys = m.parts[i].appendKeys(keys, prefix, after)
		}
		slices.Sort(keys)
		yieldKeys(ctx, keys, yield)
	}
}

func (p *memoryPart) appendKeys(keys []string, prefix, after string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.objects.appendKeys(keys, prefix, after)
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
