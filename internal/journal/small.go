package journal

import (
	"encoding/binary"
	"fmt"

	"github.com/s3db-go/replicator/internal/disk"
)

// The small files (cursors, the end mark) have one envelope:
//
//	0   8 bytes, what it is
//	8   u32  format version, 1
//	12  u32  CRC-32C of all other bytes
//	16       content
const envelopeSize = 16

func wrap(what string, content []byte) []byte {
	b := append(make([]byte, 0, envelopeSize+len(content)), what...)
	b = binary.LittleEndian.AppendUint32(b, formatVersion)
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = append(b, content...)
	binary.LittleEndian.PutUint32(b[12:], checksum(b))
	return b
}

// unwrap reads a file that wrap made.
func unwrap(fsys disk.FS, name, what, hint string) ([]byte, error) {
	b, err := disk.ReadFile(fsys, name)
	if err != nil {
		return nil, err
	}
	damaged := &CorruptError{File: filePath(fsys, name), Reason: "its checksum is wrong", Hint: hint}
	if len(b) < envelopeSize {
		return nil, damaged
	}
	sum := binary.LittleEndian.Uint32(b[12:])
	clear(b[12:16])
	if string(b[:8]) != what || checksum(b) != sum {
		return nil, damaged
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != formatVersion {
		return nil, fmt.Errorf("%w: %s: version %d, this program writes %d", ErrFormat, filePath(fsys, name), v, formatVersion)
	}
	return b[envelopeSize:], nil
}

// endName is the file that a clean Close writes and the next Open removes before
// anything else is changed. It stands beside the segments and not in them, because a
// mark in a file can't tell that the file was cut off before the mark.
const (
	endName  = "end"
	endMagic = "RPLCEND "
)

// endMark says where the journal ends.
type endMark struct {
	segment uint64
	offset  int64
	seq     uint64
}

func (m endMark) encode() []byte {
	b := binary.LittleEndian.AppendUint64(nil, m.segment)
	b = binary.LittleEndian.AppendUint64(b, uint64(m.offset))
	return wrap(endMagic, binary.LittleEndian.AppendUint64(b, m.seq))
}

func readEnd(fsys disk.FS) (endMark, error) {
	b, err := unwrap(fsys, endName, endMagic, hintEnd)
	if err != nil {
		return endMark{}, err
	}
	if len(b) != 24 {
		return endMark{}, &CorruptError{File: filePath(fsys, endName), Reason: "its length is wrong", Hint: hintEnd}
	}
	return endMark{
		segment: binary.LittleEndian.Uint64(b),
		offset:  int64(binary.LittleEndian.Uint64(b[8:])),
		seq:     binary.LittleEndian.Uint64(b[16:]),
	}, nil
}
