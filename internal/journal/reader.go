package journal

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/codec"
)

// reader reads from the tail as long as it holds what comes next, else from the
// segments.
type reader struct {
	journal *Disk
	// destination is whom it reads for; "" sees everything.
	destination string

	next   uint64 // Seq
	out    []Entry
	cold   *cold // nil while the tail serves
	names  *codec.Interner
	failed error // the damage that was met
	closed bool

	passed uint64 // every Seq below was given out; guarded by the journal's mutex
}

// cold is a reader's way through one segment.
type cold struct {
	scan  *scan
	state replay
	marks marks       // those of the segment that are known
	ready []committed // from the last frame
	given int         // how many of them were given out
}

// Read implements [Journal]. What lies before the oldest segment is gone, which is
// an error too.
func (d *Disk) Read(after uint64) (Reader, error) { return d.ReadFor("", after) }

// ReadFor implements [Journal].
func (d *Disk) ReadFor(destination string, after uint64) (Reader, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	newest := d.segments[len(d.segments)-1]
	switch first := d.segments[0].first; {
	case d.closing:
		return nil, cdc.ErrStopped
	case after > d.last:
		return nil, &CorruptError{File: filePath(d.fs, segmentName(newest.number)), Offset: newest.end, Seq: d.last,
			Reason: fmt.Sprintf("it is to be read from behind seq %d, which is beyond its end", after), Hint: hintSegment}
	case after+1 < first:
		return nil, fmt.Errorf("journal: seq %d is no longer there, the journal begins at %d", after+1, first)
	}
	r := &reader{journal: d, destination: destination, next: after + 1, names: codec.NewInterner(), passed: after + 1}
	d.readers = append(d.readers, r)
	d.awaited.Store(d.isAwaited())
	return r, nil
}

// Next implements [Reader]. After Close of the reader or the journal it gives
// cdc.ErrStopped. What is damaged is [ErrCorrupt], again at every call.
func (r *reader) Next(maxBytes int) ([]Entry, error) {
	clear(r.out)
	r.out = r.out[:0]
	d := r.journal
	d.mu.Lock()
	stopped, durable := d.closing || r.closed, d.durable
	r.passed = r.next
	warm := r.next >= d.tail.first()
	if !stopped && warm && r.next <= durable {
		r.out = d.tail.read(r.out, r.destination, r.next, maxBytes)
	}
	d.mu.Unlock()
	switch {
	case stopped:
		return nil, cdc.ErrStopped
	case warm:
		r.leave()
	default:
		if err := r.failed; err != nil {
			return nil, err
		}
		if err := r.readCold(maxBytes, durable); err != nil {
			r.leave()
			// Damage stays in the way, also where a later segment would lead around
			// it. What was read before it is whole and goes first.
			if errors.Is(err, ErrCorrupt) {
				r.failed = err
			}
			if len(r.out) == 0 {
				return nil, err
			}
		}
	}
	if n := len(r.out); n > 0 {
		r.next = r.out[n-1].Change.Seq + 1
	}
	return r.out, nil
}

// Skip implements [Reader]. Frames on the way are checked, and not decoded.
func (r *reader) Skip(to uint64) { r.next = max(r.next, to) }

// readCold fills r.out from the segments.
func (r *reader) readCold(maxBytes int, durable uint64) error {
	size := 0
	for seq := r.next; seq <= durable; seq++ {
		c, err := r.peek(seq)
		if err != nil {
			return err
		}
		if size += c.size(r.destination); size > maxBytes && len(r.out) > 0 {
			return nil
		}
		e, err := c.entry(r.destination, r.names)
		if err != nil {
			return explain(r.journal.fs, r.cold.scan, seq-1, err)
		}
		r.out = append(r.out, e)
	}
	return nil
}

// peek gives the durable change with the given Seq and does not step over it.
func (r *reader) peek(seq uint64) (committed, error) {
	for {
		if r.cold == nil {
			if err := r.enter(seq); err != nil {
				return committed{}, err
			}
		}
		c := r.cold
		for ; c.given < len(c.ready); c.given++ {
			if c.ready[c.given].seq == seq {
				return c.ready[c.given], nil
			}
		}
		known := len(c.marks)
		more, err := c.advance(r.journal.endOf(c.scan.segment))
		if len(c.marks) > known {
			r.journal.remember(c.scan.segment, c.marks)
		}
		if err != nil {
			return committed{}, explain(r.journal.fs, c.scan, c.state.seq, err)
		}
		if !more {
			// The journal goes on in a later segment. It would be entered at its
			// beginning for good if it were this one again.
			if segment, err := r.journal.segmentOf(seq); err != nil || segment.number == c.scan.segment {
				return committed{}, cmp.Or(err, explain(r.journal.fs, c.scan, c.state.seq, errMissing))
			}
			r.leave()
		}
	}
}

var (
	errInvalid = errors.New("the frame there is not valid")
	errMissing = errors.New("the changes after it are missing")
)

// advance reads a frame, or reports that there is none before the end.
func (c *cold) advance(end int64) (bool, error) {
	s := c.scan
	if s.end = end; s.offset >= end {
		return false, nil
	}
	at := s.offset
	h, payload, ok, err := s.next()
	if err == nil && !ok {
		err = errInvalid
	}
	if err == nil {
		c.given = 0
		c.ready, err = c.state.apply(h, payload, c.ready[:0])
	}
	if err != nil {
		s.offset = at
	} else {
		c.marks = c.marks.note(s, &c.state)
	}
	return err == nil, err
}

// enter opens the segment that holds a change, at the last mark before it, or at its
// beginning.
func (r *reader) enter(seq uint64) error {
	segment, err := r.journal.segmentOf(seq)
	if err != nil {
		return err
	}
	s, err := openScan(r.journal.fs, segment.number, segment.end)
	if err != nil {
		return err
	}
	s.apart = segment.size / marksPerSegment
	c := &cold{scan: s, marks: r.journal.marksOf(segment.number)}
	var alive bool
	if m, ok := c.marks.before(seq); ok {
		alive, err = c.state.resume(s, m)
	} else {
		_, alive, err = c.state.begin(s)
	}
	if err == nil && !alive {
		err = errInvalid
	}
	if err != nil {
		s.file.Close()
		return explain(r.journal.fs, s, segment.first-1, err)
	}
	r.cold = c
	return nil
}

// leave closes the segment that is being read, if any.
func (r *reader) leave() {
	if r.cold != nil {
		r.cold.scan.file.Close()
		r.cold = nil
	}
}

// segmentOf gives the segment in which a change was committed.
func (d *Disk) segmentOf(seq uint64) (segment, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range slices.Backward(d.segments) {
		if s.first <= seq {
			return s, nil
		}
	}
	return segment{}, fmt.Errorf("journal: seq %d is no longer there, the journal begins at %d", seq, d.segments[0].first)
}

// endOf gives the end of a segment, which grows in the newest one. One that was
// deleted has no more to give.
func (d *Disk) endOf(number uint64) int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range slices.Backward(d.segments) {
		if s.number == number {
			return s.end
		}
	}
	return 0
}

// More implements [Reader]. It is closed too when Next would give an error.
func (r *reader) More() <-chan struct{} {
	d := r.journal
	d.mu.Lock()
	defer d.mu.Unlock()
	r.passed = r.next
	if d.closing || r.closed || r.next <= d.durable {
		return d.ready
	}
	return d.more
}

// Close implements [Reader].
func (r *reader) Close() error {
	r.closed = true
	r.leave()
	d := r.journal
	d.mu.Lock()
	defer d.mu.Unlock()
	d.readers = slices.DeleteFunc(d.readers, func(other *reader) bool { return other == r })
	return nil
}

// nearby is how many changes a reader may be short of the tail and is yet expected in it: some
// groups of many callers, which are written while it reads what was before them.
const nearby = 4096

// keepsUp reports whether the reader reads the tail, or soon will. The caller holds the
// journal's mutex.
func (r *reader) keepsUp() bool { return r.passed+nearby >= r.journal.tail.first() }

// isAwaited reports whether some reader keeps up: the others read what the disk has. The
// caller holds mu.
func (d *Disk) isAwaited() bool { return slices.ContainsFunc(d.readers, (*reader).keepsUp) }

// passed is where the last of the readers that keep up stands: none of them asks for what is
// below, and nobody for anything in the tail if there is none. The caller holds mu.
func (d *Disk) passed() uint64 {
	low := d.tail.next
	for _, r := range d.readers {
		if r.keepsUp() {
			low = min(low, r.passed)
		}
	}
	return low
}
