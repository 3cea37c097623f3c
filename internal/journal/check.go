package journal

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/s3db-go/replicator/internal/codec"
	"github.com/s3db-go/replicator/internal/disk"
)

// Checked is what [Check] went through.
type Checked struct {
	Segments int
	Frames   int
	Bytes    int64  // of frames
	First    uint64 // the Seqs of what is committed, 0 if there is nothing
	Last     uint64
	Open     int // announced and not ended
	Cursors  int
}

// Check reads a journal that nobody has open, every byte of what was written, and
// changes nothing but the file that keeps others out meanwhile (disk.ErrLocked if
// somebody is in). Its error joins what it found, the first damage of each segment, as
// [CorruptError]; what is damaged so that the segments can't be told apart it gives
// alone. A tail that a crash tore is no damage.
func Check(fsys disk.FS, e Encryption) (Checked, error) {
	lock, err := fsys.Lock("lock")
	if err != nil {
		return Checked{}, fmt.Errorf("journal: %w", err)
	}
	defer lock.Close()
	v := vault{fsys, e}
	found, err := inspect(v)
	if err != nil {
		return Checked{}, err
	}
	c := Checked{Segments: len(found.segments), Cursors: len(found.cursors), Open: len(found.open)}
	var damage []error
	var before *replay // the state at the end of the segment before, nil if that is damaged
	for i, s := range found.segments {
		state, err := c.segment(v, s, before)
		if err != nil {
			damage = append(damage, err)
			state = nil
		} else if i+1 < len(found.segments) {
			err = follows(v, s, found.segments[i+1], state)
			damage = append(damage, err)
		}
		before = state
	}
	if len(found.segments) > 0 && found.segments[0].first <= found.state.seq {
		c.First, c.Last = found.segments[0].first, found.state.seq
	}
	return c, errors.Join(damage...)
}

// segment reads a segment to its end and decodes every change in it.
func (c *Checked) segment(v vault, seg segment, before *replay) (*replay, error) {
	s, err := openScan(v, seg.number, seg.end)
	if err != nil {
		return nil, err
	}
	defer s.file.Close()
	state := &replay{}
	wrong := func(err error) error { return explain(v, s, max(state.seq, seg.first-1), err) }
	_, alive, err := state.begin(s)
	if err == nil && !alive {
		err = errInvalid
	}
	if err == nil && before != nil && !sameKeys(before.pending, state.pending) {
		err = errors.New("it repeats other announcements than were open before it")
	}
	for _, k := range slices.SortedFunc(maps.Keys(state.pending), compareKeys) {
		if err == nil {
			_, err = codec.DecodeChange(state.pending[k].change, nil)
		}
	}
	if err != nil {
		return nil, wrong(err)
	}
	names := codec.NewInterner()
	for s.offset < seg.end {
		at := s.offset
		h, payload, ok, err := s.next()
		if err == nil && !ok {
			err = errInvalid
		}
		var out []committed
		if err == nil {
			out, err = state.apply(h, payload, nil)
		}
		for _, committed := range out {
			if err == nil {
				_, err = committed.entry("", names)
			}
		}
		if err == nil && h.kind == kindBegin {
			err = decodable(payload[8:])
		}
		if err != nil {
			s.offset = at
			return nil, wrong(err)
		}
		c.Frames++
	}
	c.Bytes += seg.end
	return state, nil
}

// decodable finds an item that can't be read.
func decodable(items []byte) (failed error) {
	err := parseItems(items, func(_ uint32, change []byte) {
		_, err := codec.DecodeChange(change, nil)
		failed = cmp.Or(failed, err)
	})
	return cmp.Or(err, failed)
}

// follows finds out whether a segment goes on where the one before it ends.
func follows(v vault, s, next segment, state *replay) error {
	if state.seq+1 == next.first && state.version <= next.version {
		return nil
	}
	return &CorruptError{File: filePath(v, segmentName(s.number)), Offset: s.end, Seq: state.seq,
		Reason: fmt.Sprintf("the next segment goes on with seq %d", next.first), Hint: hintSegment}
}

func sameKeys(a, b map[key]pending) bool {
	return maps.EqualFunc(a, b, func(_, _ pending) bool { return true })
}
