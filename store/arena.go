package store

import (
	"bytes"
	"encoding/binary"
)

// arena keeps objects by their keys, one behind the other in large pieces of memory and
// found by numbers alone. There is no pointer in it but those to the pieces: a store in
// memory keeps millions of objects, and the garbage collector would else walk through
// all of them again and again, which took more time than writing them.
//
// What was replaced or removed leaves a gap; when the gaps are more than half of
// it, what is left is moved together. The zero value is not ready.
type arena struct {
	hash   func(key string) uint64
	index  map[uint64]location // by the hash of the key, or the next number that was free
	pieces [][]byte
	used   int // bytes in the pieces
	gaps   int // those of them that nobody needs
}

// location is where an object begins: the piece's number, and the offset in it.
type location uint64

func locationOf(piece, offset int) location { return location(piece)<<32 | location(offset) }

const (
	// minPiece and maxPiece bound what is taken at a time: as much as there is already,
	// so that a small store stays small, up to where more would bring nothing.
	minPiece = 1 << 10
	maxPiece = 64 << 10
)

func newArena(hash func(string) uint64) arena {
	return arena{hash: hash, index: make(map[uint64]location)}
}

// find gives the number under which a key's location is, or would be.
func (a *arena) find(key string) (number uint64, found bool) {
	for number = a.hash(key); ; number++ {
		at, taken := a.index[number]
		if !taken {
			return number, false
		}
		if there, _ := cut(a.content(at)); string(there) == key {
			return number, true
		}
	}
}

// content is the packed object there, see [pack].
func (a *arena) content(at location) []byte {
	p := a.pieces[at>>32][uint32(at):]
	return p[sizeBytes:][:binary.LittleEndian.Uint32(p)]
}

const sizeBytes = 4 // before every object

// get gives a copy of an object, which shares nothing with the arena.
func (a *arena) get(key string) (object, bool) {
	number, found := a.find(key)
	if !found {
		return object{}, false
	}
	return unpack(string(a.content(a.index[number]))), true
}

func (a *arena) put(key string, o object) {
	number, found := a.find(key)
	if found {
		a.gaps += sizeBytes + len(a.content(a.index[number]))
	}
	size := packedSize(key, o)
	at, p := a.take(size)
	binary.LittleEndian.PutUint32(p, uint32(size))
	pack(p[sizeBytes:sizeBytes], key, o)
	a.index[number] = at
	a.tidy()
}

// take gives room for an object of a size.
func (a *arena) take(size int) (location, []byte) {
	size += sizeBytes
	last := len(a.pieces) - 1
	left := 0
	if last >= 0 {
		left = cap(a.pieces[last]) - len(a.pieces[last])
	}
	if left < size {
		a.used += left
		a.gaps += left // less than what did not fit, so that tidy always gains by it
		a.pieces = append(a.pieces, make([]byte, 0, max(size, min(max(a.used, minPiece), maxPiece))))
		last++
	}
	from := len(a.pieces[last])
	a.pieces[last] = a.pieces[last][:from+size]
	a.used += size
	return locationOf(last, from), a.pieces[last][from:]
}

func (a *arena) remove(key string) bool {
	number, found := a.find(key)
	if !found {
		return false
	}
	a.gaps += sizeBytes + len(a.content(a.index[number]))
	delete(a.index, number)
	// Those behind it may stand there only because its number was taken.
	for number++; ; number++ {
		at, taken := a.index[number]
		if !taken {
			break
		}
		delete(a.index, number)
		there, _ := cut(a.content(at))
		own, _ := a.find(string(there))
		a.index[own] = at
	}
	a.tidy()
	return true
}

// tidy moves the objects together if that halves what they take.
func (a *arena) tidy() {
	if a.gaps <= max(a.used/2, maxPiece) {
		return
	}
	before := *a
	a.pieces, a.used, a.gaps = nil, 0, 0
	for number, at := range a.index {
		content := before.content(at)
		to, p := a.take(len(content))
		binary.LittleEndian.PutUint32(p, uint32(len(content)))
		copy(p[sizeBytes:], content)
		a.index[number] = to
	}
}

// appendKeys adds the keys that begin with prefix and come after the key after.
func (a *arena) appendKeys(keys []string, prefix, after string) []string {
	begin := []byte(prefix)
	for _, at := range a.index {
		key, _ := cut(a.content(at))
		if bytes.HasPrefix(key, begin) && string(key) > after {
			keys = append(keys, string(key))
		}
	}
	return keys
}
