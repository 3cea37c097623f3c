// Package backfill sends the present records of a resource to one destination, while
// live changes flow to it, by the watermarks of DBLog: a watch is begun, a chunk of
// records is read, and of these the journal takes in those whose record has had no
// commit since the watch was begun. What it leaves out has a newer change on the road.
//
// # What it promises
//
// What a backfill sends stands in the journal before every change that happened after
// it was read: nothing newer is overwritten, and no deleted record comes back. How far
// it got is durable before its first chunk and after each, so a run that was
// interrupted goes on where it was, and repeats one chunk at most, with the same
// change ids. The next chunk is read when at most two wait at the destination.
//
// # What it does not
//
// What is too many at the destination stays there. A record that changed while its
// chunk was read is left to that change; only where a route may not carry it is the
// record looked at again.
package backfill

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/backoff"
	"github.com/s3db-go/replicator/internal/disk"
	"github.com/s3db-go/replicator/internal/journal"
)

// Options are what the backfills of one destination need.
type Options struct {
	// Destination is its name in the journal.
	Destination string
	// Source is what records are read from.
	Source cdc.Scanner
	// Journal is where they go.
	Journal journal.Journal
	// FS keeps how far each run got. nil: a run ends with its Runner.
	FS disk.FS
	// Settled waits until the destination has settled the journal up to seq, or ctx
	// ends.
	Settled func(ctx context.Context, seq uint64) error
	// Await waits until the writes that nobody captured have ended. nil: there are none.
	Await func(ctx context.Context) error
	// Again says whether a record of the resource that has changed while it was read is
	// to be looked at again, since a route may not carry that change. nil: never.
	Again func(resource string) bool
	// Present reads such a record. Required with Again.
	Present func(ctx context.Context, resource, recordID string) (row cdc.Row, there bool, err error)
	// Filter lets a record pass or leaves it out. It gets the change as it is to be
	// sent, but for its numbers. nil lets all pass.
	Filter func(cdc.Change) bool
	// ChunkSize is how many records are read at once; at least one.
	ChunkSize int
	// ChunkBytes is how large they may be, encoded; one goes anyway. About three chunks
	// must fit in the journal, beside what waits there. 0 for no bound.
	ChunkBytes int
	// Rate bounds the records that are read in a second; 0 for no bound.
	Rate int
	// Notify is told of every chunk and of every failure. It must not wait. nil: nobody.
	Notify func(Progress)
}

// Progress is how a run stands.
type Progress struct {
	Resource string
	// Read is how many records were read since the run began, Sent how many of them
	// went into the journal. The others were filtered out, or have changed meanwhile.
	Read, Sent uint64
	// Done: all that was sent is settled.
	Done bool
	// Err is why the run does not go on now; it tries again.
	Err error
}

// retries is the pause after a failure of the source or the journal: as for a
// destination that is away.
var retries = backoff.Policy{Base: time.Second, Cap: 30 * time.Second}

// unsettled is how many chunks may wait at the destination when the next is read: one
// that it works on and one that it finds when it is done with it.
const unsettled = 2

// Runner carries out the backfills of one destination, one after the other. Safe for
// concurrent use; but of Start, Pause, Restart, Abandon and Stop one is called at a time.
type Runner struct {
	opts Options
	life context.Context // ended by Stop
	end  context.CancelFunc
	work sync.WaitGroup
	wake chan struct{} // holds one value when runs has grown

	mu   sync.Mutex // guards what follows, and what of a Run others see
	runs []*Run     // not finished, in the order in which they were begun
	idle bool       // not started, or paused

	// The rest belongs to the loop, and to those who start and end it.
	ctx     context.Context // of the loop
	pause   context.CancelFunc
	marks   []uint64  // where in the journal the last chunks end
	next    time.Time // when Rate lets the next chunk be read
	awaited bool      // Await was successful
}

// Run is the backfill of one resource.
type Run struct {
	runner *Runner
	done   chan struct{} // closed when it is finished

	// The Runner's mutex guards these against Wait and Begin; only the loop writes.
	state State
	err   error // why it does not go on

	failures int       // in a row
	retry    time.Time // not before
}

// New makes a runner that goes on with what former ones have not finished. It does no
// I/O and starts nothing.
func New(opts Options, unfinished []State) *Runner {
	r := &Runner{opts: opts, wake: make(chan struct{}, 1), idle: true, pause: func() {}}
	r.life, r.end = context.WithCancel(context.Background())
	for _, s := range unfinished {
		r.runs = append(r.runs, r.run(s))
	}
	return r
}

func (r *Runner) run(s State) *Run { return &Run{runner: r, state: s, done: make(chan struct{})} }

// Begin puts a resource's backfill down, durably, and gives its run; the present one if
// it is under way. It is carried out as soon as the runner is started and those before
// it are done.
func (r *Runner) Begin(resource string) (*Run, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if present := r.find(resource); present != nil {
		return present, nil
	}
	if r.life.Err() != nil {
		return nil, cdc.ErrStopped
	}
	s := r.fresh(resource)
	// Under the mutex, which the loop holds for moments only: two that begin the same
	// resource must find one run.
	if err := r.save(s); err != nil {
		return nil, err
	}
	run := r.run(s)
	r.runs = append(r.runs, run)
	select {
	case r.wake <- struct{}{}:
	default:
	}
	return run, nil
}

// Underway reports whether a resource's run is not finished.
func (r *Runner) Underway(resource string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.find(resource) != nil
}

// Restart is Begin, but a run that is under way starts anew: what it has sent is lost.
// The runner is not started, or paused.
func (r *Runner) Restart(resource string) error {
	run, err := r.Begin(resource)
	if err != nil {
		return err
	}
	s := r.fresh(resource)
	if err := r.save(s); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	run.state = s
	return nil
}

// find gives the run of a resource, nil if there is none. The caller holds mu.
func (r *Runner) find(resource string) *Run {
	i := slices.IndexFunc(r.runs, func(run *Run) bool { return run.state.Resource == resource })
	if i < 0 {
		return nil
	}
	return r.runs[i]
}

// fresh gives the state of a new run.
func (r *Runner) fresh(resource string) State {
	s := State{Destination: r.opts.Destination, Resource: resource}
	rand.Read(s.Run[:])
	return s
}

// Start begins, or goes on, to carry out what was put down, when the source is
// captured: what is written from then on must be seen by a watch.
func (r *Runner) Start() {
	r.ctx, r.pause = context.WithCancel(r.life)
	// What waits from before counts as much as may wait, so that restarts don't add up.
	r.marks = slices.Repeat([]uint64{r.opts.Journal.Last()}, unsettled)
	r.rest(false)
	r.work.Go(r.loop)
}

// Pause ends what is under way at the next chunk. What is not finished stays put down,
// and waited for, until the next Start. It does nothing if the runner is not started.
func (r *Runner) Pause() {
	r.pause()
	r.work.Wait()
	r.rest(true)
}

func (r *Runner) rest(idle bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.idle = idle
}

// Stop is Pause for good: nobody waits any more. A second Stop does nothing.
func (r *Runner) Stop() {
	r.end()
	r.Pause()
}

// Abandon is Stop, and what is not finished is forgotten.
func (r *Runner) Abandon() error {
	r.Stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for _, run := range r.runs {
		errs = append(errs, r.forget(run.state))
	}
	return errors.Join(errs...)
}

// Wait waits until everything that the run sent is settled at the destination. It
// returns early when ctx ends, or with cdc.ErrStopped when the runner is stopped; then
// its error tells how far it got, and what keeps it if something does.
func (run *Run) Wait(ctx context.Context) error {
	var why error
	select {
	case <-run.done:
		return nil
	case <-run.runner.life.Done():
		why = cdc.ErrStopped
	case <-ctx.Done():
		why = context.Cause(ctx)
	}
	run.runner.mu.Lock()
	defer run.runner.mu.Unlock()
	select {
	case <-run.done:
		return nil
	default:
	}
	s := run.state
	switch {
	case run.err != nil:
		why = fmt.Errorf("%w: %w", run.err, why)
	case run.runner.idle && run.runner.life.Err() == nil:
		why = fmt.Errorf("paused: %w", why)
	}
	return fmt.Errorf("%s: %s: %d records read, %d sent: %w", s.Destination, s.Resource, s.Read, s.Sent, why)
}

// loop is the runner's one goroutine.
func (r *Runner) loop() {
	for r.ctx.Err() == nil {
		run, pause := r.choose(time.Now())
		switch {
		case run == nil:
			select {
			case <-r.wake:
			case <-r.ctx.Done():
			}
		case pause > 0:
			r.sleep(pause, r.wake)
		default:
			r.carry(run)
		}
	}
}

// choose gives the run whose turn it is, and how long it must wait yet. One that failed
// lets the others go first.
func (r *Runner) choose(now time.Time) (*Run, time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.runs) == 0 {
		return nil, 0
	}
	first := slices.MinFunc(r.runs, func(a, b *Run) int { return a.retry.Compare(b.retry) })
	return first, max(first.retry.Sub(now), 0)
}

// carry goes on with a run until it is done or fails.
func (r *Runner) carry(run *Run) {
	err := r.fill(run)
	if r.ctx.Err() != nil {
		return
	}
	r.mu.Lock()
	run.err = err
	if err == nil {
		r.runs = slices.DeleteFunc(r.runs, func(other *Run) bool { return other == run })
		close(run.done)
	} else {
		run.failures++
		run.retry = time.Now().Add(retries.Ceiling(run.failures))
	}
	r.mu.Unlock()
	r.tell(run, err == nil)
}

// fill sends chunk after chunk, waits until the last is settled, and forgets the run.
func (r *Runner) fill(run *Run) error {
	if r.opts.Await != nil && !r.awaited {
		if err := r.opts.Await(r.ctx); err != nil {
			return fmt.Errorf("wait for writes that were under way: %w", err)
		}
		r.awaited = true
	}
	for more := true; more; {
		if n := len(r.marks) - unsettled; n > 0 {
			if err := r.opts.Settled(r.ctx, r.marks[n-1]); err != nil {
				return err
			}
			r.marks = r.marks[n:]
		}
		if err := r.sleep(time.Until(r.next), nil); err != nil {
			return err
		}
		var err error
		if more, err = r.chunk(run); err != nil {
			return err
		}
	}
	if err := r.opts.Settled(r.ctx, r.marks[len(r.marks)-1]); err != nil {
		return err
	}
	return r.forget(run.state)
}

// chunk sends the next records, and reports whether there were any. How far the run
// got is saved after they are in the journal: whoever is killed in between sends them
// again.
func (r *Runner) chunk(run *Run) (more bool, err error) {
	s := run.state
	read, sent, err := r.send(&s)
	if err != nil || read == 0 {
		return false, err
	}
	s.Read, s.Sent = s.Read+uint64(read), s.Sent+uint64(sent)
	if sent > 0 {
		// Others may have appended in between, so this may be more than was sent.
		r.marks = append(r.marks, r.opts.Journal.Last())
	}
	if err := r.save(s); err != nil {
		return false, err
	}
	r.mu.Lock()
	run.state, run.err, run.failures = s, nil, 0
	r.mu.Unlock()
	if r.opts.Rate > 0 {
		r.next = time.Now().Add(time.Duration(read) * time.Second / time.Duration(r.opts.Rate))
	}
	r.tell(run, false)
	return true, nil
}

func (r *Runner) tell(run *Run, done bool) {
	if r.opts.Notify == nil {
		return
	}
	s := run.state
	r.opts.Notify(Progress{Resource: s.Resource, Read: s.Read, Sent: s.Sent, Done: done, Err: run.err})
}

// sleep waits for d, or until something is heard on early, or the runner is stopped,
// which is its error.
func (r *Runner) sleep(d time.Duration, early <-chan struct{}) error {
	if d <= 0 {
		return r.ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-early:
	case <-r.ctx.Done():
	}
	return r.ctx.Err()
}
