package codec

// Interner remembers the names that occur in records, so that reading the same
// field name or resource again allocates nothing. It is bounded. A nil *Interner
// is allowed and remembers nothing. It belongs to one goroutine at a time.
type Interner struct{ names map[string]string }

// NewInterner gives an empty Interner.
func NewInterner() *Interner { return &Interner{make(map[string]string)} }

const (
	// maxNames is far above the field names of any schema. It is reached only by
	// maps whose keys are data, and then forgetting all is cheaper than keeping
	// account of age.
	maxNames = 4096
	// maxNameLen keeps a full table below about half a megabyte.
	maxNameLen = 64
)

// name gives b as a string that shares no memory with b.
func (in *Interner) name(b []byte) string {
	if in == nil || len(b) > maxNameLen {
		return string(b)
	}
	if s, ok := in.names[string(b)]; ok {
		return s
	}
	if len(in.names) == maxNames {
		clear(in.names)
	}
	s := string(b)
	in.names[s] = s
	return s
}
