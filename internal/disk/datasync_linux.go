package disk

import (
	"os"
	"syscall"
)

// datasync leaves out the flush of the file's times, which costs a second write of
// the file system's log.
func datasync(f *os.File) error { return uninterrupted(f, "fdatasync", syscall.Fdatasync) }

// uninterrupted makes a system call of an open file until no signal comes in between.
func uninterrupted(f *os.File, name string, call func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = conn.Control(func(fd uintptr) {
		for {
			failed = call(int(fd))
			if failed != syscall.EINTR {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	return os.NewSyscallError(name, failed)
}
