package sim

import (
	"errors"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/engine"
)

// doubts is how many attempts of a delivery may fail because the destination is
// unavailable, while others get through.
const doubts = 20

// hopeless: the destination was away for too long when the delivery had waited for so
// long.
func (w *world) hopeless(f *fate) bool {
	return !w.lastAway.IsZero() && w.lastAway.Sub(f.change.Time) >= w.set.GiveUpAfter
}

// watchBreaker remembers that the destination has been away for long.
func (w *world) watchBreaker() {
	b := w.core.Stats(w.now).Breaker
	if w.set.GiveUpAfter > 0 && b.Open && w.now.Sub(b.Since) >= w.set.GiveUpAfter {
		w.lastAway = w.now
	}
}

// checkGuilt: a delivery is given up for its own fault only. At a state target it may
// also be for that of the one that contains it.
func (w *world) checkGuilt(f *fate, n engine.Notice) {
	switch {
	case w.hopeless(f):
	case n.Target != events, errors.Is(n.Err, errTransform), errors.Is(n.Err, errRefused):
	case cdc.FaultOf(n.Err) == cdc.RecordFault && f.poison == permanent && !f.crowd:
	case cdc.FaultOf(n.Err) == cdc.Transient && n.RetryCount-f.missed == w.set.Retries && !f.crowd:
	case cdc.FaultOf(n.Err) == cdc.DestinationFault && f.missed == doubts && !f.crowd:
	default:
		w.violation("%v is given up after %d retries: %v", f, n.RetryCount, n.Err)
	}
}
