package codec

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/s3db-go/replicator/cdc"
)

// DecodeChange reads what [AppendChange] wrote; b must hold that and nothing
// else. The result shares no memory with b. Names are taken from in, which may be
// nil. An error says what is wrong and at which byte; it quotes none of the
// content.
//
// Short strings of a record share memory with one another: who keeps one of them for
// long keeps some more. RecordID is none of them, nor are names.
func DecodeChange(b []byte, in *Interner) (c cdc.Change, err error) {
	d := decoder{b: b, in: in}
	d.change(&c)
	if err := d.finish(); err != nil {
		return cdc.Change{}, fmt.Errorf("codec: change: %w", err)
	}
	return c, nil
}

// decoder reads from b. The first fault is kept; from then on every method gives
// a zero value and consumes nothing.
type decoder struct {
	b       []byte
	off     int // of the next byte
	claimed int // bytes that the elements of all arrays and maps so far need at least
	in      *Interner
	err     error
}

func (d *decoder) change(c *cdc.Change) {
	d.expect(changeV1)
	if c.Op = cdc.Op(d.byte()); !c.Op.Single() {
		d.fail("unknown operation")
	}
	if c.Origin = cdc.Origin(d.byte()); c.Origin > cdc.Replayed {
		d.fail("unknown origin")
	}
	copy(c.ChangeID[:], d.take(uint64(len(c.ChangeID))))
	c.Seq = d.uvarint()
	c.Version = d.uvarint()
	c.Time = d.time()
	version := d.varint()
	if c.SchemaVersion = int(version); int64(c.SchemaVersion) != version {
		d.fail("schema version out of range")
	}
	c.Resource = d.in.name(d.text())
	c.RecordID = string(d.text())
	c.Trace = string(d.text())
	c.Data = d.fields(0)
	c.Before = d.fields(0)
}

// fields takes the depth of the values, as appendFields does.
func (d *decoder) fields(depth int) map[string]any {
	n, ok := d.count(2) // a name's length and a tag
	if !ok {
		return nil
	}
	m := make(map[string]any, n)
	var some strings
	for range n {
		name := d.in.name(d.text())
		if d.next(tagString) {
			some.put(m, name, d.text())
		} else {
			m[name] = d.value(depth)
		}
		if d.err != nil {
			return nil
		}
	}
	some.flush(m)
	if len(m) != n {
		d.fail("a name occurs twice")
	}
	return m
}

func (d *decoder) value(depth int) any {
	if depth > cdc.MaxDepth {
		d.fail(errTooDeep.Error())
	}
	switch tag := d.byte(); tag {
	case tagNil:
		return nil
	case tagFalse:
		return false
	case tagTrue:
		return true
	case tagInt:
		return d.varint()
	case tagFloat:
		if b := d.take(8); b != nil {
			return math.Float64frombits(binary.LittleEndian.Uint64(b))
		}
	case tagDecimal:
		return d.decimal()
	case tagString:
		return string(d.text())
	case tagBytes:
		n, ok := d.count(1)
		if !ok {
			return []byte(nil)
		}
		return append(make([]byte, 0, n), d.take(uint64(n))...)
	case tagTime:
		return d.time()
	case tagArray:
		return d.array(depth + 1)
	case tagMap:
		return d.fields(depth + 1)
	default:
		d.fail(fmt.Sprintf("unknown tag %#02x", tag))
	}
	return nil
}

func (d *decoder) array(depth int) []any {
	n, ok := d.count(1) // a tag
	if !ok {
		return nil
	}
	out := make([]any, n)
	for i := range out {
		if out[i] = d.value(depth); d.err != nil {
			return nil
		}
	}
	return out
}

func (d *decoder) decimal() cdc.Decimal {
	text := d.text()
	// An exponent is never written, and would let eight bytes ask for a hundred
	// thousand digits.
	if bytes.ContainsAny(text, "eE") {
		d.fail("malformed decimal")
		return cdc.Decimal{}
	}
	v, err := cdc.ParseDecimal(string(text))
	if err != nil || v.String() != string(text) {
		d.fail("malformed decimal")
	}
	return v
}

func (d *decoder) time() time.Time {
	sec, micro := d.varint(), d.uvarint()
	if micro >= 1e6 {
		d.fail("malformed time")
		return time.Time{}
	}
	return time.Unix(sec, int64(micro)*1000).UTC()
}

func (d *decoder) text() []byte { return d.take(d.uvarint()) }

// next reports whether the next byte is this one, and steps over it.
func (d *decoder) next(b byte) bool {
	if d.err != nil || d.off == len(d.b) || d.b[d.off] != b {
		return false
	}
	d.off++
	return true
}

// count reads the number of elements, each of which takes at least size bytes; not
// ok is nil. All elements of the input together can't need more than the input,
// so nothing that nested claims ask for adds up to more than a multiple of it.
func (d *decoder) count(size int) (n int, ok bool) {
	u := d.uvarint()
	if u == 0 {
		return 0, false
	}
	u--
	if u > uint64(len(d.b)-d.claimed)/uint64(size) {
		d.fail("more elements than bytes")
		return 0, false
	}
	d.claimed += int(u) * size
	return int(u), true
}

func (d *decoder) uvarint() uint64 {
	if d.err != nil {
		return 0
	}
	if d.off < len(d.b) && d.b[d.off] < 0x80 { // as most are
		d.off++
		return uint64(d.b[d.off-1])
	}
	x, n := binary.Uvarint(d.b[d.off:])
	if n <= 0 {
		d.fail("malformed number")
		return 0
	}
	d.off += n
	return x
}

func (d *decoder) varint() int64 {
	u := d.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

func (d *decoder) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

// take gives the next n bytes of the input, nil if there are not so many.
func (d *decoder) take(n uint64) []byte {
	if d.err != nil {
		return nil
	}
	if n > uint64(len(d.b)-d.off) {
		d.fail("ends too early")
		return nil
	}
	b := d.b[d.off : d.off+int(n)]
	d.off += int(n)
	return b
}

func (d *decoder) expect(first byte) {
	if got := d.byte(); d.err == nil && got != first {
		d.fail(fmt.Sprintf("unknown form %#02x", got))
	}
}

func (d *decoder) finish() error {
	if d.off != len(d.b) {
		d.fail(fmt.Sprintf("%d bytes left over", len(d.b)-d.off))
	}
	return d.err
}

func (d *decoder) fail(reason string) {
	if d.err == nil {
		d.err = fmt.Errorf("byte %d: %s", d.off, reason)
	}
}
