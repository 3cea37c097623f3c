package cdc

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
)

// Hook is where a source keeps the Recorder that it announces to: its Capture is what
// [Source] asks for, its Await what [Awaiter] does, and every write calls Enter. The
// zero value is ready. Safe for concurrent use.
type Hook struct {
	mu      sync.Mutex // guards what follows
	present *hooked    // nil while nobody captures
	entered *writes    // those since the last turn, nil if there are none
	leaving []*writes  // those before it that may not have ended
}

// hooked is a Recorder for as long as it captures.
type hooked struct{ recorder Recorder }

// writes counts those that entered between two turns of a hook, under one Recorder.
type writes struct {
	of    *hooked
	n     atomic.Int64  // one more than there are, until the turn
	ended chan struct{} // closed when, after the turn, the last has ended
	leave func()        // ends a write; the same for all, so that none pays for one of its own
}

func newWrites(of *hooked) *writes {
	w := &writes{of: of, ended: make(chan struct{})}
	w.n.Store(1)
	w.leave = func() {
		if w.n.Add(-1) == 0 {
			close(w.ended)
		}
	}
	return w
}

// Capture hooks rec in, until release is called. release waits for the writes that
// have entered since; it may be called more than once, but not from within the
// Recorder. A second Recorder is refused while one is hooked in.
func (h *Hook) Capture(rec Recorder) (release func(), err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case rec == nil:
		return nil, errors.New("cdc: the recorder is nil")
	case h.present != nil:
		return nil, errors.New("cdc: the source is captured already")
	}
	mine := &hooked{rec}
	h.turn()
	h.present = mine
	return func() {
		h.mu.Lock()
		before := h.turn()
		if h.present == mine {
			h.present = nil
		}
		h.mu.Unlock()
		for _, w := range before {
			if w.of == mine {
				<-w.ended
			}
		}
	}, nil
}

// Enter gives the Recorder to announce a write to, nil if there is none, and what to
// call when the write has ended.
func (h *Hook) Enter() (rec Recorder, leave func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.entered == nil {
		h.entered = newWrites(h.present)
	}
	h.entered.n.Add(1)
	if h.present == nil {
		return nil, h.entered.leave
	}
	return h.present.recorder, h.entered.leave
}

// Await returns when every write that had entered before the call has ended, or with
// the error of ctx.
func (h *Hook) Await(ctx context.Context) error {
	h.mu.Lock()
	before := h.turn()
	h.mu.Unlock()
	for _, w := range before {
		select {
		case <-w.ended:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// turn lets the writes that enter from now on be counted apart, and gives those before
// that may not have ended. The caller holds mu.
func (h *Hook) turn() (before []*writes) {
	if h.entered != nil {
		h.entered.leave() // the one that it was more
		h.leaving = append(h.leaving, h.entered)
		h.entered = nil
	}
	h.leaving = slices.DeleteFunc(h.leaving, func(w *writes) bool { return w.n.Load() == 0 })
	return slices.Clone(h.leaving)
}
