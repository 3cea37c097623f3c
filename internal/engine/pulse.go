package engine

import (
	"sync/atomic"
	"time"
)

// task is what an engine does besides the calls of its driver, of which Stats counts
// those that are stuck. Of each there is one at a time.
type task uint8

const (
	deciding  task = iota // and telling listeners
	loading               // reading the journal and routing, where the user's functions run
	fetching              // the same, for what was loaded before
	recording             // writing the ledger
	saving                // writing the cursor
	tasks
)

var taskNames = [tasks]string{"deciding", "routing", "routing", "writing the log", "writing the cursor"}

// stillFor is how long a task runs before it counts as standing still: a load routes at
// most a window of changes, and a disk that takes longer for a write is not one.
const stillFor = time.Minute

// pulse tells how long each task has been running. It is read without a lock: what
// stands still may hold one.
type pulse struct {
	since [tasks]atomic.Int64 // nanoseconds since 1970, 0 while it does not run
}

// begin notes that a task runs; what it gives, that it has ended.
func (p *pulse) begin(t task, now time.Time) (end func()) {
	p.since[t].Store(now.UnixNano())
	return func() { p.since[t].Store(0) }
}

// still gives the task that has been running for the longest time, if that is too long.
func (p *pulse) still(now time.Time) (longest time.Duration, name string) {
	for t := range p.since {
		if since := p.since[t].Load(); since != 0 {
			if d := time.Duration(now.UnixNano() - since); d >= stillFor && d > longest {
				longest, name = d, taskNames[t]
			}
		}
	}
	return longest, name
}
