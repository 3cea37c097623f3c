package journal

import (
	"maps"
	"slices"
	"time"
)

// group is what is written and flushed at once.
type group struct {
	frames  []byte
	entries []Entry         // what it commits, in order of Seq
	bare    bool            // nobody awaits them, and some are missing
	seq     uint64          // of the last of them, 0 if there is none
	version uint64          // of the same
	begun   time.Time       // when the first version in it was given, zero before
	callers int             // who wait for its fate, see wake.go
	cohorts []chan struct{} // what they wait at, closed when it is known
	steps   []step          // what becomes of announcements
	err     error           // why it was not written; to be read after that
}

func newGroup() *group { return new(group) }

// recycled gives a new group that uses this one's memory.
func (g *group) recycled() *group {
	next := newGroup()
	// A burst's memory is given back, not kept for ever.
	const keep = 4 << 20
	if cap(g.frames) <= keep {
		next.frames = g.frames[:0]
		clear(g.steps)
		clear(g.entries)
		clear(g.cohorts)
		next.steps, next.entries, next.cohorts = g.steps[:0], g.entries[:0], g.cohorts[:0]
	}
	return next
}

// step is the begin, commit or abort of one change.
type step struct {
	kind      kind
	key       key
	announced Entry
	// as is what a commit puts in place of what was announced, nil if nothing.
	as *replacement
	// The numbers of a commit. Its change gets them when they are durable: until then it
	// may have to be written once more as it was announced.
	seq     uint64
	version uint64
}

// replacement is a change in place of the announced one.
type replacement struct {
	entry   Entry
	encoded []byte
}

// committed gives what a commit gives to the readers.
func (s *step) committed() Entry {
	if s.as != nil {
		return s.as.entry
	}
	return s.announced
}

// commit adds a commit, which has its numbers, and its frame.
func (g *group) commit(s step) {
	var encoded []byte
	if s.as != nil {
		encoded = s.as.encoded
	}
	g.frames = appendCommit(g.frames, s.key, s.seq, s.version, encoded)
	g.steps = append(g.steps, s)
	g.entries = append(g.entries, s.committed())
	g.seq, g.version = s.seq, s.version
}

// abort adds an abort and its frame.
func (g *group) abort(s step) {
	g.frames = appendAbort(g.frames, s.key)
	g.steps = append(g.steps, s)
}

// number gives what was announced and is now committed its numbers.
func (g *group) number() {
	for i := range g.steps {
		if s := &g.steps[i]; s.kind == kindCommit {
			c := s.committed().Change
			c.Seq, c.Version = s.seq, s.version
		}
	}
}

// undo takes back what the steps did to the set of open announcements, the last one
// first.
func undo(open map[key]Entry, steps []step) {
	for i := len(steps) - 1; i >= 0; i-- {
		switch s := steps[i]; s.kind {
		case kindBegin:
			delete(open, s.key)
		case kindCommit, kindAbort:
			open[s.key] = s.announced
		}
	}
}

// carry writes a segment's beginning: what it says of itself and the announcements
// that are open there, so that nobody has to look for them in an older segment.
func carry(st start, open map[key]Entry) ([]byte, error) {
	items := map[Ticket][]item{}
	for _, k := range slices.SortedFunc(maps.Keys(open), compareKeys) {
		items[k.ticket] = append(items[k.ticket], item{index: k.index, change: open[k].Change})
	}
	var begins []byte
	for _, t := range slices.Sorted(maps.Keys(items)) {
		var err error
		if begins, err = appendBegin(begins, t, items[t]); err != nil {
			return nil, err
		}
	}
	for rest := begins; len(rest) > 0; st.carried++ {
		rest = rest[sealedSize(rest):]
	}
	return append(appendStart(nil, st), begins...), nil
}
