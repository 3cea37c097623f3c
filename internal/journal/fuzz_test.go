package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/disk/faultfs"
)

func mustFrames(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// sampleSegment holds a frame of every kind.
func sampleSegment() []byte {
	c := cdc.Change{Op: cdc.Inserted, Resource: "r", RecordID: "1", Data: cdc.Record{"a": "b"}}
	begins := mustFrames(appendBegin(nil, 1, []item{{index: 0, change: &c}, {index: 1, change: &c}}))
	b := append(appendStart(nil, start{carried: 1, first: 7, version: 9}), begins...)
	born := int64(len(b))
	stamp(b, place{segment: 1}, 0)
	own := appendCommit(nil, key{1, 0}, 7, 10, nil)
	own = appendAbort(own, key{1, 1})
	appended := mustFrames(appendAppend(nil, "", []item{{change: &c}, {index: 1, change: &c}}))
	numberAppends(appended, 8, 11)
	own = append(own, appended...)
	appended = mustFrames(appendAppend(nil, "backup", []item{{change: &c}}))
	numberAppends(appended, 10, 13)
	own = append(own, appended...)
	schema := appendSchema(nil, "r", 3, nil)
	numberAppends(schema, 11, 14)
	own = append(own, schema...)
	schema = appendSchema(nil, "r", 4, []byte(`{"Version":4}`))
	numberAppends(schema, 12, 15)
	own = append(own, schema...)
	return append(b, stamp(own, place{1, born}, born)...)
}

func replayAll(tb testing.TB, data []byte) (frames []byte, out []committed, rest rest, err error) {
	tb.Helper()
	fsys := faultfs.New()
	f, err := fsys.OpenFile("x", os.O_CREATE|os.O_RDWR, 0)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := f.WriteAt(data, 0); err != nil {
		tb.Fatal(err)
	}
	s := &scan{file: f, segment: 1, end: int64(len(data))}
	state := replay{pending: map[key]pending{}}
	for {
		h, payload, ok, err := s.next()
		if err != nil {
			tb.Fatal(err)
		}
		if !ok {
			break
		}
		at := len(frames)
		frames = seal(append(reserve(frames), payload...), at, h.kind)
		stamp(frames[at:], place{1, int64(at)}, h.durable)
		if h.kind == kindStart {
			st, err := parseStart(payload)
			if err != nil {
				return frames, out, rest, err
			}
			state.seq, state.version = st.first-1, st.version
			continue
		}
		if out, err = state.apply(h, payload, out); err != nil {
			return frames, out, rest, err
		}
	}
	rest, err = s.examine()
	return frames, out, rest, err
}

func TestSampleSegment(t *testing.T) {
	data := sampleSegment()
	frames, out, rest, err := replayAll(t, data)
	if err != nil || !bytes.Equal(frames, data) || len(out) != 6 || rest.proof != 0 {
		t.Fatal(len(frames), len(data), len(out), rest, err)
	}
	// A frame is valid in one place only.
	if frames, _, _, _ := replayAll(t, append(bytes.Clone(data), data...)); len(frames) != len(data) {
		t.Fatal("frames were found at another offset")
	}
	if _, ok := parseHeader(data, place{segment: 2}); ok {
		t.Fatal("a frame was found in another segment")
	}
	// Later frames prove that the first was durable.
	damaged := bytes.Clone(data)
	damaged[5]++
	if _, _, rest, _ := replayAll(t, damaged); rest.proof == 0 || rest.used == 0 {
		t.Fatal(rest)
	}
}

// FuzzFrames: whatever the bytes, reading ends, and what is taken for a frame is
// exactly what writing that frame gives.
func FuzzFrames(f *testing.F) {
	sample := sampleSegment()
	f.Add(sample)
	f.Add(sample[:len(sample)-9])
	f.Add(append(bytes.Clone(sample), 1, 2, 3))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		frames, _, rest, err := replayAll(t, data)
		if !bytes.HasPrefix(data, frames) {
			t.Fatal("a frame was read that is not there")
		}
		if err == nil && (rest.proof > int64(len(data)) || rest.used > int64(len(data))) {
			t.Fatal(rest)
		}
	})
}

// FuzzPayload: a payload with a right checksum and any content is understood or
// refused.
func FuzzPayload(f *testing.F) {
	sample := sampleSegment()
	for rest := sample; len(rest) > 0; rest = rest[sealedSize(rest):] {
		f.Add(rest[4], rest[headerSize:sealedSize(rest)])
	}
	begins := appendStart(nil, start{first: 7, version: 9, sealing: &sealing{id: "key"}})
	f.Add(byte(kindStart), begins[headerSize:headerSize+int(binary.LittleEndian.Uint32(begins))])
	f.Fuzz(func(t *testing.T, k byte, payload []byte) {
		st, err := parseStart(payload)
		switch {
		case err == nil:
			again := appendStart(nil, st)
			if again = again[headerSize : headerSize+int(binary.LittleEndian.Uint32(again))]; !bytes.Equal(again, payload) {
				t.Fatalf("%x became %x", payload, again)
			}
		case !errors.Is(err, errPayload) && !errors.Is(err, ErrFormat):
			t.Fatal(err)
		}
		r := replay{pending: map[key]pending{{1, 0}: {change: []byte{1}}, {1, 1}: {change: []byte{2}}}, seq: 6, version: 9}
		out, err := r.apply(header{kind: kind(k)}, payload, nil)
		for i, c := range out {
			if c.seq != uint64(7+i) {
				t.Fatal(out)
			}
		}
		for _, c := range out {
			if e, err := c.entry("other", nil); err == nil && (e.Change == nil || e.Change.Seq != c.seq) {
				t.Fatal(e)
			}
		}
		if size := 0; err == nil {
			for _, p := range r.pending {
				size += len(p.change)
			}
			if size > len(payload)+2 {
				t.Fatal("more was read than is there")
			}
		}
	})
}

// FuzzCursor: whatever the content, a cursor is read back as it was written, or
// refused.
func FuzzCursor(f *testing.F) {
	f.Add(Cursor{Low: 3, Ranges: []Range{{5, 6}, {9, 9}}}.encode("backup"))
	f.Add(Cursor{Low: 3, Ranges: []Range{{5, 6}}, Partial: []Part{{4, []string{"a", ""}}}}.encode("backup"))
	f.Add([]byte{0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, content []byte) {
		name, c, err := decodeCursor(content)
		if err != nil {
			return
		}
		if again := c.encode(name); !bytes.Equal(again, content) {
			t.Fatalf("%x became %x", content, again)
		}
	})
}

func TestUndo(t *testing.T) {
	e := func(i int) Entry { return Entry{Bytes: i} }
	// On the disk 1 and 2 are open. Since then 1 was committed, 3 and 4 begun, 4
	// aborted, 2 aborted.
	now := map[key]Entry{{3, 0}: e(3)}
	undo(now, []step{
		{kind: kindCommit, key: key{1, 0}, announced: e(1)},
		{kind: kindBegin, key: key{3, 0}, announced: e(3)},
		{kind: kindBegin, key: key{4, 0}, announced: e(4)},
		{kind: kindAbort, key: key{4, 0}, announced: e(4)},
		{kind: kindAbort, key: key{2, 0}, announced: e(2)},
	})
	if diff := cmp.Diff(map[key]Entry{{1, 0}: e(1), {2, 0}: e(2)}, now, cmp.AllowUnexported(key{})); diff != "" {
		t.Fatal(diff)
	}
}
