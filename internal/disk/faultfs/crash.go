package faultfs

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
)

// Crash cuts the power now, if it is not cut, and gives the file system that the
// next start finds. Seed 0 keeps only what was flushed; any other seed also keeps
// some of the rest.
func (f *FS) Crash(seed uint64) *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.crashed = true
	random := rand.New(rand.NewPCG(seed, seed))
	names := maps.Clone(f.durable)
	if seed != 0 {
		for _, c := range f.unsynced[:random.IntN(len(f.unsynced)+1)] {
			c.apply(names)
		}
	}
	next := &FS{names: map[string]*node{}, locked: map[string]bool{}, capacity: f.capacity}
	seen := map[*node]*node{}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		n := names[name]
		// Sorted, so a directory comes before what is in it: below one that was not
		// flushed into its parent nothing is found.
		if name != "." && next.names[path.Dir(name)] == nil {
			continue
		}
		if seen[n] == nil {
			data := n.survivor(random, seed == 0)
			seen[n] = &node{dir: n.dir, data: data, disk: bytes.Clone(data)}
		}
		next.names[name] = seen[n]
	}
	next.durable = maps.Clone(next.names)
	return next
}

// Kill ends the process and leaves the machine running: the file system that the next
// process finds has all that was written, flushed or not, and a later loss of power
// takes of it what was not. What this one still has open gives ErrCrashed.
func (f *FS) Kill() *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.crashed = true
	seen := map[*node]*node{}
	copied := func(n *node) *node {
		if n != nil && seen[n] == nil {
			seen[n] = &node{dir: n.dir, data: bytes.Clone(n.data), disk: bytes.Clone(n.disk), dirty: maps.Clone(n.dirty), sized: n.sized}
		}
		return seen[n]
	}
	next := &FS{names: map[string]*node{}, durable: map[string]*node{}, locked: map[string]bool{}, capacity: f.capacity}
	for name, n := range f.names {
		next.names[name] = copied(n)
	}
	for name, n := range f.durable {
		next.durable[name] = copied(n)
	}
	for _, c := range f.unsynced {
		later := change{names: c.names}
		for _, n := range c.nodes {
			later.nodes = append(later.nodes, copied(n))
		}
		next.unsynced = append(next.unsynced, later)
	}
	return next
}

// survivor is a file's content after a loss of power.
func (n *node) survivor(random *rand.Rand, strict bool) []byte {
	out := bytes.Clone(n.disk)
	if strict {
		return out
	}
	if len(n.data) != len(out) && random.IntN(2) == 0 {
		out = resize(out, len(n.data))
	}
	for at := 0; at < min(len(out), len(n.data)); at += pageSize {
		page := n.data[at:min(at+pageSize, len(n.data), len(out))]
		if !bytes.Equal(page, out[at:at+len(page)]) && random.IntN(2) == 0 {
			copy(out[at:], page)
		}
	}
	return out
}

func resize(b []byte, size int) []byte {
	if size <= len(b) {
		return b[:size:size]
	}
	return append(b, make([]byte, size-len(b))...)
}

func (c change) apply(names map[string]*node) {
	for i, name := range c.names {
		if c.nodes[i] == nil {
			delete(names, name)
		} else {
			names[name] = c.nodes[i]
		}
	}
}
