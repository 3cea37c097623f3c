package whole

import (
	"errors"
	"io/fs"
	"strings"
	"time"

	"github.com/s3db-go/replicator/internal/disk"
	"github.com/s3db-go/replicator/internal/disk/faultfs"
)

// disc is the disk as one process sees it: what is done to the journal's segments takes
// time, and when the power is lost the process dies.
type disc struct {
	*faultfs.FS
	p *process
}

// slowest is how long an operation of a good disk takes at most.
const slowest = 4 * time.Millisecond

// segments is how the names of the journal's segments end.
const segments = ".seg"

// within does an operation on a file. Of flushes it is known when they fail.
func (d *disc) within(name string, flushes bool, operation func() error) error {
	if strings.HasSuffix(name, segments) {
		r := d.p.w.draw("disk " + name)
		time.Sleep(time.Duration(r.Int64N(int64(slowest))))
	}
	err := operation()
	if flushes && errors.Is(err, faultfs.ErrInjected) {
		d.p.afterFlush()
	}
	if errors.Is(err, faultfs.ErrCrashed) {
		d.p.die(d.p.end.how.String()+" in an operation of the disk", d.p.end.how)
	}
	return err
}

func (d *disc) OpenFile(name string, flag int, perm fs.FileMode) (f disk.File, err error) {
	err = d.within("", false, func() error { f, err = d.FS.OpenFile(name, flag, perm); return err })
	if err != nil {
		return nil, err
	}
	return &discFile{f, name, d}, nil
}

func (d *disc) ReadDir(name string) (entries []fs.DirEntry, err error) {
	err = d.within("", false, func() error { entries, err = d.FS.ReadDir(name); return err })
	return entries, err
}

func (d *disc) Mkdir(name string, perm fs.FileMode) error {
	return d.within("", false, func() error { return d.FS.Mkdir(name, perm) })
}

func (d *disc) Rename(from, to string) error {
	return d.within("", false, func() error { return d.FS.Rename(from, to) })
}

func (d *disc) Remove(name string) error {
	return d.within("", false, func() error { return d.FS.Remove(name) })
}

func (d *disc) SyncDir(name string) error {
	return d.within("", false, func() error { return d.FS.SyncDir(name) })
}

type discFile struct {
	disk.File
	name string
	d    *disc
}

func (f *discFile) WriteAt(b []byte, off int64) (n int, err error) {
	err = f.d.within(f.name, false, func() error { n, err = f.File.WriteAt(b, off); return err })
	return n, err
}

func (f *discFile) Size() (n int64, err error) {
	err = f.d.within("", false, func() error { n, err = f.File.Size(); return err })
	return n, err
}

func (f *discFile) ReadAt(b []byte, off int64) (n int, err error) {
	// At once, for a reader may hold what others wait for.
	err = f.d.within("", false, func() error { n, err = f.File.ReadAt(b, off); return err })
	return n, err
}

func (f *discFile) Truncate(size int64) error {
	return f.d.within("", false, func() error { return f.File.Truncate(size) })
}

func (f *discFile) Datasync() error {
	began := time.Now()
	err := f.d.within(f.name, true, func() error { return f.File.Datasync() })
	if strings.HasSuffix(f.name, segments) {
		f.d.p.flushed(began, err)
	}
	return err
}

func (f *discFile) Sync() error {
	return f.d.within(f.name, true, func() error { return f.File.Sync() })
}
