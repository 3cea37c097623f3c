package journal

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/codec"
)

// The payloads. A change stands in them as codec writes it, without Seq and Version.
//
//	start   the first frame of a segment, and of no other place
//	        8 bytes "RPLCJRNL"; u32 format version, 1; u32 number of frames that
//	        follow at once and repeat the announcements that are open here;
//	        u64 Seq of the first change that is committed here;
//	        u64 highest Version before; u64 offset up to which the segment before
//	        holds, 0 if there is none; to the end how the payloads of all other frames
//	        of the segment are encrypted, see encrypt.go
//	begin   u64 ticket; items
//	commit  u64 ticket; u64 Seq; u64 Version; u32 index; to the end a change that
//	        replaces the announced one, or nothing
//	abort   u64 ticket; u32 index
//	append  u64 Seq and u64 Version of the first change, each next one higher by 1;
//	        u32 length and name of the destination that alone gets them, 0 for all;
//	        items
//	schema  u64 Seq; u64 Version; u64 version of the schema; to the end the resource
//	shape   u64 Seq; u64 Version; u64 version of the schema; u32 length and name of the
//	        resource; to the end the schema as JSON
//
//	items   to the end: u32 index, u32 length, the change
//
// An announcement of many changes may take several begin frames with one ticket.
const (
	magic         = "RPLCJRNL"
	formatVersion = 1
)

// key names one announced change.
type key struct {
	ticket Ticket
	index  uint32
}

// start is what a segment says of itself.
type start struct {
	carried     uint32
	first       uint64
	version     uint64
	previousEnd int64
	sealing     *sealing // nil if the segment is not encrypted
}

func appendStart(b []byte, s start) []byte {
	at := len(b)
	b = append(reserve(b), magic...)
	b = binary.LittleEndian.AppendUint32(b, formatVersion)
	b = binary.LittleEndian.AppendUint32(b, s.carried)
	b = binary.LittleEndian.AppendUint64(b, s.first)
	b = binary.LittleEndian.AppendUint64(b, s.version)
	b = binary.LittleEndian.AppendUint64(b, uint64(s.previousEnd))
	return seal(s.sealing.append(b), at, kindStart)
}

func appendCommit(b []byte, k key, seq, version uint64, as []byte) []byte {
	at := len(b)
	b = binary.LittleEndian.AppendUint64(reserve(b), uint64(k.ticket))
	b = binary.LittleEndian.AppendUint64(b, seq)
	b = binary.LittleEndian.AppendUint64(b, version)
	b = binary.LittleEndian.AppendUint32(b, k.index)
	return seal(append(b, as...), at, kindCommit)
}

func appendAbort(b []byte, k key) []byte {
	at := len(b)
	b = binary.LittleEndian.AppendUint64(reserve(b), uint64(k.ticket))
	b = binary.LittleEndian.AppendUint32(b, k.index)
	return seal(b, at, kindAbort)
}

// pieceSize is where an announcement of many changes goes on in a further frame, so
// that a reader holds little more than its largest change at once.
const pieceSize = 1 << 20

// item is a change on its way into a frame.
type item struct {
	index  uint32
	change *cdc.Change
	size   int // encoded, filled in when it is written
}

// appendItems writes the items into as many frames as they need, without their
// checksums: begin frames of a ticket, or append frames for a destination, which lack
// their numbers too.
func appendItems(b []byte, k kind, t Ticket, to string, items []item) ([]byte, error) {
	for i := 0; i < len(items); {
		at := len(b)
		b = reserve(b)
		if k == kindBegin {
			b = binary.LittleEndian.AppendUint64(b, uint64(t))
		} else {
			// The place among the items, until it is replaced by a Seq.
			b = binary.LittleEndian.AppendUint64(b, uint64(i))
			b = binary.LittleEndian.AppendUint64(b, uint64(i))
			b = binary.LittleEndian.AppendUint32(b, uint32(len(to)))
			b = append(b, to...)
		}
		for first := i; i < len(items) && (i == first || len(b)-at < pieceSize); i++ {
			it := &items[i]
			b = binary.LittleEndian.AppendUint32(b, it.index)
			b = binary.LittleEndian.AppendUint32(b, 0)
			from := len(b)
			var err error
			if b, err = appendChange(b, it.change); err != nil {
				return nil, err
			}
			it.size = len(b) - from
			binary.LittleEndian.PutUint32(b[from-4:], uint32(it.size))
		}
		b = delimit(b, at, k)
	}
	return b, nil
}

// appendChange encodes a change, or refuses one that is too large.
func appendChange(b []byte, c *cdc.Change) ([]byte, error) {
	at := len(b)
	b, err := codec.AppendChange(b, c)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	if size := len(b) - at; size > maxChange {
		return nil, tooLarge(c, size)
	}
	return b, nil
}

func tooLarge(c *cdc.Change, size int) error {
	return fmt.Errorf("journal: %s: %d bytes: %w", c.RecordKey(), size, cdc.ErrTooLarge)
}

func appendBegin(b []byte, t Ticket, items []item) ([]byte, error) {
	at := len(b)
	b, err := appendItems(b, kindBegin, t, "", items)
	if err == nil {
		sum(b[at:])
	}
	return b, err
}

// appendAppend leaves out the numbers and the checksum; numberAppends fills them in.
func appendAppend(b []byte, to string, items []item) ([]byte, error) {
	return appendItems(b, kindAppend, 0, to, items)
}

// appendSchema leaves out what appendAppend does. Without a definition, the schema as
// JSON, the frame has only the version.
func appendSchema(b []byte, resource string, version int, definition []byte) []byte {
	at := len(b)
	b = append(reserve(b), make([]byte, 16)...)
	b = binary.LittleEndian.AppendUint64(b, uint64(version))
	if definition == nil {
		return delimit(append(b, resource...), at, kindSchema)
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(resource)))
	return delimit(append(append(b, resource...), definition...), at, kindShape)
}

// parseSchema reads what appendSchema wrote, behind the numbers.
func parseSchema(k kind, b []byte) (resource string, version int, definition []byte, err error) {
	if len(b) < 8 {
		return "", 0, nil, errPayload
	}
	version, b = int(binary.LittleEndian.Uint64(b)), b[8:]
	if k == kindSchema {
		return string(b), version, nil, nil
	}
	if len(b) < 4 || uint64(binary.LittleEndian.Uint32(b)) > uint64(len(b)-4) {
		return "", 0, nil, errPayload
	}
	end := 4 + int(binary.LittleEndian.Uint32(b))
	return string(b[4:end]), version, b[end:], nil
}

// numberAppends adds the Seq and Version of the first item to the numbers in the
// append, schema or shape frames that b consists of, which have no checksum yet: stamp adds
// it, since the caller of this holds up everybody.
func numberAppends(b []byte, seq, version uint64) {
	for len(b) > 0 {
		size := sealedSize(b)
		payload := b[headerSize:size]
		binary.LittleEndian.PutUint64(payload, binary.LittleEndian.Uint64(payload)+seq)
		binary.LittleEndian.PutUint64(payload[8:], binary.LittleEndian.Uint64(payload[8:])+version)
		b = b[size:]
	}
}

// errPayload: the checksum is right and the content is not.
var errPayload = errors.New("the frame's content makes no sense")

// parseStart reads the payload of a start frame. It looks at the format version
// before anything that another version may have changed.
func parseStart(b []byte) (start, error) {
	if len(b) < len(magic)+4 || string(b[:len(magic)]) != magic {
		return start{}, errPayload
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != formatVersion {
		return start{}, fmt.Errorf("%w: version %d, this program writes %d", ErrFormat, v, formatVersion)
	}
	if len(b) < 44 {
		return start{}, errPayload
	}
	s := start{
		carried:     binary.LittleEndian.Uint32(b[12:]),
		first:       binary.LittleEndian.Uint64(b[16:]),
		version:     binary.LittleEndian.Uint64(b[24:]),
		previousEnd: int64(binary.LittleEndian.Uint64(b[32:])),
	}
	var err error
	if s.sealing, b, err = parseSealing(b[40:]); err != nil {
		return start{}, err
	}
	if s.first == 0 || s.previousEnd < 0 || len(b) > 0 {
		return start{}, errPayload
	}
	return s, nil
}

// parseEnd gives what a commit or abort frame ends.
func parseEnd(k kind, b []byte) (key, error) {
	switch {
	case k == kindCommit && len(b) >= 28:
		return key{Ticket(binary.LittleEndian.Uint64(b)), binary.LittleEndian.Uint32(b[24:])}, nil
	case k == kindAbort && len(b) == 12:
		return key{Ticket(binary.LittleEndian.Uint64(b)), binary.LittleEndian.Uint32(b[8:])}, nil
	}
	return key{}, errPayload
}

// parseItems calls fn for every item of a begin or append frame.
func parseItems(b []byte, fn func(index uint32, change []byte)) error {
	for len(b) > 0 {
		if len(b) < 8 {
			return errPayload
		}
		index, length := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
		b = b[8:]
		if uint64(length) > uint64(len(b)) {
			return errPayload
		}
		fn(index, b[:length])
		b = b[length:]
	}
	return nil
}
