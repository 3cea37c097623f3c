// Package clock makes the versions of changes: numbers that only grow, whatever
// the wall clock does, and that still tell the time. It is pure: the time comes in
// as an argument.
//
// A version is a hybrid logical clock in one number: the milliseconds since 1970
// in the upper 48 bits, a counter in the lower 16. It stays below 2^63, so that it
// fits every destination's signed 64-bit integer.
//
// What it does not promise: that a version is near the present. After the wall
// clock once ran ahead and was put back, versions go on from where they were and
// only count, until the wall clock has caught up.
package clock

import "time"

const (
	counterBits = 16
	// maxMillis is how far the wall clock is believed: to the year 4199. Versions
	// above it are reached only by counting, and nobody counts through what is left
	// below 2^63.
	maxMillis = 1<<46 - 1
	// ceiling bounds what Observe believes. Between maxMillis and it lie 2^61
	// versions, 73 years of a thousand million a second; as many lie above it.
	ceiling = 3 << 61
)

// HLC is a hybrid logical clock. The zero value is ready. It belongs to one
// goroutine at a time.
type HLC struct{ last uint64 }

// Next gives a version above every one that it gave or observed before: that of
// now if it is, else the next higher number. A full counter carries into the
// milliseconds. The first version is above 0.
func (h *HLC) Next(now time.Time) uint64 {
	millis := min(max(now.UnixMilli(), 0), maxMillis)
	h.last = max(h.last+1, uint64(millis)<<counterBits)
	return h.last
}

// Observe makes all further versions higher than v. A v that no clock can have
// given (above 3·2^61) is not believed, since nothing could follow it for long.
func (h *HLC) Observe(v uint64) {
	if v < ceiling {
		h.last = max(h.last, v)
	}
}

// Last gives the highest version so far, 0 if there is none.
func (h *HLC) Last() uint64 { return h.last }

// Time gives the time that a version tells, UTC in milliseconds.
func Time(version uint64) time.Time {
	return time.UnixMilli(int64(version >> counterBits)).UTC()
}
