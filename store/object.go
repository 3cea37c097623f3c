package store

import (
	"encoding/binary"
	"iter"
	"maps"
	"math/bits"
	"slices"
	"strings"
)

// object is what the format keeps per record: headers of short keys and wire values,
// and a body. Shared and read-only once it was handed over.
type object struct {
	headers     headers
	body        []byte
	contentType string
	tag         string // of a remote backend: tells this state of the object from others
}

// size is what the object takes, without what a backend adds.
func (o object) size() int { return len(o.headers) + len(o.body) }

const jsonContent = "application/json"

// headers are names and their values, packed into one text: a record is written with
// one piece of memory and read with one, which a map and its texts would take a dozen
// of. The zero value has none. Each name is there once.
type headers string

// headersOf packs what a backend gave, in the order of the names.
func headersOf(names map[string]string) headers {
	var p packer
	for _, name := range slices.Sorted(maps.Keys(names)) {
		p.add(name, names[name])
	}
	return p.headers()
}

// all gives names and values, which are parts of the text itself.
func (h headers) all() iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for len(h) > 0 {
			var name, value headers
			name, h = cut(h)
			value, h = cut(h)
			if !yield(string(name), string(value)) {
				return
			}
		}
	}
}

// count tells how many there are.
func (h headers) count() (n int) {
	for range h.all() {
		n++
	}
	return n
}

// get gives the value of a name, "" if there is none.
func (h headers) get(name string) string {
	for k, v := range h.all() {
		if k == name {
			return v
		}
	}
	return ""
}

// unpacked gives the headers as backends hand them on, never nil.
func (h headers) unpacked() map[string]string { return maps.Collect(h.all()) }

// packer makes headers. The zero value is ready.
type packer struct{ text strings.Builder }

// grow makes room, so that what is added up to that is one piece of memory.
func (p *packer) grow(size int) { p.text.Grow(size) }

// add adds a header, of a name that is not there yet.
func (p *packer) add(name, value string) {
	var length [binary.MaxVarintLen64]byte
	p.text.Write(binary.AppendUvarint(length[:0], uint64(len(name))))
	p.text.WriteString(name)
	p.text.Write(binary.AppendUvarint(length[:0], uint64(len(value))))
	p.text.WriteString(value)
}

func (p *packer) headers() headers { return headers(p.text.String()) }

// pack adds an object and its key to p, less the tag: each text behind its length, and
// the headers as they are.
func pack(p []byte, key string, o object) []byte {
	p = append(binary.AppendUvarint(p, uint64(len(key))), key...)
	p = append(binary.AppendUvarint(p, uint64(len(o.contentType))), o.contentType...)
	p = append(binary.AppendUvarint(p, uint64(len(o.body))), o.body...)
	return append(p, o.headers...)
}

// packedSize is how many bytes pack adds.
func packedSize(key string, o object) int {
	return textSize(len(key)) + textSize(len(o.contentType)) + textSize(len(o.body)) + len(o.headers)
}

// textSize is what a text of a length takes with that: seven bits of it to a byte.
func textSize(length int) int { return (bits.Len(uint(length)|1)+6)/7 + length }

// unpack gives what was packed. All but the body is part of the text.
func unpack(packed string) object {
	var o object
	_, packed = cut(packed)
	o.contentType, packed = cut(packed)
	body, rest := cut(packed)
	if body != "" {
		o.body = []byte(body)
	}
	o.headers = headers(rest)
	return o
}

// cut takes the first text off others.
func cut[T ~string | ~[]byte](texts T) (first, rest T) {
	size, shift := 0, 0
	for i := range len(texts) {
		size |= int(texts[i]&0x7f) << shift
		if texts[i] < 0x80 {
			return texts[i+1:][:size], texts[i+1:][size:]
		}
		shift += 7
	}
	return texts, texts[:0]
}
