package disk

import (
	"os"
	"syscall"
	"unsafe"
)

// lock takes the file's first byte without waiting.
func lock(f *os.File) error {
	const (
		failImmediately = 1
		exclusive       = 2
		errLockViolated = syscall.Errno(33)
	)
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	lockFileEx := syscall.NewLazyDLL("kernel32.dll").NewProc("LockFileEx")
	var failed error
	err = conn.Control(func(fd uintptr) {
		ok, _, errno := lockFileEx.Call(fd, exclusive|failImmediately, 0, 1, 0,
			uintptr(unsafe.Pointer(new(syscall.Overlapped))))
		if ok == 0 {
			failed = errno
		}
	})
	switch {
	case err != nil:
		return err
	case failed == errLockViolated || failed == syscall.ERROR_IO_PENDING:
		return ErrLocked
	}
	return os.NewSyscallError("LockFileEx", failed)
}
