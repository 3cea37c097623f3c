package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/journal"
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

	calls   chan func() Event // to a goroutine that waits for work
	halt    chan struct{}     // closed: start nothing more
	abandon chan struct{}     // closed: wait for nothing more
	done    chan struct{}     // closed when nobody decides any more
	pulse   pulse
	turn    turn
	own     chan struct{} // holds the engine's own place, see Config.Places
	gone    chan struct{} // closed when no call runs any more
	work    sync.WaitGroup
	known   atomic.Pointer[Stats] // the last

	// mu guards what Stats and Drain share with who decides. It is held for a step of
	// the core, and never while user code, a driver's call or I/O runs.
	mu      sync.Mutex
	core    *Core
	waiters []waiter
	behind  time.Time // since when the journal has something unread, zero if caught up
	// retryErr is why what a Retry marked can't be sent, nil if nothing waits for that.
	retryErr error

	// The rest belongs to who has the turn.
	ctx       context.Context // of the driver's calls
	source    source          // lent to the load that runs
	timer     *time.Timer
	pending   int          // calls that have not told their end
	kept      func() Event // what who has the turn does itself afterwards, or nil
	halted    bool
	abandoned bool
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
		calls:   make(chan func() Event),
		halt:    make(chan struct{}),
		abandon: make(chan struct{}),
		done:    make(chan struct{}),
		own:     make(chan struct{}, 1),
		gone:    make(chan struct{}),
	}
}

// Start opens the driver and begins to deliver what the destination's cursor has
// not settled; a destination without a cursor begins at the journal's end. An error
// of the driver that is permanent is returned, and nothing runs; with any other the
// engine runs, behind an open breaker, and opens again and again. A known shape that a
// target refuses for good is an error too. ctx bounds the call, of which the driver gets
// at most half the time that is left; its values go to the driver.
func (e *Engine) Start(ctx context.Context) error {
	e.life.Lock()
	defer e.life.Unlock()
	if e.started || e.stopped {
		return errors.New("engine: an engine runs only once")
	}
	first, err := e.open(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", e.cfg.Name, err)
	}
	from, err := e.position()
	if err == nil {
		e.source.reader, err = e.cfg.Journal.Read(from.Low)
	}
	core := NewCore(e.cfg.settings(), from)
	if err == nil {
		core.known = e.cfg.Journal.Last()
		if err = e.recallFailures(core); err != nil {
			err = errors.Join(err, e.source.reader.Close())
		}
	}
	if err != nil {
		return errors.Join(fmt.Errorf("%s: %w", e.cfg.Name, err), e.close())
	}
	failed, known := core.failures.counts != nil, core.known
	e.started = true
	e.ctx, e.cancel = context.WithCancel(context.WithoutCancel(ctx))
	e.timer = time.NewTimer(time.Hour)
	e.mu.Lock()
	e.core = core
	e.behind = time.Now()
	e.mu.Unlock()
	e.turn.take(news{event: first})
	if failed {
		e.async(func() Event { return e.takeUp(known) })
	}
	e.hand(nil)
	e.work.Go(e.watch)
	return nil
}

// open opens the driver and gives what the core is told of it. After an error the
// driver is closed.
func (e *Engine) open(ctx context.Context) (Event, error) {
	// A destination that does not answer may not use up the time of all others.
	share := ctx
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		share, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	var first Event = Tick{}
	if opener, ok := e.cfg.Driver.(cdc.Opener); ok {
		err := e.within(share, time.Now().Add(e.cfg.Timeout), opener.Open)
		if cdc.FaultOf(err) == cdc.RecordFault {
			return nil, err
		}
		if first = (Opened{err}); err != nil {
			return first, ctx.Err()
		}
	}
	err := e.fit(share)
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, e.close())
	}
	return first, nil
}

// fit brings the targets into the shapes that are known. Only what a target refuses
// for good is of interest here: anything else is tried again before a delivery.
func (e *Engine) fit(ctx context.Context) error {
	syncer, ok := e.cfg.Driver.(cdc.SchemaSyncer)
	if !ok || e.cfg.Schema == nil {
		return nil
	}
	for _, s := range e.cfg.Shapes {
		schema, ok, err := e.cfg.Schema(s.Resource, s.Rule, 0)
		if !ok || err != nil {
			continue
		}
		err = e.within(ctx, time.Now().Add(e.cfg.Timeout), func(ctx context.Context) error { return syncer.SyncSchema(ctx, s.Target, schema) })
		if cdc.FaultOf(err) == cdc.RecordFault {
			return fmt.Errorf("%s: %w", s.Target, err)
		}
	}
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
	if e.stopped {
		return nil
	}
	e.stopped = true
	if !e.started {
		close(e.gone)
		return nil
	}
	close(e.halt)
	stuck := e.finish(ctx)
	e.cancel()
	err := e.cfg.Journal.SaveCursor(e.cfg.Name, e.core.Cursor())
	if err != nil {
		err = fmt.Errorf("%s: save cursor: %w", e.cfg.Name, err)
	}
	left := make(chan error, 1)
	// It ends with the last call, which may be long after Stop: see Gone.
	go func() {
		e.work.Wait()
		err := errors.Join(e.source.reader.Close(), e.close())
		close(e.gone)
		left <- err
	}()
	if stuck > 0 {
		return errors.Join(err, fmt.Errorf("%s: calls that have not returned: %d", e.cfg.Name, stuck))
	}
	return errors.Join(err, <-left)
}

// Gone gives a channel that is closed when a stopped engine's last call has returned
// and the driver is closed. Until then the driver must not be used by another engine:
// what was left behind may still be applied.
func (e *Engine) Gone() <-chan struct{} { return e.gone }

// finish waits until nobody decides any more, and tells how many calls had to be left
// behind.
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
	last, now := e.cfg.Journal.Last(), time.Now()
	still, doing := e.pulse.still(now)
	if known := e.known.Load(); doing == taskNames[deciding] && known != nil {
		// Whoever decides may hold the lock.
		s := *known
		s.Still, s.Doing, s.Waiting = still, doing, last-min(s.Settled, last)
		if s.Lag > 0 {
			s.Lag += now.Sub(s.at)
		} else if s.Waiting > 0 {
			s.Lag = still
		}
		return s
	}
	s := e.stats(now, last)
	s.Still, s.Doing, s.at = still, doing, now
	e.known.Store(&s)
	return s
}

func (e *Engine) stats(now time.Time, last uint64) Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.core == nil {
		return Stats{}
	}
	s := e.core.Stats(now)
	s.RetryErr = e.retryErr
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
