package journal

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/s3db-go/replicator/internal/disk"
)

// The small files (cursors, the end mark) have one envelope:
//
//	0   8 bytes, what it is
//	8   u32  format version, 1
//	12  u32  CRC-32C of all other bytes
//	16       how the content is encrypted, see encrypt.go: at least 4 bytes
//	         content
const envelopeSize = 20

func (v vault) wrap(what string, content []byte) ([]byte, error) {
	s, err := v.newSealing()
	if err != nil {
		return nil, err
	}
	b := append(make([]byte, 0, envelopeSize+len(content)), what...)
	b = binary.LittleEndian.AppendUint32(b, formatVersion)
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = s.file(s.append(b), what, content)
	binary.LittleEndian.PutUint32(b[12:], checksum(b))
	return b, nil
}

// unwrap reads a file that wrap made.
func (v vault) unwrap(name, what, hint string) ([]byte, error) {
	b, err := disk.ReadFile(v, name)
	if err != nil {
		return nil, err
	}
	damaged := func(reason string) error {
		return &CorruptError{File: filePath(v, name), Reason: reason, Hint: hint}
	}
	if len(b) < envelopeSize {
		return nil, damaged("it is too short")
	}
	sum := binary.LittleEndian.Uint32(b[12:])
	clear(b[12:16])
	if string(b[:8]) != what || checksum(b) != sum {
		return nil, damaged("its checksum is wrong")
	}
	if version := binary.LittleEndian.Uint32(b[8:]); version != formatVersion {
		return nil, fmt.Errorf("%w: %s: version %d, this program writes %d", ErrFormat, filePath(v, name), version, formatVersion)
	}
	s, sealed, err := parseSealing(b[16:])
	if err == nil {
		err = s.open(v.keys)
	}
	switch {
	case errors.Is(err, errPayload):
		return nil, damaged(err.Error())
	case err != nil:
		return nil, fmt.Errorf("%w (%s)", err, filePath(v, name))
	}
	content, err := s.content(what, sealed)
	if err != nil {
		return nil, damaged(err.Error())
	}
	return content, nil
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
	return binary.LittleEndian.AppendUint64(b, m.seq)
}

func readEnd(fsys vault) (endMark, error) {
	b, err := fsys.unwrap(endName, endMagic, hintEnd)
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
