package engine

import "time"

// counts are what happened since the core was made.
type counts struct {
	wanted, replicated, coalesced, skipped, failed, retried uint64
}

func (n *counts) add(s Status) {
	switch s {
	case Replicated:
		n.replicated++
	case Coalesced:
		n.coalesced++
	case Skipped:
		n.skipped++
	case Failed, Held:
		n.failed++
	}
}

// Stats is a snapshot of an engine. The counts are of deliveries and start at zero
// with the engine. Wanted = Replicated + Coalesced + Skipped + Failed + Loaded. What is
// held counts as failed.
type Stats struct {
	Wanted, Replicated, Coalesced, Skipped, Failed uint64

	Attempts uint64 // calls of the driver
	Retried  uint64 // failures of deliveries that another attempt followed, or will
	Loaded   int    // deliveries that are loaded and not settled
	// WindowBytes is what the loaded changes take of the window. Parked changes take
	// nothing of it: they gave their payload back, since their lanes stand still.
	WindowBytes int
	Parked      int
	// WaitsFor is the last failure of what the oldest change waits for, nil if it has not
	// failed. HeldBy is the same while so many are parked that no more is read, else nil.
	WaitsFor error
	HeldBy   error
	InFlight int // attempts that run
	Stuck    int // attempts among them that overran their timeout
	// Unrecorded is how many outcomes wait to be written to the ledger.
	Unrecorded int

	// Low is the Seq up to which everything is settled; Settled counts the settled
	// changes above it too.
	Low, Settled uint64
	// Waiting is how many changes of the journal are not settled.
	Waiting uint64
	// Oldest is when the oldest of them was announced, zero if there is none. Lag is
	// its age.
	Oldest time.Time
	Lag    time.Duration

	// Still is for how long the engine's own work has stood still, and Doing what that is;
	// zero while it moves.
	Still time.Duration
	Doing string
	at    time.Time // when this was taken

	Breaker Breaker
	// The last failures of our own side, nil once it worked again. RetryErr is that of
	// sending what a Retry left marked.
	LedgerErr, JournalErr, CursorErr, RetryErr error
	// LimitsErr is that of a driver whose Limits panicked when they were asked last.
	LimitsErr error
}

// Breaker is a snapshot of a destination's breaker.
type Breaker struct {
	Open  bool
	Since time.Time // when it opened
	Probe time.Time // when the destination is asked again
	Err   error     // the last failure that counted for the destination, nil if there was none
}

// Stats tells how the core stands. Waiting and Lag are zero; the caller knows how
// long the journal is.
func (c *Core) Stats(now time.Time) Stats {
	n := c.counts
	s := Stats{
		Wanted: n.wanted, Replicated: n.replicated, Coalesced: n.coalesced, Skipped: n.skipped, Failed: n.failed,
		Attempts: c.attempts, Retried: n.retried,
		Loaded:      int(n.wanted - n.replicated - n.coalesced - n.skipped - n.failed),
		WindowBytes: c.window.bytes,
		Parked:      c.window.parked,
		InFlight:    len(c.running),
		Unrecorded:  len(c.ended) + len(c.recorded),
		Low:         c.window.low(), Settled: c.window.count(),
		Breaker:   Breaker{Open: c.breaker.open(), Since: c.breaker.since, Err: c.breaker.err},
		LedgerErr: c.recordFail.err, JournalErr: c.loadFail.err, CursorErr: c.saveErr,
	}
	if s.JournalErr == nil {
		s.JournalErr = c.fetchFail.err
	}
	for _, t := range c.targets {
		if t.limitsErr != nil {
			s.LimitsErr = t.limitsErr
		}
	}
	if s.Breaker.Open {
		s.Breaker.Probe = c.breaker.until
	}
	if c.window.first != nil {
		s.Oldest = time.UnixMicro(c.window.first.at).UTC()
	}
	s.WaitsFor = c.waitsFor()
	if c.window.parked >= c.set.MaxParked {
		s.HeldBy = s.WaitsFor
	}
	for _, a := range c.running {
		if now.Sub(a.started) > c.set.Timeout {
			s.Stuck++
		}
	}
	return s
}

// waitsFor gives the last failure of what the oldest change waits for.
func (c *Core) waitsFor() error {
	first := c.window.first
	for first != nil && first.items == nil {
		first = first.next // a schema change
	}
	if first == nil {
		return nil
	}
	// Whoever stands before it in one of its lanes is older, so that this ends.
	it := first.items
	for it.last == nil && !it.heads() {
		for l := range it.lanes() {
			if head := l.queue.front(); head != it {
				it = head
				break
			}
		}
	}
	return it.last
}
