// Package panics turns a panic of somebody else's code into an error that can be
// shown. Code that is handed records may panic with their content, as the errors of
// strconv quote what they could not read; and errors end up where no record may.
package panics

import (
	"fmt"
	"path"
	"runtime"
	"strings"
)

// Error describes a panic with the value v in what is called name. Call it in the
// deferred function that recovered. The value itself is not in it, unless it is an
// error of the Go runtime: those are built of types and indices, and they are nearly
// all panics that happen. For any other the type and the place lead to it.
func Error(name string, v any) error {
	if e, ok := v.(runtime.Error); ok {
		return fmt.Errorf("%s panicked%s: %s", name, place(), e.Error())
	}
	return fmt.Errorf("%s panicked%s with a %T", name, place(), v)
}

// place gives " in pkg.function (file.go:1)" for the user's line that
// panicked, "" if that can't be told.
func place() string {
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
