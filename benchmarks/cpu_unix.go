//go:build unix

package main

import (
	"syscall"
	"time"
)

// processorTime is what the process has had of the processors, in its own code and in
// the system's.
func processorTime() time.Duration {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
