//go:build darwin || freebsd || linux

package disk

import (
	"errors"
	"os"
	"syscall"
)

// free asks for the blocks that are there for everybody, not for those that are kept
// for the system's administrator.
func free(dir string) (int64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, os.NewSyscallError("statfs", err)
	}
	return int64(s.Bavail) * int64(s.Bsize), nil
}

// IsFull reports whether an error says that the file system, or the owner's quota of
// it, is full.
func IsFull(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }
