package journal

import (
	"errors"
	"math"
	"slices"
	"time"

	"github.com/s3db-go/replicator/internal/clock"
)

// Retain says how much is kept of what every cursor has passed, so that a cursor can
// be moved back. Segments are kept or deleted whole. They give way when the disk
// budget has no room.
type Retain struct {
	// Bytes is how much is kept at most, 0 for no bound.
	Bytes int64
	// Age is how old what is kept may get, 0 for no bound.
	Age time.Duration
}

// settledSegments is how many of the segments, oldest first, nobody needs who has settled
// everything up to low. The newest is always needed. Announcements need none: each
// segment repeats those that are open at its beginning.
func settledSegments(segments []segment, low uint64) int {
	n := 0
	for n+1 < len(segments) && segments[n+1].first <= low+1 {
		n++
	}
	return n
}

// expendable is how many of the first n segments are not to be retained.
func (r Retain) expendable(segments []segment, n int, now time.Time) int {
	if r == (Retain{}) {
		return n
	}
	kept := int64(0)
	for n > 0 {
		s := segments[n-1]
		// What is in it is older than the beginning of the next.
		age := now.Sub(clock.Time(segments[n].version))
		if kept += s.size; r.Bytes > 0 && kept > r.Bytes || r.Age > 0 && age > r.Age {
			return n
		}
		n--
	}
	return 0
}

// trim deletes the segments that no cursor needs and that are not to be retained. As
// long as there is no cursor, all are needed. The caller holds saving.
func (d *Disk) trim() { d.trimTo(d.opts.Retain) }

// yield deletes what is only retained, and reports whether there was something.
func (d *Disk) yield() bool {
	if d.opts.Retain == (Retain{}) {
		return false
	}
	d.saving.Lock()
	defer d.saving.Unlock()
	return d.trimTo(Retain{})
}

func (d *Disk) trimTo(r Retain) bool {
	if len(d.cursors) == 0 {
		return false
	}
	low := uint64(math.MaxUint64)
	for _, c := range d.cursors {
		low = min(low, c.Low)
	}
	d.mu.Lock()
	n := r.expendable(d.segments, settledSegments(d.segments, low), d.opts.Now())
	dropped := slices.Clone(d.segments[:n])
	d.segments = slices.Delete(d.segments, 0, n)
	for _, s := range dropped {
		delete(d.marks, s.number)
	}
	d.mu.Unlock()
	if n == 0 {
		return false
	}
	defer d.tryAgain()
	// What fails here costs room until the next start, and nothing else: what is
	// left is taken for a part of the journal that nobody needs.
	var failed error
	for _, s := range dropped {
		failed = errors.Join(failed, d.fs.Remove(segmentName(s.number)))
	}
	if failed = errors.Join(failed, d.fs.SyncDir(".")); failed != nil {
		d.opts.Logger.Warn("journal: can't delete segments that are no longer needed", "error", failed)
	}
	return true
}
