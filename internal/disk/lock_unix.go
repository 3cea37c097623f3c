//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package disk

import (
	"os"
	"syscall"
)

// lock takes the whole file without waiting. It belongs to the opened file, so a
// second opening in the same process is refused too.
func lock(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = conn.Control(func(fd uintptr) {
		failed = syscall.Flock(int(fd), syscall.LOCK_EX|syscall.LOCK_NB)
	})
	switch {
	case err != nil:
		return err
	case failed == syscall.EWOULDBLOCK:
		return ErrLocked
	}
	return os.NewSyscallError("flock", failed)
}
