package journal

import (
	"maps"
	"slices"
	"time"
)

// group is what is written and flushed at once.
type group struct {
	frames  []byte
	steps   []step
	entries []Entry         // what it committed, once that is durable
	begun   time.Time       // when the first version in it was given, zero before
	callers int             // who wait for its fate, see wake.go
	cohorts []chan struct{} // what they wait at, closed when it is known
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

// step is what a frame does with one change.
type step struct {
	kind kind
	key  key
	// announced is what a begin, commit or abort is about.
	announced Entry
	// committed is what a commit, append or schema gives to the readers, and its
	// numbers, which its change gets when it is durable.
	committed Entry
	as        []byte // of a commit that replaces what was announced: the change, encoded
	seq       uint64
	version   uint64
}

// publish gives the committed change its numbers.
func (s *step) publish() Entry {
	s.committed.Change.Seq, s.committed.Change.Version = s.seq, s.version
	return s.committed
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
