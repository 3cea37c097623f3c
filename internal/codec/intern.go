package codec

// Interner remembers the names that occur in records, so that reading the same
// field name or resource again allocates nothing. It is bounded. A nil *Interner
// is allowed and remembers nothing. It belongs to one goroutine at a time.
type Interner struct {
	names  map[string]string
	recent [256]string // of names, where mark says; it is quicker than the map
}

// NewInterner gives an empty Interner.
func NewInterner() *Interner { return &Interner{names: make(map[string]string)} }

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
	if in == nil || len(b) == 0 || len(b) > maxNameLen {
		return string(b)
	}
	recent := &in.recent[mark(b)]
	if *recent != string(b) {
		*recent = in.known(b)
	}
	return *recent
}

// mark tells apart most names of a schema. It looks at few bytes, since two that have the
// same cost no more than a look into the map.
func mark(b []byte) byte {
	return b[0] + 3*b[len(b)/2] + 7*b[len(b)-1] + 31*byte(len(b))
}

func (in *Interner) known(b []byte) string {
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
