package route

import (
	"fmt"
	"path"
	"runtime"
	"strings"

	"github.com/s3db-go/replicator/cdc"
)

// filter asks a ShouldReplicate, which may be nil.
func filter(fn func(cdc.Change) bool, c *cdc.Change, name, refused string) (skip string, err error) {
	if fn == nil {
		return "", nil
	}
	defer func() {
		if v := recover(); v != nil {
			err = panicError(name, v)
		}
	}()
	if !fn(private(c, c.Data, c.Before)) {
		return refused, nil
	}
	return "", nil
}

// transform gives data the shape that fn, which may be nil, makes of it.
func transform(fn func(cdc.Change) (cdc.Record, error), c *cdc.Change, data, before cdc.Record) (out cdc.Record, err error) {
	if fn == nil {
		return data, nil
	}
	defer func() {
		if v := recover(); v != nil {
			out, err = nil, panicError("the route's Transform", v)
		}
	}()
	out, err = fn(private(c, data, before))
	if err != nil {
		return nil, fmt.Errorf("the route's Transform: %w", err)
	}
	out, err = cdc.Normalize(out)
	if err != nil {
		return nil, fmt.Errorf("what the route's Transform made can't be sent: %w", err)
	}
	return out, nil
}

// private gives the change with a copy of the top level of its records, for a
// function that may do with them what it likes.
func private(c *cdc.Change, data, before cdc.Record) cdc.Change {
	own := *c
	own.Data, own.Before = data.Clone(), before.Clone()
	return own
}

// panicError describes a panic without its value. A filter sees secrets, and what
// it panics with may quote them: strconv's errors do. The errors of the Go runtime
// are built of types and indices; they are safe, and they are nearly all panics
// that happen. For any other the type and the place lead to it. Call it in the
// deferred function that recovered.
func panicError(name string, v any) error {
	if e, ok := v.(runtime.Error); ok {
		return fmt.Errorf("%s panicked%s: %s", name, panicPlace(), e.Error())
	}
	return fmt.Errorf("%s panicked%s with a %T", name, panicPlace(), v)
}

// panicPlace gives " in pkg.function (file.go:1)" for the user's line that
// panicked, "" if that can't be told.
func panicPlace() string {
	var pcs [32]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(0, pcs[:])])
	panicking := false
	for {
		f, more := frames.Next()
		switch {
		case f.Function == "runtime.gopanic":
			panicking = true
		case panicking && !strings.HasPrefix(f.Function, "runtime."):
			return fmt.Sprintf(" in %s (%s:%d)", path.Base(f.Function), path.Base(f.File), f.Line)
		}
		if !more {
			return ""
		}
	}
}
