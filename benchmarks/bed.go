package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
)

// bed stands for the test that the test bed starts its servers and programs for. Only the
// methods that it has may be called.
type bed struct {
	testing.TB // nil: nobody else can implement it
	cleanups   []func()
}

// stopped is what ends a function of the test bed: with an error, or, if there is none,
// because what it was to start is not on this machine.
type stopped struct{ err error }

// get gives what the test bed starts. Where that is not on this machine, it says so and
// gives false, or an error if everything is required.
func get[T any](b *bed, start func(testing.TB) T) (v T, ok bool, err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case stopped:
			ok, err = false, r.err
		default:
			panic(r)
		}
	}()
	return start(b), true, nil
}

// Close undoes what was started, the last first.
func (b *bed) Close() {
	for _, undo := range slices.Backward(b.cleanups) {
		undo()
	}
	b.cleanups = nil
}

func (b *bed) Helper() {}

func (b *bed) Cleanup(undo func()) { b.cleanups = append(b.cleanups, sync.OnceFunc(undo)) }

func (b *bed) Fatal(args ...any) { panic(stopped{errors.New(fmt.Sprint(args...))}) }

func (b *bed) Fatalf(format string, args ...any) { panic(stopped{fmt.Errorf(format, args...)}) }

func (b *bed) Skipf(format string, args ...any) {
	b.Logf(format, args...)
	panic(stopped{})
}

func (b *bed) Logf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

func (b *bed) Errorf(format string, args ...any) { b.Logf(format, args...) }
