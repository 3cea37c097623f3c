package journal

import (
	"encoding/binary"
	"hash/crc32"
)

// A segment is a sequence of frames, each at a multiple of 8 bytes, then zeroes. All
// numbers are little endian.
//
//	 0  u32  length of the payload, without its padding
//	 4  u8   kind, three bytes of zero
//	 8  u64  place: number of the segment
//	16  u64  place: offset of this frame in the segment
//	24  u64  the offset up to which the segment was durable when this was written
//	32  u32  CRC-32C of the payload and its padding
//	36  u32  CRC-32C of the 36 bytes before
//	40       payload, padded with zeroes to a multiple of 8
//
// The place makes a frame valid in one place only: neither a copy elsewhere nor what
// is left from a former use of the disk is taken for one. The durable offset lets
// recovery tell a torn tail from damage. The payload has a checksum of its own so
// that callers compute it on their own time, if they know it whole: a number that is given
// under the lock leaves it to the writer, who alone knows the place, and adds that of the
// header.
const (
	headerSize = 40
	alignment  = 8

	// maxChange is the largest change that is journaled, encoded.
	maxChange = 32 << 20
	// maxPayload is a frame that holds one such change and what goes with it, names
	// and all. A
	// length above it is damage, so that no reader trusts it with memory.
	maxPayload = maxChange + maxName + 256 + tagSize
)

// kind says what a frame holds; see payload.go.
type kind uint8

const (
	kindStart kind = iota + 1
	kindBegin
	kindCommit
	kindAbort
	kindAppend
	kindSchema
	kindShape
)

// place is where a frame stands.
type place struct {
	segment uint64
	offset  int64
}

// header is a frame's header, as read.
type header struct {
	at      int64 // where it stands in the segment
	kind    kind
	length  int
	durable int64
	sum     uint32
}

// size is what the whole frame takes in the file.
func (h header) size() int64 { return frameSize(h.length) }

func frameSize(payload int) int64 { return int64(headerSize + pad(payload)) }

func pad(n int) int { return (n + alignment - 1) &^ (alignment - 1) }

// reserve appends room for a header; what is appended next is the payload.
func reserve(b []byte) []byte { return append(b, make([]byte, headerSize)...) }

// seal ends the frame that was reserved at start: it pads the payload and fills in
// what does not depend on the place.
func seal(b []byte, start int, k kind) []byte {
	b = delimit(b, start, k)
	sum(b[start:])
	return b
}

// delimit does what seal does but for the checksum, if the payload is not complete
// yet.
func delimit(b []byte, start int, k kind) []byte {
	length := len(b) - start - headerSize
	b = append(b, make([]byte, pad(length)-length)...)
	binary.LittleEndian.PutUint32(b[start:], uint32(length))
	b[start+4] = byte(k)
	return b
}

// sum gives every frame in b the checksum of its payload.
func sum(b []byte) {
	for len(b) > 0 {
		size := sealedSize(b)
		binary.LittleEndian.PutUint32(b[32:], checksum(b[headerSize:size]))
		b = b[size:]
	}
}

// sealedSize is the size of the sealed frame that b begins with.
func sealedSize(b []byte) int64 { return frameSize(int(binary.LittleEndian.Uint32(b))) }

// stamp gives every frame in b, which stands at p, its place, and the checksum that it may
// lack, and returns b.
func stamp(b []byte, p place, durable int64) []byte {
	for rest := b; len(rest) > 0; {
		size := sealedSize(rest)
		if binary.LittleEndian.Uint32(rest[32:]) == 0 {
			sum(rest[:size])
		}
		binary.LittleEndian.PutUint64(rest[8:], p.segment)
		binary.LittleEndian.PutUint64(rest[16:], uint64(p.offset))
		binary.LittleEndian.PutUint64(rest[24:], uint64(durable))
		binary.LittleEndian.PutUint32(rest[36:], checksum(rest[:36]))
		p.offset += size
		rest = rest[size:]
	}
	return b
}

// parseHeader reads a header at p, and reports whether there is a valid one.
func parseHeader(b []byte, p place) (header, bool) {
	if len(b) < headerSize || binary.LittleEndian.Uint64(b[16:]) != uint64(p.offset) {
		return header{}, false
	}
	length := binary.LittleEndian.Uint32(b)
	durable := binary.LittleEndian.Uint64(b[24:])
	if binary.LittleEndian.Uint64(b[8:]) != p.segment ||
		binary.LittleEndian.Uint32(b[36:]) != checksum(b[:36]) ||
		length > maxPayload || durable > uint64(p.offset) {
		return header{}, false
	}
	return header{
		at:      p.offset,
		kind:    kind(b[4]),
		length:  int(length),
		durable: int64(durable),
		sum:     binary.LittleEndian.Uint32(b[32:]),
	}, true
}

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// castagnoli is the polynomial that processors have an instruction for.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)
