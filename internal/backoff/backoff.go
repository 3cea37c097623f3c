// Package backoff decides when to try again. It is pure: randomness comes in as
// an argument, and nothing here sleeps.
package backoff

import "time"

// Policy is a wait that doubles from Base to Cap, neither of them negative. The
// zero value never waits.
type Policy struct {
	Base time.Duration // the wait after the first failure
	Cap  time.Duration // no wait is longer, not even the first
}

// Ceiling gives the wait after so many failures in a row, without jitter: Base after
// the first, twice as much after each further one, at most Cap. Fewer than one
// counts as one. It is right where only one waits.
func (p Policy) Ceiling(failures int) time.Duration {
	doublings := max(failures, 1) - 1
	// The cap is halved rather than the base doubled: that can't overflow.
	if p.Base > p.Cap>>doublings {
		return p.Cap
	}
	return p.Base << doublings
}

// Delay is [Policy.Ceiling] with full jitter: evenly spread between nothing and the
// ceiling, so that many that failed together don't come back together. rnd
// gives numbers in [0,1), as rand.Float64 does.
func (p Policy) Delay(failures int, rnd func() float64) time.Duration {
	return time.Duration(rnd() * float64(p.Ceiling(failures)))
}
