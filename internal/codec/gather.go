package codec

import "reflect"

// strings are short strings on their way into a map. Together they cost two allocations,
// one for their text and one for the array that is their place as values; each by itself
// costs two, which the collector has to visit one by one as well.
type strings struct {
	names [gathered]string
	ends  [gathered]int // of each in text
	n     int
	text  [gathered * shortMost]byte
}

const (
	// gathered is about how many strings a usual record has.
	gathered = 8
	// shortMost keeps what one string holds of the others' small. For a longer one two
	// allocations are little beside what it takes anyway.
	shortMost = 64
)

// put puts a string into the map, now or with those that follow.
func (s *strings) put(m map[string]any, name string, text []byte) {
	if len(text) > shortMost {
		m[name] = string(text)
		return
	}
	from := 0
	if s.n > 0 {
		from = s.ends[s.n-1]
	}
	s.names[s.n], s.ends[s.n] = name, from+copy(s.text[from:], text)
	if s.n++; s.n == gathered {
		s.flush(m)
	}
}

// flush puts what was gathered into the map.
func (s *strings) flush(m map[string]any) {
	if s.n == 0 {
		return
	}
	text, from := string(s.text[:s.ends[s.n-1]]), 0
	var texts [gathered]string
	for i, end := range s.ends[:s.n] {
		texts[i], from = text[from:end], end
	}
	// The elements of an array that is a value, and so can't change, need no place of
	// their own to be values.
	var values reflect.Value
	switch {
	case s.n == 1:
		m[s.names[0]], s.n = text, 0
		return
	case s.n <= gathered/2:
		values = reflect.ValueOf([gathered / 2]string(texts[:]))
	default:
		values = reflect.ValueOf(texts)
	}
	for i, name := range s.names[:s.n] {
		m[name] = values.Index(i).Interface()
	}
	s.n = 0
}
