package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/s3db-go/replicator/internal/disk"
)

// segment is a file of the journal. A reader needs no other file to understand it,
// so the oldest can be deleted as soon as nobody has to read it.
type segment struct {
	number uint64
	first  uint64 // Seq of the first change that is committed in it
	end    int64  // up to where it holds; for the newest up to where it is durable
	size   int64  // of the file
	// version is the highest before it, which tells the time at which it was begun.
	version uint64
}

const segmentSuffix = ".seg"

func segmentName(number uint64) string { return fmt.Sprintf("%016d%s", number, segmentSuffix) }

// segmentNumber is the inverse of segmentName.
func segmentNumber(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil && n > 0 && segmentName(n) == name
}

// firstSize is the size of a new journal's first segment. Each next one is four
// times as large until SegmentBytes is reached, so that a journal that sees few
// writes is opened at once and takes little room.
const firstSize = 1 << 20

// prepare makes a segment's file: zero-filled and durable, name and size included,
// so that flushing what is later written into it moves no metadata. Without a valid
// start frame it is no part of the journal yet.
func prepare(fsys disk.FS, number uint64, size int64) (disk.File, error) {
	name := segmentName(number)
	// What stands there is what a failed attempt left.
	if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f, err := fsys.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, disk.PrivateFile)
	if err != nil {
		return nil, err
	}
	if err = disk.ZeroFill(f, 0, size); err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = fsys.SyncDir(".")
	}
	if err != nil {
		// What it could write takes room that may be the last.
		return nil, errors.Join(err, f.Close(), fsys.Remove(name))
	}
	return f, nil
}

// filePath is a file's path as a person would look for it.
func filePath(fsys disk.FS, name string) string { return path.Join(fsys.Name(), name) }

// openScan opens a segment to read it up to an offset, or whole with -1.
func openScan(fsys vault, number uint64, end int64) (*scan, error) {
	f, err := fsys.OpenFile(segmentName(number), os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	if end < 0 {
		if end, err = f.Size(); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return &scan{file: f, segment: number, end: end, keys: fsys.keys}, nil
}
