package journal

// tail holds the newest committed changes in memory, decoded, for the readers that
// keep up. The zero value is empty.
type tail struct {
	entries []Entry // dense in Seq, oldest first
	next    uint64  // Seq behind the newest
	bytes   int
}

// first is the Seq of the oldest change in it; next if there is none.
func (t *tail) first() uint64 { return t.next - uint64(len(t.entries)) }

// push adds the change that follows.
func (t *tail) push(e Entry) {
	t.entries = append(t.entries, e)
	t.next = e.Change.Seq + 1
	t.bytes += e.Bytes
}

// shrink drops the oldest until the rest fits.
func (t *tail) shrink(limit int) {
	drop := 0
	for ; drop < len(t.entries) && t.bytes > limit; drop++ {
		t.bytes -= t.entries[drop].Bytes
	}
	// The array behind them lives on; their changes shall not.
	clear(t.entries[:drop])
	t.entries = t.entries[drop:]
}

// forget drops everything up to a Seq, and reports whether there was something.
func (t *tail) forget(seq uint64) bool {
	drop := 0
	for ; drop < len(t.entries) && t.entries[drop].Change.Seq <= seq; drop++ {
		t.bytes -= t.entries[drop].Bytes
	}
	clear(t.entries[:drop])
	t.entries = t.entries[drop:]
	return drop > 0
}

// read appends the changes from a Seq on, as a destination sees them: as many as fit
// in maxBytes and at least one.
func (t *tail) read(out []Entry, destination string, from uint64, maxBytes int) []Entry {
	size := 0
	for _, e := range t.entries[from-t.first():] {
		if e.isForeign(destination) {
			seq, version := e.Change.Seq, e.Change.Version
			e = foreignEntry(e.To)
			e.Change.Seq, e.Change.Version = seq, version
		}
		size += e.Bytes
		if size > maxBytes && len(out) > 0 {
			break
		}
		out = append(out, e)
	}
	return out
}
