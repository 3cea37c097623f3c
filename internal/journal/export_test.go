package journal

import (
	"encoding/binary"
	"os"
	"testing"

	"github.com/s3db-go/replicator/internal/disk"
)

// Newest gives the newest segment's file and where it ends.
func Newest(t *testing.T, fsys disk.FS, e Encryption) (name string, end int) {
	t.Helper()
	found, err := inspect(vault{fsys, e})
	if err != nil {
		t.Fatal(err)
	}
	s := found.segments[len(found.segments)-1]
	return segmentName(s.number), int(s.end)
}

// Modernize changes a closed journal into what a newer version could have written:
// the newest segment's format version, the kind of its last frame, or the version of
// a small file. The checksums are right.
func Modernize(t *testing.T, fsys disk.FS, what string) {
	t.Helper()
	found, err := inspect(vault{FS: fsys})
	if err != nil {
		t.Fatal(err)
	}
	newest := found.segments[len(found.segments)-1]
	name := segmentName(newest.number)
	if what != "segment" && what != "kind" {
		name = what
	}
	b, err := disk.ReadFile(fsys, name)
	if err != nil {
		t.Fatal(err)
	}
	switch what {
	case "segment":
		binary.LittleEndian.PutUint32(b[headerSize+8:], formatVersion+1)
		binary.LittleEndian.PutUint32(b[32:], checksum(b[headerSize:sealedSize(b)]))
		binary.LittleEndian.PutUint32(b[36:], checksum(b[:36]))
	case "kind":
		at := int64(0)
		for at+sealedSize(b[at:]) < newest.end {
			at += sealedSize(b[at:])
		}
		b[at+4] = 99
		binary.LittleEndian.PutUint32(b[at+36:], checksum(b[at:at+36]))
	default:
		binary.LittleEndian.PutUint32(b[8:], formatVersion+1)
		clear(b[12:16])
		binary.LittleEndian.PutUint32(b[12:], checksum(b))
	}
	f, err := fsys.OpenFile(name, os.O_RDWR, 0)
	if err == nil {
		_, err = f.WriteAt(b, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Salts gives the salts of the encrypted segments and, for every frame that is written
// under one, where it stands, from what is written at an offset.
func Salts(b []byte, offset int64, salt []byte, frame func(salt string, offset int64, content []byte)) (next []byte) {
	for len(b) >= headerSize && binary.LittleEndian.Uint32(b) > 0 {
		size := min(sealedSize(b), int64(len(b)))
		if kind(b[4]) == kindStart {
			salt = b[headerSize+44:][:saltSize]
		} else {
			frame(string(salt), offset, b[headerSize:size])
		}
		offset += size
		b = b[size:]
	}
	return salt
}

// AwaitSpare waits until the next segment's file is made. The writer must be idle.
func AwaitSpare(d *Disk) {
	s := <-d.writer.spare
	ready := make(chan spare, 1)
	ready <- s
	d.writer.spare = ready
}
