//go:build !unix

package testbed

import (
	"errors"
	"syscall"
)

func unprivileged(string) (*syscall.SysProcAttr, error) {
	return nil, errors.New("testbed: servers are started on unix only")
}
