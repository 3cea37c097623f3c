package journal

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/s3db-go/replicator/internal/codec"
	"github.com/s3db-go/replicator/internal/disk"
)

// recovered is what a directory holds, and what is to be done with it before it is
// written to. Finding it out changes nothing.
type recovered struct {
	segments  []segment // oldest first; none in a new journal
	born      int64     // where the newest segment's own frames begin
	state     replay    // at the end
	open      []Announced
	sizes     []int // encoded sizes of what is open
	cursors   map[string]Cursor
	marks     marks    // in the newest segment
	torn      rest     // behind the end of the newest segment
	proven    int64    // up to where the newest segment was flushed, as it says itself
	leftovers []string // files that are no part of the journal
	ended     bool     // closed cleanly
	sealing   *sealing // of the newest segment
}

// inspect reads a journal's directory. Of the segments but the newest only the
// beginning is read.
func inspect(fsys vault) (*recovered, error) {
	r := &recovered{}
	cursors, leftovers, err := readCursors(fsys)
	if err != nil {
		return nil, err
	}
	r.cursors, r.leftovers = cursors, leftovers
	numbers, err := r.list(fsys)
	if err != nil {
		return nil, err
	}
	var end int64 // of the segment before
	for len(numbers) > 0 && len(r.segments) == 0 {
		last := numbers[len(numbers)-1]
		numbers = numbers[:len(numbers)-1]
		if end, err = r.newest(fsys, last); err != nil {
			return nil, err
		}
	}
	if err := r.older(fsys, numbers, end); err != nil {
		return nil, err
	}
	if err := r.checkEnd(fsys); err != nil {
		return nil, err
	}
	return r, r.checkCursors(fsys)
}

// list gives the numbers of the segment files in order.
func (r *recovered) list(fsys vault) ([]uint64, error) {
	entries, err := fsys.ReadDir(".")
	if err != nil {
		return nil, err
	}
	var numbers []uint64
	for _, e := range entries {
		if n, ok := segmentNumber(e.Name()); ok {
			numbers = append(numbers, n)
		}
		if strings.HasPrefix(e.Name(), disk.TempPrefix) {
			r.leftovers = append(r.leftovers, e.Name())
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// newest reads the segment with the highest number and gives the end of the one
// before. If it never came to life it is a leftover, and the one before is the
// newest.
func (r *recovered) newest(fsys vault, number uint64) (previousEnd int64, err error) {
	s, err := openScan(fsys, number, -1)
	if err != nil {
		return 0, err
	}
	defer s.file.Close()
	s.apart = s.end / marksPerSegment
	st, alive, err := r.state.begin(s)
	r.born = s.offset
	for more := alive; more && err == nil; {
		if more, err = r.state.step(s); more {
			r.marks = r.marks.note(s, &r.state)
		}
	}
	if err != nil {
		return 0, explain(fsys, s, r.state.seq, err)
	}
	found, err := s.examine()
	if err != nil {
		return 0, err
	}
	if found.proof != 0 {
		return 0, &CorruptError{
			File: filePath(fsys, segmentName(number)), Offset: s.offset, Seq: r.state.seq,
			Reason: fmt.Sprintf("the frame there is not valid, and a later one at byte %d proves that it was", found.proof),
			Hint:   hintSegment,
		}
	}
	if !alive {
		r.leftovers = append(r.leftovers, segmentName(number))
		r.state, r.marks = replay{}, nil
		return 0, nil
	}
	r.torn, r.proven, r.sealing = found, s.durable, st.sealing
	r.segments = []segment{{number: number, first: st.first, end: s.offset, size: s.end, version: st.version}}
	return st.previousEnd, r.decodeOpen(fsys, s)
}

// decodeOpen reads the announcements that were never ended.
func (r *recovered) decodeOpen(fsys vault, s *scan) error {
	keys := slices.SortedFunc(maps.Keys(r.state.pending), compareKeys)
	for _, k := range keys {
		change, err := codec.DecodeChange(r.state.pending[k].change, nil)
		if err != nil {
			return explain(fsys, s, r.state.seq, err)
		}
		r.open = append(r.open, Announced{Ticket: k.ticket, Index: int(k.index), Change: change})
		r.sizes = append(r.sizes, len(r.state.pending[k].change))
	}
	r.state.pending = nil
	return nil
}

func compareKeys(a, b key) int {
	return cmp.Or(cmp.Compare(a.ticket, b.ticket), cmp.Compare(a.index, b.index))
}

// explain says where a frame stands that is whole and can't be understood.
func explain(fsys disk.FS, s *scan, seq uint64, err error) error {
	file := filePath(fsys, segmentName(s.segment))
	if errors.Is(err, ErrFormat) {
		return fmt.Errorf("%w (%s, byte %d); nothing was changed", err, file, s.offset)
	}
	if errors.Is(err, ErrKey) {
		return fmt.Errorf("%w (%s)", err, file)
	}
	if _, unread := errors.AsType[*fs.PathError](err); unread {
		return err
	}
	return &CorruptError{File: file, Offset: s.offset, Seq: seq, Reason: err.Error(), Hint: hintSegment}
}

// older adds the segments before the newest. They must be numbered without a gap;
// what lies before a gap is left of a deletion that a crash cut short, if nobody
// needs it.
func (r *recovered) older(fsys vault, numbers []uint64, end int64) error {
	for i, number := range slices.Backward(numbers) {
		next := r.segments[0]
		if number != next.number-1 {
			return r.gap(fsys, numbers[:i+1])
		}
		st, size, err := readStart(fsys, number)
		if err != nil {
			return err
		}
		if st.first > next.first || end > size {
			return &CorruptError{File: filePath(fsys, segmentName(number)), Offset: size, Seq: st.first - 1,
				Reason: "it does not reach to where the next segment goes on", Hint: hintSegment}
		}
		r.segments = slices.Insert(r.segments, 0, segment{number: number, first: st.first, end: end, size: size, version: st.version})
		end = st.previousEnd
	}
	return nil
}

// readStart reads only what a segment says of itself, and its size.
func readStart(fsys vault, number uint64) (start, int64, error) {
	s, err := openScan(fsys, number, -1)
	if err != nil {
		return start{}, 0, err
	}
	defer s.file.Close()
	h, payload, ok, err := s.next()
	if err == nil && (!ok || h.kind != kindStart) {
		err = errors.New("it has no valid beginning")
	}
	var st start
	if err == nil {
		st, err = parseStart(payload)
	}
	if err == nil {
		err = st.sealing.open(fsys.keys)
	}
	if err != nil {
		s.offset = 0
		return start{}, 0, explain(fsys, s, 0, err)
	}
	return st, s.end, nil
}

// gap judges the segments before a missing one.
func (r *recovered) gap(fsys vault, numbers []uint64) error {
	first := r.segments[0]
	needed := len(r.cursors) == 0
	for _, c := range r.cursors {
		needed = needed || c.Low+1 < first.first
	}
	if needed {
		return &CorruptError{File: filePath(fsys, segmentName(first.number-1)),
			Reason: "the file is missing", Hint: hintSegment}
	}
	for _, n := range numbers {
		r.leftovers = append(r.leftovers, segmentName(n))
	}
	return nil
}

// checkEnd compares the end that was found with the one that a clean Close noted.
func (r *recovered) checkEnd(fsys vault) error {
	m, err := readEnd(fsys)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	r.ended = true
	var found endMark
	if len(r.segments) > 0 {
		last := r.segments[len(r.segments)-1]
		found = endMark{last.number, last.end, r.state.seq}
	}
	if found != m {
		return &CorruptError{File: filePath(fsys, segmentName(m.segment)), Offset: found.offset, Seq: r.state.seq,
			Reason: fmt.Sprintf("the journal was closed at byte %d, after seq %d", m.offset, m.seq), Hint: hintSegment}
	}
	return nil
}

// checkCursors finds cursors that speak of changes that are not there.
func (r *recovered) checkCursors(fsys vault) error {
	first := uint64(1)
	if len(r.segments) > 0 {
		first = r.segments[0].first
	}
	for _, name := range slices.Sorted(maps.Keys(r.cursors)) {
		c := r.cursors[name]
		reason := ""
		switch {
		case c.highest() > r.state.seq:
			reason = fmt.Sprintf("it stands at seq %d and the journal ends at %d: the journal was lost or replaced", c.highest(), r.state.seq)
		case c.Low+1 < first:
			reason = fmt.Sprintf("it stands at seq %d and the journal begins at %d: older segments were lost", c.Low, first)
		default:
			continue
		}
		return &CorruptError{File: filePath(fsys, cursorPath(name)), Seq: r.state.seq, Reason: reason, Hint: hintCursor}
	}
	return nil
}
