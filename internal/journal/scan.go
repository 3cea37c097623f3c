package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/codec"
	"github.com/s3db-go/replicator/internal/disk"
)

const (
	// windowSize is how much is read at once: sequential reads get no faster above it,
	// and 16 readers hold no more than 4 MiB.
	windowSize = 256 << 10
	// probeSize is how much is read where nothing was read before: it may be that only
	// one frame is wanted there.
	probeSize = 8 << 10
)

// scan reads a segment frame by frame. It belongs to one goroutine.
type scan struct {
	file    disk.File
	segment uint64
	offset  int64 // of the next frame
	end     int64 // nothing is read from here on
	durable int64 // up to where the frames that were read say that it was flushed

	window []byte
	at     int64 // the window's place in the file
	apart  int64 // how far apart marks are set
	tried  int64 // where one was last set, or could not be
	ahead  int   // how much to read at once; it grows while the reading goes on in order

	keys    Encryption
	sealing *sealing // from the segment's start, nil if it is not encrypted
	clear   []byte   // the payload, decrypted
}

// next gives the next frame and steps over it, or false if no valid one stands
// here. The payload is valid until the next call.
func (s *scan) next() (header, []byte, bool, error) {
	b, err := s.view(s.offset, headerSize)
	if err != nil || b == nil {
		return header{}, nil, false, err
	}
	h, ok := parseHeader(b, place{s.segment, s.offset})
	if !ok {
		return header{}, nil, false, nil
	}
	b, err = s.view(s.offset, int(h.size()))
	if err != nil || b == nil || checksum(b[headerSize:]) != h.sum {
		return header{}, nil, false, err
	}
	payload := b[headerSize : headerSize+h.length]
	if s.sealing != nil {
		if s.clear, err = s.sealing.payload(s.clear[:0], h.kind, s.offset, payload); err != nil {
			return header{}, nil, false, err
		}
		payload = s.clear
	}
	s.offset += h.size()
	s.durable = max(s.durable, h.durable)
	return h, payload, true, nil
}

// begin reads what the segment says of itself, and is ready for what follows. False
// means that it says nothing valid.
func (s *scan) begin() (start, bool, error) {
	h, payload, ok, err := s.next()
	if err != nil || !ok {
		return start{}, false, err
	}
	if h.kind != kindStart {
		return start{}, false, errPayload
	}
	st, err := parseStart(payload)
	if err != nil {
		return start{}, false, err
	}
	s.sealing = st.sealing
	return st, true, st.sealing.open(s.keys)
}

// view gives n bytes at an offset, or nil if they reach over the end.
func (s *scan) view(offset int64, n int) ([]byte, error) {
	if offset+int64(n) > s.end {
		return nil, nil
	}
	if from := offset - s.at; from >= 0 && from+int64(n) <= int64(len(s.window)) {
		return s.window[from : from+int64(n)], nil
	}
	if offset < s.at || offset > s.at+int64(len(s.window)) {
		s.ahead = 0
	}
	s.ahead = min(max(4*s.ahead, probeSize), windowSize)
	size := int(min(int64(max(n, s.ahead)), s.end-offset))
	// What one large frame needed is not kept for the small ones after it.
	if cap(s.window) < size || cap(s.window) > 4*windowSize {
		s.window = make([]byte, size)
	}
	s.window, s.at = s.window[:size], offset
	got, err := s.file.ReadAt(s.window, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		s.window = s.window[:0]
		return nil, err
	}
	s.window = s.window[:got]
	if got < n {
		return nil, nil
	}
	return s.window[:n], nil
}

// rest is what stands behind the last valid frame.
type rest struct {
	proof int64 // the first frame that says more was durable, 0 if there is none
	used  int64 // the end of what is not zero
}

// examine looks through what stands behind the last valid frame, at the scan's
// offset, up to its end. A crash can leave anything there, except a frame that says
// that the place where the valid ones end was durable before: that one proves
// damage. Only the header must be valid, since it alone says so.
func (s *scan) examine() (rest, error) {
	r := rest{used: s.offset}
	broken := s.offset
	for at := s.offset; at < s.end; at += windowSize {
		// A header may reach over into the next window.
		n := min(windowSize+headerSize, s.end-at)
		b, err := s.view(at, int(n))
		if err != nil || b == nil {
			return r, err
		}
		used := len(bytes.TrimRight(b, "\x00"))
		if used > 0 {
			r.used = at + int64(used)
		}
		for i := 0; i < min(used, windowSize) && r.proof == 0; i += alignment {
			here := at + int64(i)
			if h, ok := parseHeader(b[i:], place{s.segment, here}); ok && h.durable > broken {
				r.proof = here
			}
		}
	}
	return r, nil
}

// replay is the state that the frames of a segment add up to.
type replay struct {
	pending map[key]pending // announced and not ended
	seq     uint64
	version uint64
	ticket  Ticket   // the highest that was met; those that are open are among them
	spare   [][]byte // memory of announcements that were ended, for those to come
}

const (
	// spareMost is how many are kept: about as many as are open at once under a usual load.
	spareMost = 64
	// spareBytes is how large one may be that is kept, so that 16 readers hold no more than
	// 4 MiB.
	spareBytes = 4 << 10
)

// announce keeps a change until its end comes, in the memory of one whose end came. A
// reader meets an announcement for nearly every change, and most end a few frames later.
func (r *replay) announce(k key, change []byte, at int64) {
	var b []byte
	if last := len(r.spare) - 1; last >= 0 {
		b, r.spare = r.spare[last][:0], r.spare[:last]
	}
	r.pending[k] = pending{append(b, change...), at}
}

// ended forgets an announcement. What it gives is valid until the next is met.
func (r *replay) ended(k key) (change []byte, announced bool) {
	p, announced := r.pending[k]
	delete(r.pending, k)
	if n := cap(p.change); n > 0 && n <= spareBytes && len(r.spare) < spareMost {
		r.spare = append(r.spare, p.change)
	}
	return p.change, announced
}

// pending is a change that is announced.
type pending struct {
	change []byte // encoded
	at     int64  // where the frame stands that announces it
}

// committed is a change that a frame committed. Its bytes are valid until the next frame is
// read.
type committed struct {
	kind    kind   // of the frame
	to      string // the destination, "" for all
	seq     uint64
	version uint64
	change  []byte // of a Schema, the frame's payload behind its numbers
}

// begin sets the state to that at a segment's beginning. False means that the
// segment never came to life: its start or the announcements that go with it are
// not there as a whole. The scan then stands at the first frame that is missing.
func (r *replay) begin(s *scan) (start, bool, error) {
	st, alive, err := s.begin()
	if err != nil || !alive {
		return start{}, false, err
	}
	*r = replay{pending: map[key]pending{}, seq: st.first - 1, version: st.version}
	for range st.carried {
		if ok, err := r.step(s); err != nil || !ok {
			return start{}, false, err
		}
	}
	return st, true, nil
}

// step reads a frame and adds it to the state, if there is a valid one. After an
// error the scan still stands at the frame.
func (r *replay) step(s *scan) (bool, error) {
	at := s.offset
	h, payload, ok, err := s.next()
	if err != nil || !ok {
		return false, err
	}
	if _, err := r.apply(h, payload, nil); err != nil {
		s.offset = at
		return false, err
	}
	return true, nil
}

// apply adds a frame to the state and appends the changes that it committed. An
// error says what about the frame makes no sense.
func (r *replay) apply(h header, b []byte, out []committed) ([]committed, error) {
	switch h.kind {
	case kindBegin:
		if len(b) < 8 {
			return out, errPayload
		}
		ticket := Ticket(binary.LittleEndian.Uint64(b))
		r.ticket = max(r.ticket, ticket)
		return out, parseItems(b[8:], func(index uint32, change []byte) {
			r.announce(key{ticket, index}, change, h.at)
		})
	case kindCommit:
		k, err := parseEnd(h.kind, b)
		if err != nil {
			return out, err
		}
		change, announced := r.ended(k)
		if !announced {
			return out, errors.New("a change is committed that was not announced")
		}
		if len(b) > 28 {
			change = b[28:]
		}
		return r.commit(out, committed{
			seq: binary.LittleEndian.Uint64(b[8:]), version: binary.LittleEndian.Uint64(b[16:]), change: change,
		})
	case kindAbort:
		k, err := parseEnd(h.kind, b)
		if err != nil {
			return out, err
		}
		if _, announced := r.ended(k); !announced {
			return out, errors.New("a change is aborted that was not announced")
		}
		return out, nil
	case kindAppend:
		if len(b) < 20 || uint64(binary.LittleEndian.Uint32(b[16:])) > uint64(len(b)-20) {
			return out, errPayload
		}
		items := 20 + int(binary.LittleEndian.Uint32(b[16:]))
		c := committed{
			to: string(b[20:items]), seq: binary.LittleEndian.Uint64(b), version: binary.LittleEndian.Uint64(b[8:]),
		}
		var wrong error
		err := parseItems(b[items:], func(_ uint32, change []byte) {
			if wrong == nil {
				c.change = change
				out, wrong = r.commit(out, c)
			}
			c.seq, c.version = c.seq+1, c.version+1
		})
		return out, errors.Join(err, wrong)
	case kindSchema, kindShape:
		if len(b) < 16 {
			return out, errPayload
		}
		if _, _, _, err := parseSchema(h.kind, b[16:]); err != nil {
			return out, err
		}
		return r.commit(out, committed{
			kind: h.kind, seq: binary.LittleEndian.Uint64(b), version: binary.LittleEndian.Uint64(b[8:]), change: b[16:],
		})
	case kindStart:
		return out, errPayload
	}
	return out, ErrFormat
}

func (r *replay) commit(out []committed, c committed) ([]committed, error) {
	if c.seq != r.seq+1 || c.version <= r.version {
		return out, errors.New("seq or version does not follow the one before")
	}
	r.seq, r.version = c.seq, c.version
	return append(out, c), nil
}

// entry decodes what was committed, as a destination sees it; "" sees everything.
func (c committed) entry(destination string, names *codec.Interner) (Entry, error) {
	e := Entry{To: c.to, Bytes: len(c.change)}
	switch {
	case c.isSchema():
		var err error
		if e, err = readSchema(c.kind, c.change); err != nil {
			return Entry{}, err
		}
	case e.isForeign(destination):
		e = foreignEntry(c.to)
	default:
		change, err := codec.DecodeChange(c.change, names)
		if err != nil {
			return Entry{}, err
		}
		e.Change = &change
	}
	e.Change.Seq, e.Change.Version = c.seq, c.version
	return e, nil
}

// size is what entry gives in Bytes.
func (c committed) size(destination string) int {
	switch {
	case c.isSchema():
		return schemaBytes(c.change)
	case (Entry{To: c.to}).isForeign(destination):
		return foreignBytes
	}
	return len(c.change)
}

func (c committed) isSchema() bool { return c.kind == kindSchema || c.kind == kindShape }

// isForeign reports whether the entry is not for a destination; "" sees everything.
func (e Entry) isForeign(destination string) bool {
	return destination != "" && e.To != "" && e.To != destination
}

// foreignEntry leaves out the numbers.
func foreignEntry(to string) Entry {
	return Entry{Kind: Foreign, To: to, Change: new(cdc.Change), Bytes: foreignBytes}
}
