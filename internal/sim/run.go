package sim

import (
	"container/heap"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/backoff"
	"github.com/s3db-go/replicator/internal/engine"
	"github.com/s3db-go/replicator/internal/journal"
)

const (
	// maxSteps ends a run that goes in circles; healthy ones need some thousand.
	maxSteps = 200_000
	// patience is how long everything may take to settle once the faults have ended:
	// some rounds of the longest pause that a destination may ask for.
	patience = 2 * time.Hour
	// largeWindow holds all changes of a world at once.
	largeWindow = 16 << 20
	// manyParked is more than there are changes.
	manyParked = 1000
	// stopPatience is when a stop is given up and becomes a crash.
	stopPatience = time.Minute
)

// Run runs the world of a seed to its end and gives the first violation of a
// promise, nil if there was none. If trace is not nil it is told every step.
func Run(seed uint64, trace io.Writer) error {
	w := newWorld(seed, trace)
	w.boot()
	w.plan()
	for steps := 0; w.err == nil && !w.finished(); steps++ {
		if len(w.queue) == 0 {
			w.violation("nothing will ever happen again, and %d of %d changes are settled", w.core.Low(), len(w.journal))
			break
		}
		if next := w.queue[0].at; steps > maxSteps || next.Sub(w.healthy) > patience {
			w.violation("after %d steps, %v after the faults ended, only %d of %d changes are settled", steps, next.Sub(w.healthy), w.core.Low(), len(w.journal))
			break
		}
		e := heap.Pop(&w.queue).(happening)
		w.now = e.at
		if e.epoch == w.epoch || e.epoch == always {
			e.what()
		}
	}
	w.checkEnd()
	if w.err != nil {
		return fmt.Errorf("seed %d: %w", seed, w.err)
	}
	return nil
}

// world is everything that a run consists of.
type world struct {
	rnd   *rand.Rand
	trace io.Writer
	err   error

	start, now time.Time
	healthy    time.Time // when the faults end
	queue      happenings
	order      int
	epoch      int // counts the lives of the process

	config
	set  engine.Settings
	core *engine.Core

	writer
	destination
	checks

	// What a crash leaves.
	cursor journal.Cursor

	// The process's own.
	position uint64 // of the reader
	waiting  bool   // the reader has caught up and More is owed
	wake     int    // the last Wake
	reading  bool   // a Load or a Fetch is under way
	halting  bool
}

// config is what a seed chooses for its world.
type config struct {
	changes, records  int
	spread            time.Duration // over which the changes are written
	faults            float64       // the chance that a call fails
	crashes, stops    int
	outages           []outage
	lag               time.Duration // of the ledger and the cursor
	ordered           bool
	items, batchBytes int
	concurrency       int
	style             cdc.Rows // how the state targets write
}

type outage struct{ from, to time.Time }

func newWorld(seed uint64, trace io.Writer) *world {
	rnd := rand.New(rand.NewPCG(seed, 1))
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	w := &world{rnd: rnd, trace: trace, start: start, now: start}
	w.config = config{
		changes:     20 + rnd.IntN(120),
		records:     1 + rnd.IntN(8),
		spread:      time.Duration(rnd.IntN(120)) * time.Second,
		faults:      []float64{0, 0.05, 0.2, 0.5}[rnd.IntN(4)],
		crashes:     rnd.IntN(4),
		stops:       rnd.IntN(3),
		lag:         []time.Duration{0, 50 * time.Millisecond, 3 * time.Second}[rnd.IntN(3)],
		ordered:     w.chance(0.4),
		items:       1 + rnd.IntN(6),
		batchBytes:  []int{200, 1000, 1 << 20}[rnd.IntN(3)],
		concurrency: 1 + rnd.IntN(4),
		style:       cdc.Rows(rnd.IntN(3)),
	}
	w.healthy = start.Add(w.spread + time.Duration(rnd.IntN(180))*time.Second)
	for range rnd.IntN(3) {
		from := w.sometime()
		w.outages = append(w.outages, outage{from, from.Add(time.Duration(rnd.IntN(100)) * time.Second)})
	}
	w.set = engine.Settings{
		Destination:     "sim",
		Window:          []int{1, 2 << 10, 64 << 10, largeWindow}[rnd.IntN(4)],
		Concurrency:     []int{2, 100}[rnd.IntN(2)],
		Retries:         rnd.IntN(5),
		Backoff:         backoff.Policy{Base: time.Second, Cap: time.Minute},
		Timeout:         30 * time.Second,
		RecordSuccesses: w.chance(0.3),
		Opens:           w.chance(0.5),
		Syncs:           w.chance(0.5),
		Checks:          w.chance(0.5),
		Limits:          func(target string) (cdc.Limits, error) { return w.limits(target), nil },
		Rand:            rnd.Float64,
	}
	w.set.Hold = w.chance(0.3)
	w.set.Rate = []float64{0, 0, 2, 1000}[rnd.IntN(4)]
	w.set.GiveUpAfter = []time.Duration{0, 0, 40 * time.Second}[rnd.IntN(3)]
	w.set.MaxParked = []int{2, 30, manyParked}[rnd.IntN(3)]
	w.init()
	return w
}

// plan puts what is certain to happen on the calendar.
func (w *world) plan() {
	for range w.changes {
		w.at(always, w.start.Add(time.Duration(w.rnd.Int64N(int64(w.spread)+1))), w.write)
	}
	for range w.crashes {
		w.at(always, w.sometime(), w.crash)
	}
	for range w.stops {
		w.at(always, w.sometime(), w.stop)
	}
	w.at(always, w.healthy, w.beat)
}

// beat writes a healthy change now and then after the faults have ended, until all
// the others are settled: whether a record that fails is itself to blame shows only
// when something else is accepted.
func (w *world) beat() {
	if w.core.Low() >= w.last {
		return
	}
	w.writeTo(heartbeat)
	w.after(10*time.Second, always, w.beat)
}

// finished reports whether everything is written and settled.
func (w *world) finished() bool {
	return len(w.writes) == w.changes && w.core.Low() == uint64(len(w.journal)) && !w.now.Before(w.healthy)
}

// boot starts a process from what the last one left.
func (w *world) boot() {
	w.epoch++
	w.core = engine.NewCore(w.set, w.cursor)
	w.position, w.waiting, w.reading, w.halting = w.cursor.Low, false, false, false
	w.begin()
	w.restore()
	w.closeLanes()
	w.log("start %d from %v", w.epoch, w.cursor)
	if w.set.Opens {
		w.after(w.jitter(), w.epoch, func() { w.tell(engine.Opened{Err: w.openError()}) })
	} else {
		w.tell(engine.Tick{})
	}
}

func (w *world) crash() {
	w.log("crash")
	w.boot()
}

func (w *world) stop() {
	if w.halting {
		return
	}
	w.log("stop")
	w.halting = true
	w.tell(engine.Halt{})
	w.after(stopPatience, w.epoch, w.crash)
}

// stopped goes on after a clean stop.
func (w *world) stopped() {
	w.cursor = w.core.Cursor()
	w.checkCursor(w.cursor)
	w.sealed()
	w.boot()
}

// tell tells the core an event, does what it asks for, and checks.
func (w *world) tell(e engine.Event) {
	if w.err != nil {
		return
	}
	w.log("  %T", e)
	for _, a := range w.core.Step(w.now, e) {
		w.perform(a)
	}
	w.watchBreaker()
	w.check()
	if w.halting && w.core.Quiet() {
		w.after(0, w.epoch, func() {
			if w.halting && w.core.Quiet() {
				w.stopped()
			}
		})
	}
}

func (w *world) perform(a engine.Action) {
	switch a := a.(type) {
	case engine.Load:
		w.checkLoad(a)
		w.reading = true
		w.after(w.jitter(), w.epoch, func() { w.reading = false; w.tell(w.read(a.Bytes)) })
	case engine.Fetch:
		w.checkFetch(a)
		w.reading = true
		w.after(w.jitter(), w.epoch, func() { w.reading = false; w.tell(w.reread(a.Seqs)) })
	case engine.Apply:
		w.apply(a.Attempt)
	case engine.Record:
		w.record(a)
	case engine.Save:
		w.save(a)
	case engine.Sync:
		w.sync(a)
	case engine.Open:
		w.after(w.jitter(), w.epoch, func() { w.tell(engine.Opened{Err: w.openError()}) })
	case engine.Check:
		w.after(w.jitter(), w.epoch, func() {
			err := w.down()
			w.checked(err)
			w.tell(engine.Checked{Err: err})
		})
	case engine.Wake:
		w.wake++
		n := w.wake
		w.at(w.epoch, a.At, func() {
			if n == w.wake {
				w.tell(engine.Tick{})
			}
		})
	case engine.Notify:
		for _, n := range a.Notices {
			w.noticed(n)
		}
	}
}

// save makes the cursor durable after a while, or fails; a failed save may have
// become durable all the same.
func (w *world) save(a engine.Save) {
	w.checkCursor(a.Cursor)
	broken := w.faulty()
	w.after(w.lagging(), w.epoch, func() {
		if !broken || w.chance(0.5) {
			w.cursor = a.Cursor
		}
		w.after(w.jitter(), w.epoch, func() {
			w.tell(engine.Saved{Err: fails(broken, "the disk is full")})
		})
	})
}

// record makes rows durable after a while, or fails; as for save.
func (w *world) record(a engine.Record) {
	broken := w.faulty()
	w.after(w.lagging(), w.epoch, func() {
		if !broken || w.chance(0.5) {
			w.recorded(a.Outcomes)
		}
		w.after(w.jitter(), w.epoch, func() {
			w.tell(engine.Recorded{Err: fails(broken, "the ledger can't write")})
		})
	})
}

func fails(broken bool, text string) error {
	if !broken {
		return nil
	}
	return fmt.Errorf("%s", text)
}

func (w *world) chance(p float64) bool { return w.rnd.Float64() < p }

// faulty reports whether a call fails that has no better reason to.
func (w *world) faulty() bool { return w.now.Before(w.healthy) && w.chance(w.faults) }

// sometime is a moment before the faults end.
func (w *world) sometime() time.Time {
	return w.start.Add(time.Duration(w.rnd.Int64N(int64(w.healthy.Sub(w.start)) + 1)))
}

func (w *world) jitter() time.Duration { return time.Duration(w.rnd.IntN(50)) * time.Millisecond }

func (w *world) lagging() time.Duration {
	return time.Duration(w.rnd.Int64N(int64(w.lag) + 1))
}

// always is the epoch of what happens whatever becomes of the process.
const always = -1

// happening is something on the calendar. What belongs to a process that has died
// does not happen.
type happening struct {
	at    time.Time
	order int
	epoch int
	what  func()
}

func (w *world) at(epoch int, t time.Time, what func()) {
	w.order++
	heap.Push(&w.queue, happening{at: t, order: w.order, epoch: epoch, what: what})
}

func (w *world) after(d time.Duration, epoch int, what func()) { w.at(epoch, w.now.Add(d), what) }

func (w *world) log(format string, args ...any) {
	if w.trace != nil {
		fmt.Fprintf(w.trace, "%10.3fs "+format+"\n", append([]any{w.now.Sub(w.start).Seconds()}, args...)...)
	}
}

// happenings is a heap by time, then by the order in which they were planned.
type happenings []happening

func (h happenings) Len() int { return len(h) }
func (h happenings) Less(i, j int) bool {
	if h[i].at.Equal(h[j].at) {
		return h[i].order < h[j].order
	}
	return h[i].at.Before(h[j].at)
}
func (h happenings) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *happenings) Push(v any)   { *h = append(*h, v.(happening)) }
func (h *happenings) Pop() any {
	last := len(*h) - 1
	v := (*h)[last]
	*h = (*h)[:last]
	return v
}
