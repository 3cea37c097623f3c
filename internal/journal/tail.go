package journal

// tail holds the newest committed changes in memory, decoded, for the readers that
// keep up. Of [Disk] it holds no change that all of them have passed, nor any while none of them
// keeps up: decoded, a change is in many pieces of memory, which the garbage collector would
// visit again and again for nobody.
// The zero value is empty.
type tail struct {
	entries []Entry // dense in Seq, oldest first
	dropped int     // how many of them, the oldest, are dropped
	next    uint64  // Seq behind the newest
	bytes   int     // of those that are not dropped
}

// held gives what is not dropped.
func (t *tail) held() []Entry { return t.entries[t.dropped:] }

// first is the Seq of the oldest change in it; next if there is none.
func (t *tail) first() uint64 { return t.next - uint64(len(t.held())) }

// push adds the changes that follow.
func (t *tail) push(entries ...Entry) {
	t.entries = append(t.entries, entries...)
	t.next += uint64(len(entries))
	for i := range entries {
		t.bytes += entries[i].Bytes
	}
}

// skip leaves out all that lies before a Seq.
func (t *tail) skip(to uint64) {
	clear(t.entries)
	*t = tail{entries: t.entries[:0], next: to}
}

// shrink drops the oldest until the rest fits.
func (t *tail) shrink(limit int) {
	t.drop(func(Entry) bool { return t.bytes > limit })
}

// forget drops everything up to a Seq, and reports whether there was something.
func (t *tail) forget(seq uint64) bool {
	return t.drop(func(e Entry) bool { return e.Change.Seq <= seq }) > 0
}

// drop drops the oldest as long as they are to go. What is left moves to the front of
// the array once that is half empty: a slice that only slides along has to be made
// anew, and copied whole, again and again.
func (t *tail) drop(goes func(Entry) bool) (n int) {
	for _, e := range t.held() {
		if !goes(e) {
			break
		}
		t.bytes -= e.Bytes
		n++
	}
	// The array lives on; the changes shall not.
	clear(t.held()[:n])
	if t.dropped += n; t.dropped > len(t.entries)/2 {
		left := copy(t.entries, t.held())
		clear(t.entries[left:])
		t.entries, t.dropped = t.entries[:left], 0
	}
	return n
}

// read appends the changes from a Seq on, as a destination sees them: as many as fit
// in maxBytes and at least one.
func (t *tail) read(out []Entry, destination string, from uint64, maxBytes int) []Entry {
	size := 0
	for _, e := range t.held()[from-t.first():] {
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
