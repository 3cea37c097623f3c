package store

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// A behavior says where a record goes that has more than the user metadata of an
// object holds.
const (
	userManaged   = "user-managed"   // as a whole into the body
	enforceLimits = "enforce-limits" // it is refused
	truncateData  = "truncate-data"  // the largest values are dropped
	bodyOverflow  = "body-overflow"  // the largest values go into the body
	bodyOnly      = "body-only"      // always as a whole into the body
)

func behaviors() []string {
	return []string{userManaged, enforceLimits, truncateData, bodyOverflow, bodyOnly}
}

const (
	// metadataLimit is what S3 takes as user metadata: 2 KiB of names and values.
	metadataLimit = 2048
	// timestampReserve is what the original sets aside for two times.
	timestampReserve = 66
	// flagReserve is what it sets aside for the mark of a record that was cut.
	flagReserve = len("$truncated") + len("true")

	versionHeader   = "_v" // the definition's version that a record was written under
	mapHeader       = "_map"
	overflowHeader  = "_overflow"
	truncatedHeader = "_truncated"
	flag            = "true"
)

// unfit says why a record can't be stored under its resource's behavior.
type unfit struct{ reason string }

func (e *unfit) Error() string { return e.reason }

// mapped is a record as the format has it before the wire, in any order.
type mapped []field

// field is a short key with its value: text, nil for null, or a JSON value where text
// can't tell what is in it.
type field struct {
	key   string
	path  string // what the object itself says that the key means, "" if it does not
	value any
	size  int    // of a value that can be a header, as the original counts: before the wire
	wire  string // of such a one, what S3 counts
}

// split moves the values that can be headers to the front, and counts them. plain says
// that the text of each of them stands in its header as it is.
func (m mapped) split() (headers int, plain bool) {
	plain = true
	for i := range m {
		f := &m[i]
		switch v := f.value.(type) {
		case nil:
			f.wire = "null"
		case string:
			f.size = len(v)
			if f.size <= metadataLimit { // else it will be no header, and may be large
				f.wire = encodeHeader(v)
			}
			plain = plain && f.wire == v
		default:
			continue
		}
		if i != headers {
			m[i], m[headers] = m[headers], m[i]
		}
		headers++
	}
	return headers, plain
}

// size is what the values take as headers, with a version beside them.
func (m mapped) size() int {
	n := textSize(len(versionHeader)) + textSize(len("v1000"))
	for i := range m {
		n += textSize(len(m[i].key)) + textSize(len(m[i].wire))
	}
	return n
}

// smallestFirst sorts headers.
func (m mapped) smallestFirst() {
	slices.SortFunc(m, func(a, b field) int {
		return cmp.Or(cmp.Compare(a.size, b.size), compareKeys(a.key, b.key))
	})
}

// compareKeys orders short keys as the original meets them: those that JavaScript
// takes for numbers first, the others in the order in which they were given.
func compareKeys(a, b string) int {
	x, notX := strconv.Atoi(a)
	y, notY := strconv.Atoi(b)
	switch {
	case notX == nil && notY == nil:
		return cmp.Compare(x, y)
	case notX == nil:
		return -1
	case notY == nil:
		return 1
	}
	return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}

// layout is headers in the making, and the room that is left.
type layout struct {
	packed   packer
	limit    int // of the original, for what it counts
	size     int // of the values, as the original counts
	names    int
	wireSize int
}

// layOut makes the object of a mapped record, of which so many values can be headers.
func (s *schema) layOut(m mapped, inline int) (object, error) {
	headers, rest := m[:inline:inline], m[inline:]
	var l layout
	l.begin(s, headers)
	switch s.behavior {
	case bodyOnly:
		return l.only(m, s.mark, s.keyMap())
	case bodyOverflow:
		headers.smallestFirst()
		return l.overflow(headers, rest)
	case truncateData:
		headers.smallestFirst()
		return l.truncate(headers, rest)
	}
	for _, h := range headers {
		l.add(h)
	}
	fits := l.size+l.names <= l.limit && l.wireSize <= metadataLimit
	switch {
	case fits && len(rest) == 0:
		return l.object(), nil
	case s.behavior != enforceLimits:
		var l layout
		l.begin(s, nil)
		return l.withBody(m, versionHeader, s.mark)
	case len(rest) > 0:
		return object{}, needsBody(rest)
	}
	return object{}, &unfit{fmt.Sprintf("takes %d bytes of metadata, and the behavior %s allows %d", max(l.size+l.names, l.wireSize), s.behavior, l.limit)}
}

func needsBody(rest mapped) error {
	return &unfit{fmt.Sprintf("holds %d values that only a body can tell apart, like an array of one empty text, and the behavior has none", len(rest))}
}

// begin makes room for headers, and adds the version.
func (l *layout) begin(s *schema, room mapped) {
	l.limit = metadataLimit - 1 - len(versionHeader) - len(s.mark)
	if s.timestamps {
		l.limit -= timestampReserve
	}
	l.packed.grow(room.size())
	l.add(field{key: versionHeader, size: len(s.mark), wire: s.mark})
}

func (l *layout) add(h field) {
	l.packed.add(h.key, h.wire)
	l.size += h.size
	l.names += len(h.key)
	l.wireSize += len(h.key) + len(h.wire)
}

// object gives the object that is nothing but the headers.
func (l *layout) object() object { return object{headers: l.packed.headers()} }

// flag adds a mark, for which the room was reckoned with.
func (l *layout) flag(name string) { l.packed.add(name, flag) }

// withBody gives the object with the fields in its body, and one more.
func (l *layout) withBody(m mapped, name string, value any) (object, error) {
	fields := make(map[string]any, len(m)+1)
	for _, f := range m {
		fields[f.key] = f.value
	}
	if name != "" {
		fields[name] = value
	}
	body, err := marshalJSON(fields)
	return object{headers: l.packed.headers(), body: body, contentType: jsonContent}, err
}

// only puts everything into the body, and what its keys mean beside it. Where that
// finds no room, the registry tells it too.
func (l *layout) only(m mapped, mark string, keys []byte) (object, error) {
	if wire := encodeHeader(string(keys)); l.wireSize+len(mapHeader)+len(wire) <= metadataLimit {
		l.add(field{key: mapHeader, size: len(keys), wire: wire})
	}
	return l.withBody(m, versionHeader, mark)
}

// overflow takes headers as long as they fit, and puts the others into the body. The
// original counts values alone; what S3 counts goes beyond that.
func (l *layout) overflow(headers, rest mapped) (object, error) {
	inline, size := 0, l.size
	for inline < len(headers) && size+headers[inline].size <= l.limit {
		size += headers[inline].size
		inline++
	}
	room := metadataLimit - l.wireSize
	for _, h := range headers[:inline] {
		room -= len(h.key) + len(h.wire)
	}
	mark := len(overflowHeader) + len(flag)
	for (inline < len(headers) || len(rest) > 0) && room < mark || room < 0 {
		inline--
		room += len(headers[inline].key) + len(headers[inline].wire)
	}
	for _, h := range headers[:inline] {
		l.add(h)
	}
	if inline == len(headers) && len(rest) == 0 {
		return l.object(), nil
	}
	l.flag(overflowHeader)
	return l.withBody(slices.Concat(rest, headers[inline:]), "", nil)
}

// truncate takes headers as long as they fit. The first that does not becomes empty,
// and what follows is dropped, as by the original.
func (l *layout) truncate(headers, rest mapped) (object, error) {
	if len(rest) > 0 {
		return object{}, needsBody(rest)
	}
	for i, h := range headers {
		room := metadataLimit - l.wireSize - len(h.key) - len(h.wire)
		if i+1 < len(headers) {
			room -= len(headers[i+1].key) + len(truncatedHeader) + len(flag)
		}
		if l.size+h.size+flagReserve > l.limit || room < 0 {
			l.add(field{key: h.key})
			l.flag(truncatedHeader)
			break
		}
		l.add(h)
	}
	return l.object(), nil
}

// gather gives an object's fields by short key, from its headers and, as far as the
// behavior says that it counts, from its body.
func gather(o object, behavior string) mapped {
	var out mapped
	for name, wire := range o.headers.all() {
		if v, present := decodeHeader(wire); present && !internal(name) {
			out = append(out, field{key: name, value: v})
		}
	}
	if len(o.body) == 0 {
		return out
	}
	body, ok := parseBody(o.body)
	if !ok {
		return out
	}
	switch behavior {
	case enforceLimits, truncateData:
		return out // it is a stale copy
	case bodyOnly:
		if len(body) > 0 {
			return mappedOf(body).explained(o.headers.get(mapHeader))
		}
	case userManaged:
		if len(out) > 0 {
			return out // a copy, under other names
		}
	}
	for _, f := range out {
		delete(body, f.key)
	}
	return append(out, mappedOf(body)...)
}

func mappedOf(fields map[string]any) mapped {
	out := make(mapped, 0, len(fields))
	for key, v := range fields {
		out = append(out, field{key: key, value: v})
	}
	return out
}

// internal reports whether a name is the format's own, or one that the original
// leaks into records.
func internal(name string) bool {
	return name == "" || name[0] == '_' || name == "id" || name == "metadata_updatedat" || name == "metadata.updatedAt"
}

func parseBody(body []byte) (map[string]any, bool) {
	body = bytes.TrimSpace(body)
	if len(body) == 0 || body[0] != '{' {
		return nil, false
	}
	v, err := unmarshalJSON(body)
	fields, ok := v.(map[string]any)
	if err != nil || !ok {
		return nil, false
	}
	maps.DeleteFunc(fields, func(name string, _ any) bool { return internal(name) })
	return fields, true
}

// explained notes what the keys mean by the map that stands beside them, if there is one.
func (m mapped) explained(header string) mapped {
	text, _ := decodeHeader(header)
	encoded, _ := text.(string)
	var keys map[string]string
	if json.Unmarshal([]byte(encoded), &keys) != nil {
		return m
	}
	paths := make(map[string]string, len(keys))
	for path, key := range keys {
		paths[key] = path
	}
	for i := range m {
		m[i].path = paths[m[i].key]
	}
	return m
}
