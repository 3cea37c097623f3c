package cdc

import (
	"errors"
	"sync"
)

// Hook is where a source keeps the Recorder that it announces to: its Capture is what
// [Source] asks for, and every write calls Enter. The zero value is ready. Safe for
// concurrent use.
type Hook struct {
	mu      sync.Mutex // guards present, and that no write enters after release
	present *hooked    // nil while nobody captures
}

// hooked is a Recorder and the writes that announce to it.
type hooked struct {
	recorder Recorder
	writes   sync.WaitGroup
}

// Capture hooks rec in, until release is called. release waits for the writes that
// have entered; it may be called more than once, but not from within the Recorder. A
// second Recorder is refused while one is hooked in.
func (h *Hook) Capture(rec Recorder) (release func(), err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case rec == nil:
		return nil, errors.New("cdc: the recorder is nil")
	case h.present != nil:
		return nil, errors.New("cdc: the source is captured already")
	}
	mine := &hooked{recorder: rec}
	h.present = mine
	return func() {
		h.mu.Lock()
		if h.present == mine {
			h.present = nil
		}
		h.mu.Unlock()
		mine.writes.Wait()
	}, nil
}

// Enter gives the Recorder to announce a write to, nil if there is none, and what to
// call when the write has ended.
func (h *Hook) Enter() (rec Recorder, leave func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.present == nil {
		return nil, func() {}
	}
	h.present.writes.Add(1)
	return h.present.recorder, h.present.writes.Done
}
