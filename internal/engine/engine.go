package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/journal"
	"github.com/s3db-go/replicator/internal/route"
)

// stopGrace is how much longer than its context Stop waits for attempts, once it
// has cancelled them: a driver's answer that is already on its way saves repeating
// the delivery at the next start.
const stopGrace = time.Second

// Engine carries changes to one destination. It runs once: after Stop a new one is
// made. All methods are safe for concurrent use.
type Engine struct {
	cfg Config

	life    sync.Mutex // one Start or Stop at a time
	started bool
	stopped bool
	cancel  context.CancelFunc // ends the calls of the driver

	events  chan Event
	halt    chan struct{} // closed: start nothing more
	abandon chan struct{} // closed: wait for nothing more
	done    chan struct{} // closed by the loop when it ends
	work    sync.WaitGroup

	// mu guards what Stats and Drain share with the loop. The loop holds it for a
	// step of the core, and never while user code, a driver's call or I/O runs.
	mu      sync.Mutex
	core    *Core
	waiters []waiter
	behind  time.Time // since when the journal has something unread, zero if caught up

	// The rest belongs to the loop.
	ctx      context.Context // of the driver's calls
	reader   journal.Reader
	more     <-chan struct{} // nil while the core knows that there is more
	due      chan struct{}   // closed while a load is due, else nil
	load     Load
	routed   []Routed
	verdicts []route.Verdict
	timer    *time.Timer
	pending  int // goroutines that have not told their end
	halted   bool
}

// waiter is a Drain.
type waiter struct {
	seq  uint64
	done chan struct{}
}

// New makes an engine. It does no I/O and starts nothing.
func New(cfg Config) *Engine {
	return &Engine{
		cfg:     cfg.withDefaults(),
		events:  make(chan Event, 64), // some ends of attempts while the loop reads the journal
		halt:    make(chan struct{}),
		abandon: make(chan struct{}),
		done:    make(chan struct{}),
	}
}

// Start opens the driver and begins to deliver what the destination's cursor has
// not settled; a destination without a cursor begins at the journal's end. An error
// of the driver that is permanent is returned, and nothing runs; with any other the
// engine runs, behind an open breaker, and opens again and again. ctx bounds the
// call, and its values go to the driver.
func (e *Engine) Start(ctx context.Context) error {
	e.life.Lock()
	defer e.life.Unlock()
	if e.started || e.stopped {
		return errors.New("engine: an engine runs only once")
	}
	var first Event = Tick{}
	if opener, ok := e.cfg.Driver.(cdc.Opener); ok {
		err := e.within(ctx, opener.Open)
		if cdc.FaultOf(err) == cdc.RecordFault {
			return fmt.Errorf("%s: open: %w", e.cfg.Name, err)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s: open: %w", e.cfg.Name, context.Cause(ctx))
		}
		first = Opened{err}
	}
	from, err := e.position()
	if err == nil {
		e.reader, err = e.cfg.Journal.Read(from.Low)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("%s: %w", e.cfg.Name, err), e.close())
	}
	e.started = true
	e.ctx, e.cancel = context.WithCancel(context.WithoutCancel(ctx))
	e.timer = time.NewTimer(time.Hour)
	e.mu.Lock()
	e.core = NewCore(e.cfg.settings(), from)
	e.behind = time.Now()
	e.mu.Unlock()
	e.work.Go(func() { e.run(first) })
	return nil
}

// position gives the destination's cursor. A new one is made durable before the
// first change after it can be announced, so that a crash loses none of them.
func (e *Engine) position() (journal.Cursor, error) {
	if c, ok := e.cfg.Journal.Cursor(e.cfg.Name); ok {
		return c, nil
	}
	c := journal.Cursor{Low: e.cfg.Journal.Last()}
	return c, e.cfg.Journal.SaveCursor(e.cfg.Name, c)
}

// Drain waits until every change up to seq is settled. Changes that wait for a
// retry, or for the destination, are waited for. It returns early with ctx's error,
// or with cdc.ErrStopped if the engine does not run.
func (e *Engine) Drain(ctx context.Context, seq uint64) error {
	w := waiter{seq, make(chan struct{})}
	e.mu.Lock()
	running := e.core != nil
	reached := running && e.core.Low() >= seq
	if running && !reached {
		e.waiters = append(e.waiters, w)
	}
	e.mu.Unlock()
	if reached {
		return nil
	}
	if !running {
		return cdc.ErrStopped
	}
	defer e.forget(w)
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-e.done:
		return cdc.ErrStopped
	}
}

func (e *Engine) forget(w waiter) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.waiters = slices.DeleteFunc(e.waiters, func(o waiter) bool { return o.done == w.done })
}

// Stop starts nothing more, waits for the running attempts until ctx ends, then
// cancels them, saves the cursor and closes the driver. A call that even a second
// later has not returned is left behind with the driver open, and told in the
// error. A second Stop does nothing.
func (e *Engine) Stop(ctx context.Context) error {
	e.life.Lock()
	defer e.life.Unlock()
	if e.stopped || !e.started {
		e.stopped = true
		return nil
	}
	e.stopped = true
	close(e.halt)
	stuck := e.finish(ctx)
	e.cancel()
	err := e.cfg.Journal.SaveCursor(e.cfg.Name, e.core.Cursor())
	if err != nil {
		err = fmt.Errorf("%s: save cursor: %w", e.cfg.Name, err)
	}
	if stuck > 0 {
		return errors.Join(err, fmt.Errorf("%s: %d calls of the driver have not returned", e.cfg.Name, stuck))
	}
	e.work.Wait()
	return errors.Join(err, e.close())
}

// finish waits for the loop and tells how many calls it had to leave behind.
func (e *Engine) finish(ctx context.Context) (stuck int) {
	select {
	case <-e.done:
		return 0
	case <-ctx.Done():
	}
	e.cancel()
	grace := time.NewTimer(stopGrace)
	defer grace.Stop()
	select {
	case <-e.done:
		return 0
	case <-grace.C:
	}
	close(e.abandon)
	<-e.done
	return e.pending
}

func (e *Engine) close() error {
	closer, ok := e.cfg.Driver.(io.Closer)
	if !ok {
		return nil
	}
	if err := closer.Close(); err != nil {
		return fmt.Errorf("%s: close: %w", e.cfg.Name, err)
	}
	return nil
}

// Stats tells how the engine stands. Before Start it is zero.
func (e *Engine) Stats() Stats {
	last := e.cfg.Journal.Last()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.core == nil {
		return Stats{}
	}
	now := time.Now()
	s := e.core.Stats(now)
	s.Waiting = last - min(s.Settled, last)
	if s.Waiting == 0 {
		return s
	}
	if s.Oldest.IsZero() {
		// Nothing is loaded, so the oldest is the first that is not read yet.
		s.Oldest = e.behind
	}
	if !s.Oldest.IsZero() {
		s.Lag = max(now.Sub(s.Oldest), 0)
	}
	return s
}

// run is the engine's one goroutine that knows the core.
func (e *Engine) run(first Event) {
	defer close(e.done)
	defer e.timer.Stop()
	defer e.reader.Close()
	halt := e.halt
	e.step(first)
	for !e.halted || e.pending > 0 || !e.quiet() {
		select {
		case event := <-e.events:
			e.pending--
			e.step(event)
		case <-e.due:
			e.due = nil
			e.step(e.read())
		case <-e.more:
			e.more = nil
			e.mark(time.Now())
			e.step(More{})
		case <-e.timer.C:
			e.step(Tick{})
		case <-halt:
			halt, e.halted = nil, true
			e.step(Halt{})
		case <-e.abandon:
			return
		}
	}
}

func (e *Engine) quiet() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.core.Quiet()
}

func (e *Engine) mark(behind time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.behind = behind
}

// step tells the core one thing and does what it asks for.
func (e *Engine) step(event Event) {
	e.mu.Lock()
	actions := e.core.Step(time.Now(), event)
	low := e.core.Low()
	e.waiters = slices.DeleteFunc(e.waiters, func(w waiter) bool {
		if low >= w.seq {
			close(w.done)
		}
		return low >= w.seq
	})
	e.mu.Unlock()
	for _, a := range actions {
		e.perform(a)
	}
}

// read reads and routes the next changes. It is where the user's functions run.
func (e *Engine) read() Event {
	entries, err := e.reader.Next(e.load.Bytes)
	if err != nil {
		return LoadFailed{fmt.Errorf("%s: read journal: %w", e.cfg.Name, err)}
	}
	clear(e.routed)
	clear(e.verdicts)
	e.routed, e.verdicts = e.routed[:0], e.verdicts[:0]
	for _, entry := range entries {
		if e.core.Settled(entry.Change.Seq) {
			continue
		}
		first := len(e.verdicts)
		// If this moves the verdicts, those of the changes before stay where they are.
		e.verdicts = e.cfg.Router.Route(e.verdicts, entry.Change)
		e.routed = append(e.routed, Routed{Change: entry.Change, Bytes: entry.Bytes, Verdicts: e.verdicts[first:]})
	}
	if len(entries) == 0 {
		e.more = e.reader.More()
		e.mark(time.Time{})
	}
	return Loaded{Changes: e.routed, CaughtUp: len(entries) == 0}
}
