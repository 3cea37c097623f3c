package replicator

import (
	"time"

	"github.com/s3db-go/replicator/internal/engine"
)

// Stats is a snapshot. It holds no secret. The counts are of deliveries since Start.
type Stats struct {
	// Destinations by their name.
	Destinations map[string]DestinationStats
	Journal      JournalStats
	// InDoubt is how many records had a write whose end isn't known yet.
	InDoubt int
}

// DestinationStats tell how one destination stands. At every moment
//
//	Wanted = Replicated + Coalesced + Skipped + Failed + what is under way.
type DestinationStats struct {
	Driver string
	// Wanted deliveries, by resource and operation, and how they ended.
	Wanted, Replicated, Coalesced, Skipped, Failed uint64
	// Attempts are calls of the driver, Retried the failures that another attempt
	// followed.
	Attempts, Retried uint64
	// Waiting is how many changes of the journal are not settled here. Lag is the age
	// of the oldest of them, zero if there is none.
	Waiting uint64
	Lag     time.Duration
	// InFlight are calls of the driver that run, Stuck those among them that have
	// overrun Options.Timeout.
	InFlight, Stuck int
	// BreakerOpen says that the destination is taken for unavailable, for the reason
	// in Err, and is asked again at NextProbe.
	BreakerOpen bool
	NextProbe   time.Time
	// Err is the last failure that was the destination's own, or of the journal, the
	// log or the cursor on its behalf; nil if all is well.
	Err error
}

// JournalStats tell how the journal stands.
type JournalStats struct {
	Last     uint64 // the Seq of the newest change
	Open     int    // announced writes that have not ended
	Segments int
	Bytes    int64 // on disk
	Err      error // why nothing can be written any more, nil if all is well
}

// Stats gives a snapshot; it is cheap. While the replicator is stopped it is zero.
func (r *Replicator) Stats() Stats {
	run, err := r.current()
	if err != nil {
		return Stats{}
	}
	s := Stats{Destinations: make(map[string]DestinationStats, len(run.engines)), InDoubt: run.recorder.InDoubt()}
	j := run.journal.Stats()
	s.Journal = JournalStats{Last: j.Last, Open: j.Open, Segments: j.Segments, Bytes: j.Bytes, Err: j.Err}
	for _, d := range run.engines {
		s.Destinations[d.name] = destinationStats(d.driver, d.Stats())
	}
	return s
}

func destinationStats(driver string, s engine.Stats) DestinationStats {
	out := DestinationStats{
		Driver: driver, Wanted: s.Wanted, Replicated: s.Replicated, Coalesced: s.Coalesced, Skipped: s.Skipped, Failed: s.Failed,
		Attempts: s.Attempts, Retried: s.Retried, Waiting: s.Waiting, Lag: s.Lag, InFlight: s.InFlight, Stuck: s.Stuck,
		BreakerOpen: s.Breaker.Open, NextProbe: s.Breaker.Probe,
	}
	for _, err := range []error{s.JournalErr, s.LedgerErr, s.CursorErr} {
		if out.Err == nil {
			out.Err = err
		}
	}
	if out.Err == nil && s.Breaker.Open {
		out.Err = s.Breaker.Err
	}
	return out
}
