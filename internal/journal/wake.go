package journal

import "runtime"

// cohort is how many callers wait at one channel. Where 1,024 waited at one they stood in
// each other's way at the lock that a channel has, and took nearly twice the processor's
// time; between 4 and 64 to a channel there was no difference.
const cohort = 64

// waiter is a caller's place in a group.
type waiter struct {
	group *group
	done  <-chan struct{}
}

// join gives a caller a place in the group.
func (g *group) join() waiter {
	if g.callers%cohort == 0 {
		g.cohorts = append(g.cohorts, make(chan struct{}))
	}
	g.callers++
	return waiter{g, g.cohorts[len(g.cohorts)-1]}
}

// wait gives the group's fate, when it is known.
func (w waiter) wait() error {
	<-w.done
	return w.group.err
}

// wake tells the group's fate to its callers.
func (g *group) wake() {
	for _, done := range g.cohorts {
		close(done)
	}
}

// gather lets the few callers that were just woken come back before the next group is
// taken. Without it the first of them gets a flush for itself, and all others wait for
// the one after that: a flush takes about as long for one as for all of them.
//
// Many are not waited for. They need longer to come back than a flush takes, and would all
// wait for it together, with the processors standing still: 1,024 callers, in one group,
// got a third less than as two that take turns, of which one comes back while the other
// is flushed.
//
// It ends when nobody more comes. To leave it out for callers who do much else before they
// come back was tried: with 64 who compute for about 6 or 30 µs each the rate was lower in
// every run, since the flush then runs beside them and serves those few who are early.
// To flush for the first half of them beside the second was tried too, and gained nothing on
// two processors: the runtime keeps that of a goroutine in a system call for about as long as
// a flush takes, so that one stands still.
func (d *Disk) gather(woken int) {
	if woken < 2 || woken > cohort {
		return
	}
	// One turn lets everybody run who can, and the next finds out who else could since.
	// More of them would serve those who keep coming, at the expense of those who are
	// here.
	const turns = 32
	here := -1
	for range turns {
		runtime.Gosched()
		d.mu.Lock()
		n := len(d.current.frames)
		d.mu.Unlock()
		if n == here {
			return
		}
		here = n
	}
}
