package replicator

import (
	"cmp"
	"time"

	"github.com/s3db-go/replicator/internal/engine"
)

// Stats is a snapshot. It holds no secret. The counts are of deliveries since Start.
type Stats struct {
	// Destinations by their name.
	Destinations map[string]DestinationStats
	Journal      JournalStats
	LogCopy      LogCopyStats
	// InDoubt is how many records had a write whose end isn't known yet.
	InDoubt int
}

// DestinationStats tell how one destination stands. At every moment
//
//	Wanted = Replicated + Coalesced + Skipped + Failed + what is under way.
type DestinationStats struct {
	Driver string
	// Wanted deliveries, those that a route wants by resource and operation, before its
	// filter is asked; and how they ended.
	Wanted, Replicated, Coalesced, Skipped, Failed uint64
	// Attempts are calls of the driver, Retried the failures that another attempt
	// followed.
	Attempts, Retried uint64
	// Parked is how many changes were read and wait behind failed deliveries, without
	// taking room from others. From 250,000 on the destination waits for them, and Err
	// names the delivery.
	Parked int
	// Waiting is how many changes of the journal are not settled here. Lag is the age
	// of the oldest of them, zero if there is none.
	Waiting uint64
	Lag     time.Duration
	// WaitingBytes estimates how much of the journal on disk is kept for them.
	WaitingBytes int64
	// InFlight are calls of the driver that run, Stuck those among them that have
	// overrun Options.Timeout.
	InFlight, Stuck int
	// Still is for how long the destination's own work, as routing or writing the log, has
	// stood still, and Doing what that is. Zero while it moves; up to a minute is no standstill.
	Still time.Duration
	Doing string
	// BreakerOpen says that the destination is taken for unavailable, for the reason
	// in Err, and is asked again at NextProbe.
	BreakerOpen bool
	NextProbe   time.Time
	// Paused says since when and why the destination is paused, nil if it is not.
	Paused *Pause
	// Err is the last failure that was the destination's own, or of the journal, the
	// log or the cursor on its behalf, or what keeps it from starting, or the last of what
	// the oldest change waits for; "" if all is well.
	Err string
	// attempted says that Err is of attempts that go on, which is no standstill yet.
	attempted bool
}

// JournalStats tell how the journal stands.
type JournalStats struct {
	Last     uint64 // the Seq of the newest change
	Open     int    // announced writes that have not ended
	Segments int
	Bytes    int64  // on disk
	Err      string // why nothing can be written any more, "" if all is well
	// Pressure is how much of the disk budget is spent.
	Pressure Pressure
	// Unjournaled counts the changes that were let go uncaptured, under the policy of this
	// name, until every destination that was there has been backfilled since.
	Unjournaled uint64
}

// Stats gives a snapshot; it is cheap. While the replicator is stopped it is zero.
func (r *Replicator) Stats() Stats {
	run, err := r.current()
	if err != nil {
		return Stats{}
	}
	all := run.all()
	s := Stats{Destinations: make(map[string]DestinationStats, len(all)), InDoubt: run.recorder.InDoubt(), LogCopy: run.copy.stats()}
	j := run.journal.Stats()
	s.Journal = JournalStats{Last: j.Last, Open: j.Open, Segments: j.Segments, Bytes: j.Bytes, Err: text(j.Err),
		Pressure: pressures[j.Pressure], Unjournaled: run.gap.size(j.Unjournaled)}
	for _, d := range all {
		stats := d.stats()
		if stats.Waiting > 0 {
			cursor, _ := run.journal.Cursor(d.Name)
			stats.WaitingBytes = run.journal.Behind(cursor.Low)
		}
		s.Destinations[d.Name] = stats
	}
	return s
}

// destinationStats gives the counts of all engines since Start, and how the present one
// stands.
func destinationStats(driver string, counts, s engine.Stats) DestinationStats {
	out := DestinationStats{
		Driver: driver, Wanted: counts.Wanted, Replicated: counts.Replicated, Coalesced: counts.Coalesced, Skipped: counts.Skipped,
		Failed: counts.Failed, Attempts: counts.Attempts, Retried: counts.Retried,
		Parked: s.Parked, Waiting: s.Waiting, Lag: s.Lag, InFlight: s.InFlight, Stuck: s.Stuck, Still: s.Still, Doing: s.Doing,
		BreakerOpen: s.Breaker.Open, NextProbe: s.Breaker.Probe,
	}
	out.Err = cmp.Or(text(s.JournalErr), text(s.LedgerErr), text(s.CursorErr), text(s.RetryErr), text(s.LimitsErr), text(s.HeldBy))
	if out.Err == "" && s.Breaker.Open {
		out.Err = text(s.Breaker.Err)
	}
	if out.Err == "" && s.WaitsFor != nil {
		out.Err, out.attempted = text(s.WaitsFor), true
	}
	return out
}

// text gives an error's text, so that a snapshot can be printed and marshalled.
func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
