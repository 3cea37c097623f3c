package engine

import (
	"math"
	"time"
)

// burstTime is how much of the rate may gather while nothing is sent: so little that
// the rate holds within a second, enough for batches.
const burstTime = 100 * time.Millisecond

// bucket paces deliveries. A rate of 0 is none.
type bucket struct {
	rate   float64 // per second
	tokens float64
	at     time.Time // when they were counted
}

// burst is the most that gathers, and at least one.
func (b *bucket) burst() float64 { return max(1, b.rate*burstTime.Seconds()) }

// most gives how many deliveries may go now.
func (b *bucket) most(now time.Time) int {
	if b.rate == 0 {
		return math.MaxInt
	}
	if b.at.IsZero() {
		b.tokens = b.burst()
	} else {
		b.tokens = min(b.burst(), b.tokens+now.Sub(b.at).Seconds()*b.rate)
	}
	b.at = now
	return max(int(b.tokens), 0)
}

// spend takes off what goes. It may be more than there is; what follows then waits for
// longer.
func (b *bucket) spend(n int) {
	if b.rate > 0 {
		b.tokens -= float64(n)
	}
}

// next is when one more may go, as of the last count.
func (b *bucket) next() time.Time {
	return b.at.Add(time.Duration(math.Ceil((1 - b.tokens) / b.rate * float64(time.Second))))
}
