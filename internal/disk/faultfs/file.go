package faultfs

import (
	"io"
	"io/fs"

	"github.com/s3db-go/replicator/internal/disk"
)

// file is an open file. The FS's mutex guards its node.
type file struct {
	fs   *FS
	name string
	node *node
}

var _ disk.File = (*file)(nil)

func (f *file) Close() error { return nil }

func (f *file) Size() (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	err := f.fs.step("stat", f.name)
	return int64(len(f.node.data)), err
}

func (f *file) ReadAt(b []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.step("read", f.name); err != nil {
		return 0, err
	}
	if off >= int64(len(f.node.data)) {
		return 0, io.EOF
	}
	n := copy(b, f.node.data[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *file) WriteAt(b []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if off < 0 {
		return 0, &fs.PathError{Op: "write", Path: f.name, Err: fs.ErrInvalid}
	}
	err := f.fs.step("write", f.name)
	if err == nil {
		err = f.fs.grow("write", f, int(off)+len(b))
	}
	if err != nil {
		// A write that is cut short leaves some of its bytes.
		b = b[:len(b)/2]
	}
	f.node.write(b, int(off))
	return len(b), err
}

func (f *file) Truncate(size int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.step("truncate", f.name); err != nil {
		return err
	}
	if err := f.fs.grow("truncate", f, int(size)); err != nil {
		return err
	}
	f.node.truncate(int(size))
	return nil
}

func (f *file) Datasync() error { return f.flush("fdatasync") }
func (f *file) Sync() error     { return f.flush("fsync") }

func (f *file) flush(op string) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	err := f.fs.step(op, f.name)
	if err == nil && f.fs.flush > 0 {
		if f.fs.flush--; f.fs.flush == 0 {
			err = &fs.PathError{Op: op, Path: f.name, Err: ErrInjected}
		}
	}
	if err == nil {
		f.node.flush()
	}
	if !f.fs.crashed {
		clear(f.node.dirty)
		f.node.sized = false
	}
	return err
}

func (n *node) write(b []byte, off int) {
	if off+len(b) > len(n.data) {
		n.truncate(off + len(b))
	}
	copy(n.data[off:], b)
	n.touch(off, off+len(b))
}

func (n *node) truncate(size int) {
	n.touch(min(size, len(n.data)), max(size, len(n.data)))
	n.data = resize(n.data, size)
	n.sized = true
}

// touch marks the pages from one offset up to another as written.
func (n *node) touch(from, to int) {
	if n.dirty == nil {
		n.dirty = map[int]bool{}
	}
	for page := from / pageSize; page*pageSize < to; page++ {
		n.dirty[page] = true
	}
}

// flush copies the dirty pages to the disk.
func (n *node) flush() {
	if n.sized {
		n.disk = resize(n.disk, len(n.data))
	}
	for page := range n.dirty {
		at := page * pageSize
		if at < min(len(n.data), len(n.disk)) {
			copy(n.disk[at:], n.data[at:min(at+pageSize, len(n.data))])
		}
	}
}
