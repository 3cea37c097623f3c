package engine

import "github.com/s3db-go/replicator/cdc"

// bisection finds the one that spoils a batch: of n deliveries with a bad one among
// them it costs at most log2 n + 3 calls, the one that failed as a whole counted in,
// and all others go once. Its items are busy.
type bisection struct {
	target   *target
	fault    cdc.Fault // as what the batch failed
	suspects []*item   // as far as is known one of them is bad
	asked    int       // how many of them, the first, the attempt under way has
	rest     []*item   // not tested, and not suspected any more
}

// bisect begins to look for the bad ones among items that failed together.
func (c *Core) bisect(t *target, suspects []*item, fault cdc.Fault) {
	c.proceed(&bisection{target: t, fault: fault, suspects: suspects})
}

// proceed asks for the next half, or ends: what was not tested goes again, together.
func (c *Core) proceed(b *bisection) {
	if len(b.suspects) > 0 {
		b.target.halves.push(b)
		c.run(b.target)
		return
	}
	for _, it := range b.rest {
		it.free()
		c.offer(it)
	}
}

// half makes the attempt that a bisection asks for: the first half of the suspects,
// or the last one alone.
func (c *Core) half(b *bisection) *Attempt {
	a := c.newAttempt(b.target, false)
	a.bisection = b
	b.asked = (len(b.suspects) + 1) / 2
	for _, it := range b.suspects[:b.asked] {
		a.put(it)
	}
	c.attempts++
	return a
}

// narrow goes on when a half was answered: bad are those of it that failed together
// once more. Where it passed, the bad one is among the others; where single ones
// failed, or it was not their fault, these are not suspected any more.
func (c *Core) narrow(b *bisection, bad []*item, passed bool) {
	others := b.suspects[b.asked:]
	switch {
	case len(bad) > 0:
		b.suspects, b.rest = bad, append(b.rest, others...)
	case passed:
		b.suspects = others
	default:
		b.suspects, b.rest = nil, append(b.rest, others...)
	}
	c.proceed(b)
}

// abandon ends a bisection because the destination is unavailable.
func (c *Core) abandon(b *bisection) {
	b.rest, b.suspects = append(b.rest, b.suspects...), nil
	c.proceed(b)
}
