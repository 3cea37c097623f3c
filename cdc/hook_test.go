package cdc_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/s3db-go/replicator/cdc"
)

// nothing is a Recorder that wants nothing.
type nothing struct{ cdc.Recorder }

func (nothing) Wants(string, cdc.Op) bool                                   { return false }
func (nothing) Begin(context.Context, ...cdc.Change) ([]cdc.Pending, error) { return nil, nil }

func TestHook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h cdc.Hook
		if rec, leave := h.Enter(); rec != nil {
			t.Error("there is a recorder before Capture")
		} else {
			leave()
		}
		release, err := h.Capture(nothing{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Capture(nothing{}); err == nil {
			t.Error("a second recorder was hooked in beside the first")
		}
		if _, err := h.Capture(nil); err == nil {
			t.Error("nil was hooked in")
		}
		rec, leave := h.Enter()
		if rec != (nothing{}) {
			t.Error("Enter gave another recorder")
		}
		released := false
		go func() { release(); released = true }()
		synctest.Wait()
		if released {
			t.Error("release did not wait for the write")
		}
		if rec, _ := h.Enter(); rec != nil {
			t.Error("a write entered after release was called")
		}
		leave()
		synctest.Wait()
		if !released {
			t.Error("release still waits")
		}
		again, err := h.Capture(nothing{})
		if err != nil {
			t.Error(err)
		}
		release() // the first one's, once more: it must not unhook the second
		if rec, leave := h.Enter(); rec == nil {
			t.Error("an old release unhooked a new recorder")
		} else {
			leave()
		}
		again()
	})
}

// TestHookAwait: it waits for the writes that have entered, captured or not, and not for
// those that come later.
func TestHookAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h cdc.Hook
		if err := h.Await(t.Context()); err != nil {
			t.Errorf("without a write: %v", err)
		}
		_, uncaptured := h.Enter()
		release, err := h.Capture(nothing{})
		if err != nil {
			t.Fatal(err)
		}
		_, captured := h.Enter()
		waiting := func() (done chan error) {
			done = make(chan error, 1)
			go func() { done <- h.Await(t.Context()) }()
			synctest.Wait()
			return done
		}
		first := waiting()
		_, later := h.Enter()
		second := waiting()
		ended := func(done chan error) bool {
			synctest.Wait()
			return len(done) == 1
		}
		captured()
		if ended(first) {
			t.Error("it did not wait for the write that began before the capture")
		}
		uncaptured()
		if !ended(first) || ended(second) {
			t.Errorf("the first has ended: %v, the second: %v", ended(first), ended(second))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := h.Await(ctx); err != context.Canceled {
			t.Errorf("under an ended context: %v", err)
		}
		later()
		if !ended(second) {
			t.Error("the second still waits")
		}
		release()
	})
}
