//go:build !arm

package disk

import (
	"errors"
	"os"
	"syscall"
)

// allocate gets the blocks at once: many small steps of the file system's log would
// delay the flushes of other files. It is a favour: where there is no such call the
// writes get them. That there is no room is said before anything is written.
func allocate(f *os.File, from, to int64) error {
	err := uninterrupted(f, "fallocate", func(fd int) error { return syscall.Fallocate(fd, 0, from, to-from) })
	if IsFull(err) {
		return err
	}
	return nil
}

// writeOut waits until a part of a file is on its way to the disk no more. It is not
// durable by that: neither the file system's log nor the drive's cache is flushed,
// which flushes of other files would have to wait for.
func writeOut(f *os.File, from, to int64) error {
	const waitBefore, write, waitAfter = 1, 2, 4
	err := uninterrupted(f, "sync_file_range", func(fd int) error {
		return syscall.SyncFileRange(fd, from, to-from, waitBefore|write|waitAfter)
	})
	if errors.Is(err, syscall.ENOSYS) { // some sandboxes
		return datasync(f)
	}
	return err
}
