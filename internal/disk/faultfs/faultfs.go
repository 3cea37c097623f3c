// Package faultfs is a file system in memory that fails or loses power at the n-th
// operation, for tests of what is built on package disk.
//
// It keeps apart what a reader sees and what a loss of power would leave. A file's
// pages of 4 KiB become durable by its Sync, the names in a directory by SyncDir.
// What was not flushed survives a crash as far as a seed decides: any subset of
// the pages, and any prefix of the changes to names (file systems log those in
// order). A flush that fails is as treacherous as on Linux: the pages count as
// clean afterwards, so that flushing again succeeds without making them durable. A
// process that is killed loses none of that: the next one finds what was written, and the
// machine may still lose it.
package faultfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/s3db-go/replicator/internal/disk"
)

const pageSize = 4096

// ErrCrashed is what every operation gives after the power was lost.
var ErrCrashed = errors.New("faultfs: power lost")

// ErrInjected is the failure of an operation that was chosen to fail.
var ErrInjected = errors.New("faultfs: injected failure")

// FS is the file system. Every operation of it and of its files counts, except
// Name, Close and Lock.
type FS struct {
	mu       sync.Mutex // guards everything below, files included
	names    map[string]*node
	durable  map[string]*node
	unsynced []change // changes of names since their directory was flushed
	ops      int
	failFrom int
	failTo   int
	flush    int // which flush from now on fails, counted from 1; 0 for none
	crashAt  int
	crashed  bool
	locked   map[string]bool
	capacity int // in bytes, 0 if it has no bound
}

var _ disk.FS = (*FS)(nil)

// node is a file or a directory. dirty holds the pages written since the last
// flush, whether that flush succeeded or not.
type node struct {
	dir   bool
	data  []byte
	disk  []byte
	dirty map[int]bool
	sized bool // the length was changed since the last flush
}

// change is an entry of the log of names: name refers to node from now on, or to
// nothing.
type change struct {
	names []string
	nodes []*node
}

// New gives an empty file system.
func New() *FS {
	root := map[string]*node{".": {dir: true}}
	return &FS{names: root, durable: maps.Clone(root), locked: map[string]bool{}}
}

// Fail makes the operations from the first to the last, counted from now and from
// 1, fail without an effect, except that a write leaves its first half.
func (f *FS) Fail(first, last int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failFrom, f.failTo = f.ops+first, f.ops+last
}

// FailFlush makes the n-th flush of a file from now on fail, counted from 1.
func (f *FS) FailFlush(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.flush = n
}

// CrashAt cuts the power at the n-th operation from now, counted from 1: it and all
// that follow give ErrCrashed.
func (f *FS) CrashAt(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.crashAt = f.ops + n
}

// Bound makes the file system so many bytes large, 0 for no bound; what is in it
// already stays. A write or a Truncate that would need more gives syscall.ENOSPC,
// the write after its first half. Neither Free nor the names of files count.
func (f *FS) Bound(capacity int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.capacity = capacity
}

// Fill bounds the file system to what is in it and so many bytes more.
func (f *FS) Fill(room int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.capacity = max(f.used()+room, 1)
}

// Free is what is left of the bound.
func (f *FS) Free() (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.capacity == 0 {
		return 0, errors.ErrUnsupported
	}
	return int64(max(f.capacity-f.used(), 0)), nil
}

// used is the sum of the files' lengths. The caller holds mu.
func (f *FS) used() int {
	sum := 0
	for _, n := range f.names {
		sum += len(n.data)
	}
	return sum
}

// grow tells whether a file may become so long. The caller holds mu.
func (f *FS) grow(op string, file *file, length int) error {
	if more := length - len(file.node.data); f.capacity > 0 && more > 0 && f.used()+more > f.capacity {
		return &fs.PathError{Op: op, Path: file.name, Err: syscall.ENOSPC}
	}
	return nil
}

// Ops is how many operations there were.
func (f *FS) Ops() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ops
}

// Crashed tells whether the power is lost.
func (f *FS) Crashed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.crashed
}

// step counts an operation and tells its fate. The caller holds mu.
func (f *FS) step(op, name string) error {
	f.ops++
	if f.ops == f.crashAt {
		f.crashed = true
	}
	switch {
	case f.crashed:
		return &fs.PathError{Op: op, Path: name, Err: ErrCrashed}
	case f.ops >= f.failFrom && f.ops <= f.failTo:
		return &fs.PathError{Op: op, Path: name, Err: ErrInjected}
	}
	return nil
}

// log changes names now, and on the disk when their directory is flushed. The
// caller holds mu.
func (f *FS) log(c change) {
	c.apply(f.names)
	f.unsynced = append(f.unsynced, c)
}

// Name gives "memory".
func (f *FS) Name() string { return "memory" }

// Close does nothing.
func (f *FS) Close() error { return nil }

// OpenFile opens or makes a file.
func (f *FS) OpenFile(name string, flag int, _ fs.FileMode) (disk.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.step("open", name); err != nil {
		return nil, err
	}
	n := f.names[name]
	switch {
	case n == nil && flag&os.O_CREATE == 0:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	case n != nil && flag&os.O_EXCL != 0:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrExist}
	case n != nil && n.dir:
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("is a directory")}
	case n == nil:
		if p := f.names[path.Dir(name)]; p == nil || !p.dir {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
		n = &node{dirty: map[int]bool{}}
		f.log(change{[]string{name}, []*node{n}})
	case flag&os.O_TRUNC != 0:
		n.truncate(0)
	}
	return &file{fs: f, name: name, node: n}, nil
}

// ReadDir lists a directory.
func (f *FS) ReadDir(name string) ([]fs.DirEntry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.step("readdir", name); err != nil {
		return nil, err
	}
	if n := f.names[name]; n == nil || !n.dir {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrNotExist}
	}
	var out []fs.DirEntry
	for _, p := range slices.Sorted(maps.Keys(f.names)) {
		if p != "." && path.Dir(p) == name {
			n := f.names[p]
			out = append(out, fs.FileInfoToDirEntry(info{path.Base(p), int64(len(n.data)), n.dir}))
		}
	}
	return out, nil
}

// Mkdir makes a directory.
func (f *FS) Mkdir(name string, _ fs.FileMode) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.step("mkdir", name); err != nil {
		return err
	}
	if f.names[name] != nil {
		return &fs.PathError{Op: "mkdir", Path: name, Err: fs.ErrExist}
	}
	if f.names[path.Dir(name)] == nil {
		return &fs.PathError{Op: "mkdir", Path: name, Err: fs.ErrNotExist}
	}
	f.log(change{[]string{name}, []*node{{dir: true}}})
	return nil
}

// Rename moves a file.
func (f *FS) Rename(from, to string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.step("rename", from); err != nil {
		return err
	}
	n := f.names[from]
	if n == nil || n.dir {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	f.log(change{[]string{from, to}, []*node{nil, n}})
	return nil
}

// Remove deletes a file or an empty directory.
func (f *FS) Remove(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.step("remove", name); err != nil {
		return err
	}
	if f.names[name] == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	for p := range f.names {
		if p != "." && path.Dir(p) == name {
			return &fs.PathError{Op: "remove", Path: name, Err: errors.New("directory not empty")}
		}
	}
	f.log(change{[]string{name}, []*node{nil}})
	return nil
}

// SyncDir makes the names in a directory durable.
func (f *FS) SyncDir(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.step("syncdir", name); err != nil {
		return err
	}
	var later []change
	for _, c := range f.unsynced {
		if slices.ContainsFunc(c.names, func(p string) bool { return path.Dir(p) == name }) {
			c.apply(f.durable)
		} else {
			later = append(later, c)
		}
	}
	f.unsynced = later
	return nil
}

// Lock takes a name.
func (f *FS) Lock(name string) (io.Closer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.locked[name] {
		return nil, fmt.Errorf("directory %s: %w", f.Name(), disk.ErrLocked)
	}
	f.locked[name] = true
	return unlock{f, name}, nil
}

type unlock struct {
	fs   *FS
	name string
}

func (u unlock) Close() error {
	u.fs.mu.Lock()
	defer u.fs.mu.Unlock()
	delete(u.fs.locked, u.name)
	return nil
}

type info struct {
	name string
	size int64
	dir  bool
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) IsDir() bool        { return i.dir }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) Sys() any           { return nil }
func (i info) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | disk.PrivateDir
	}
	return disk.PrivateFile
}
