//go:build !linux

package disk

import "os"

// datasync is a full flush where nothing less is to be had: F_FULLFSYNC on macOS,
// where fsync alone stops at the drive's cache, and FlushFileBuffers on Windows.
func datasync(f *os.File) error { return f.Sync() }
