package journal

import (
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/s3db-go/replicator/cdc"
)

// watchLimit is how many records a Watch remembers: a hundred times the chunk that
// a backfill reads at once, in about 10 MiB.
const watchLimit = 100_000

// ErrWatchFull: more records were committed than a [Watch] remembers, so that it
// can't tell which. Begin another one and read again what was to be appended.
var ErrWatchFull = errors.New("journal: too many changes since the watch was begun")

// Watch notes which records had a commit since it was begun. It belongs to the
// journal that gave it, and counts what is committed for all destinations; what
// AppendTo commits changes no record. Safe for concurrent use.
type Watch struct {
	mu      *sync.Mutex // the journal's; guards what follows
	all     watches
	changed map[cdc.Key]struct{}
	full    bool
	left    map[cdc.Key]struct{} // see Left
}

// Left gives the records that AppendTo left out for this watch, in no order.
func (w *Watch) Left() []cdc.Key {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Keys(w.left))
}

// leave notes that a change is left out. The caller holds the journal's mutex.
func (w *Watch) leave(c *cdc.Change) {
	if w.left == nil {
		w.left = map[cdc.Key]struct{}{}
	}
	w.left[c.RecordKey()] = struct{}{}
}

// Close ends the watch and gives back its memory. Idempotent.
func (w *Watch) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.all, w)
	// What is asked later must not pass for unchanged.
	w.changed, w.full = nil, true
}

// saw reports whether the changed record had a commit. A nil watch saw none. The
// caller holds the journal's mutex.
func (w *Watch) saw(c *cdc.Change) bool {
	if w == nil {
		return false
	}
	_, changed := w.changed[c.RecordKey()]
	return changed || w.full
}

// unchanged gives those of the changes whose records had no commit. It takes the
// journal's mutex, and only for a watch: without one the way to the disk takes it
// once, not twice.
func (w *Watch) unchanged(changes []cdc.Change) ([]cdc.Change, error) {
	if w == nil {
		return changes, nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.full {
		return nil, ErrWatchFull
	}
	kept := make([]cdc.Change, 0, len(changes))
	for i := range changes {
		if w.saw(&changes[i]) {
			w.leave(&changes[i])
		} else {
			kept = append(kept, changes[i])
		}
	}
	return kept, nil
}

// watches are those of a journal that are not closed. The journal's mutex guards
// them.
type watches map[*Watch]struct{}

func (all watches) begin(mu *sync.Mutex) *Watch {
	w := &Watch{mu: mu, all: all, changed: map[cdc.Key]struct{}{}}
	all[w] = struct{}{}
	return w
}

// note tells every watch of a commit.
func (all watches) note(c *cdc.Change) {
	if len(all) > 0 { // which is seldom, and a loop over a map is not free without it
		all.noteAll(c)
	}
}

func (all watches) noteAll(c *cdc.Change) {
	for w := range all {
		if w.full {
			continue
		}
		if w.changed[c.RecordKey()] = struct{}{}; len(w.changed) > watchLimit {
			w.changed, w.full = nil, true
		}
	}
}
