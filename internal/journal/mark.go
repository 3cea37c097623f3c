package journal

import (
	"maps"
	"slices"
)

// mark is a place within a segment at which reading can begin, so that whoever wants a
// change from its middle does not read it from its beginning. Marks are found on the way
// by whoever does read from there, recovery included, and are nowhere but in memory.
type mark struct {
	offset  int64 // of the frame that is read next
	seq     uint64
	version uint64
	// The announcements that are open there stand from here on, and in the frames at
	// these places before it.
	from  int64
	older []int64
}

const (
	// marksPerSegment: what is read to get to a change is a 64th of its segment on
	// average, and as much again for what was announced before it; 2 MiB at most.
	marksPerSegment = 64
	// olderPerMark is how many announcements of long ago may be open at a mark. With
	// more of them there is none: to find them costs as much as it spares.
	olderPerMark = 64
)

// marks are those of one segment, in their order and apart from each other.
type marks []mark

// note sets a mark where a scan stands, whose state is given, if it is far enough from
// the last one and from the last attempt.
func (m marks) note(s *scan, state *replay) marks {
	apart := s.apart
	if n := len(m); s.offset < s.tried+apart || n > 0 && s.offset < m[n-1].offset+apart {
		return m
	}
	s.tried = s.offset
	here := mark{offset: s.offset, seq: state.seq, version: state.version, from: s.offset}
	older := map[int64]bool{}
	for _, p := range state.pending {
		if p.at > s.offset-apart {
			here.from = min(here.from, p.at)
		} else if older[p.at] = true; len(older) > olderPerMark {
			return m
		}
	}
	here.older = slices.Sorted(maps.Keys(older))
	return append(m, here)
}

// before gives the last mark behind which a change is still to come, if there is one.
func (m marks) before(seq uint64) (mark, bool) {
	i, _ := slices.BinarySearchFunc(m, seq, func(m mark, seq uint64) int {
		if m.seq < seq {
			return -1
		}
		return 1
	})
	if i == 0 {
		return mark{}, false
	}
	return m[i-1], true
}

// resume sets the state to that at a mark, and the scan, which is a new one, behind it.
// False means that something that was there when the mark was set is not valid any more;
// the scan then stands at it.
func (r *replay) resume(s *scan, m mark) (bool, error) {
	if _, alive, err := s.begin(); err != nil || !alive {
		return false, err
	}
	*r = replay{pending: map[key]pending{}, seq: m.seq, version: m.version}
	for _, at := range m.older {
		s.offset = at
		if ok, err := r.recall(s); err != nil || !ok {
			return false, err
		}
	}
	for s.offset = m.from; s.offset < m.offset; {
		if ok, err := r.recall(s); err != nil || !ok {
			return false, err
		}
	}
	s.tried = s.offset
	return true, nil
}

// recall reads a frame for what it announces or ends, and leaves out what else it does.
func (r *replay) recall(s *scan) (bool, error) {
	h, payload, ok, err := s.next()
	if err != nil || !ok {
		return false, err
	}
	switch h.kind {
	case kindBegin:
		_, err = r.apply(h, payload, nil)
	case kindCommit, kindAbort:
		var k key
		if k, err = parseEnd(h.kind, payload); err == nil {
			delete(r.pending, k)
		}
	}
	return err == nil, err
}

// marksOf gives the marks of a segment.
func (d *Disk) marksOf(number uint64) marks {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clip(d.marks[number]) // readers add to it, each its own
}

// remember takes in those marks of a segment that a reader found.
func (d *Disk) remember(number uint64, found marks) {
	d.mu.Lock()
	defer d.mu.Unlock()
	// Another reader may have come further, and the segment may be gone.
	if len(found) > len(d.marks[number]) && number >= d.segments[0].number {
		d.marks[number] = found
	}
}
