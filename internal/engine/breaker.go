package engine

import (
	"time"

	"github.com/s3db-go/replicator/internal/backoff"
)

// breakAfter failures in a row that no record is to blame for open the breaker: more than
// a hiccup of the network gives, few enough that an outage is noticed within the first
// round of attempts.
const breakAfter = 5

// probing paces the asking of a dead destination: first after a second, since most outages
// are restarts, and later every half minute: often enough to be back within Health's five
// minutes, rare enough to burden nobody.
var probing = backoff.Policy{Base: time.Second, Cap: 30 * time.Second}

// breaker keeps an unavailable destination from being asked in vain. While it is
// open there is one probe at a time.
type breaker struct {
	failures int // in a row, that counted for the destination
	probes   int // failed in a row, the opening counted as the first; 0 is closed
	probing  bool
	until    time.Time // no probe before
	since    time.Time // when it opened
	err      error     // the last failure
}

func (b *breaker) open() bool { return b.probes > 0 }

// allows reports whether the destination may be called now.
func (b *breaker) allows(now time.Time) bool {
	return !b.open() || !b.probing && !now.Before(b.until)
}

// fail counts a failure of the destination and reports whether it opened the
// breaker. When it is open already only the probe's failure counts: the others
// began before.
func (b *breaker) fail(now time.Time, probe bool, err error) (opened bool) {
	b.err = err
	switch {
	case b.open() && probe:
		b.delay(now)
	case !b.open():
		if b.failures++; b.failures >= breakAfter {
			b.since = now
			b.delay(now)
			return true
		}
	}
	return false
}

// trip opens the breaker without counting: nothing at all could be called.
func (b *breaker) trip(now time.Time, err error) (opened bool) {
	b.failures = breakAfter
	return b.fail(now, false, err)
}

func (b *breaker) delay(now time.Time) {
	b.probes++
	b.probing = false
	b.until = now.Add(probing.Ceiling(b.probes))
}

// passOver ends a probe that was answered and tells nothing about the destination's
// readiness: the record was at fault. The next lane may try at once.
func (b *breaker) passOver(now time.Time) {
	b.probing = false
	b.until = now
}

// succeed closes the breaker and reports whether it was open.
func (b *breaker) succeed() (closed bool) {
	closed = b.open()
	*b = breaker{err: b.err}
	return closed
}
