package replicator

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/backfill"
	"github.com/s3db-go/replicator/internal/engine"
	"github.com/s3db-go/replicator/internal/journal"
	"github.com/s3db-go/replicator/internal/route"
)

// destination is a Destination while the replicator runs: what delivers to it and what
// backfills it. An engine runs only once, so whatever stops one for a while makes a new
// one afterwards.
type destination struct {
	Destination
	router    *route.Router
	journal   journal.Journal
	resources cdc.Lister            // nil if the source does not list them
	backfill  *backfill.Runner      // nil if the source can't be scanned
	make      func() *engine.Engine // not started

	turn chan struct{} // holds one value while somebody stops or starts what delivers

	mu      sync.Mutex // guards what follows; nothing is called under it
	state   state
	engine  *engine.Engine // the present one or the last, nil before the first
	pause   Pause          // while paused
	err     error          // why it is between, or what is over
	past    engine.Stats   // the counts of former engines
	waits   backlog        // while it does not deliver
	changed chan struct{}  // closed and replaced with state
}

// state is what a destination does.
type state uint8

const (
	between    state = iota // not started, or stopped to be started again soon
	delivering              // its engine runs
	paused                  // until somebody resumes it
	over                    // removed, or the replicator stops
)

// take waits for the turn to stop or start what delivers. A turn that is free is taken
// also under an ended context: what Pause or Remove do without waiting is asked for.
func (d *destination) take(ctx context.Context) error {
	select {
	case d.turn <- struct{}{}:
		return nil
	default:
	}
	select {
	case d.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (d *destination) give() { <-d.turn }

// become changes the state. The caller has the turn, or nobody knows the destination
// yet.
func (d *destination) become(s state, change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.state, d.err, d.waits = s, nil, backlog{}
	if change != nil {
		change()
	}
	close(d.changed)
	d.changed = make(chan struct{})
}

// present gives the engine, the last one if none runs, nil if there never was one.
func (d *destination) present() *engine.Engine {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.engine
}

func (d *destination) is(s state) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.state == s
}

// start brings up a new engine. After an error nothing has changed. The last engine must
// be gone.
func (d *destination) start(ctx context.Context) error {
	e := d.make()
	if err := e.Start(ctx); err != nil {
		return err
	}
	d.become(delivering, func() { d.engine = e })
	return nil
}

// isNew reports whether the destination has no place in the journal yet.
func (d *destination) isNew() bool {
	_, known := d.journal.Cursor(d.Name)
	return !known
}

// rest takes the place of start for a destination that is paused from the beginning.
// One that is new has its place in the journal from then on, as any other.
func (d *destination) rest() error {
	if !d.isNew() {
		return nil
	}
	return d.journal.SaveCursor(d.Name, journal.Cursor{Low: d.journal.Last()})
}

// refill lets the backfills go on.
func (d *destination) refill() {
	if d.backfill != nil {
		d.backfill.Start()
	}
}

// halt stops backfill and engine, as far as they run. What it says is about calls that
// had to be left, or of a cursor that could not be saved: nothing delivers any more.
func (d *destination) halt(ctx context.Context) error {
	if d.backfill != nil {
		d.backfill.Pause()
	}
	if !d.is(delivering) {
		return nil
	}
	e := d.present()
	err := e.Stop(ctx)
	s := e.Stats()
	d.become(between, func() { d.past = sum(d.past, s) })
	return err
}

// finish is halt for good. Those who wait for it to drain get why.
func (d *destination) finish(ctx context.Context, why error) error {
	if d.backfill != nil {
		d.backfill.Stop()
	}
	err := d.halt(ctx)
	d.become(over, func() { d.err = why })
	return err
}

// fail notes why the destination, which is between, has not started again.
func (d *destination) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
}

// sum adds the counts of what a stopped engine has settled. What was under way is
// counted by the next one.
func sum(a, b engine.Stats) engine.Stats {
	b.Wanted = b.Replicated + b.Coalesced + b.Skipped + b.Failed
	return engine.Stats{
		Wanted: a.Wanted + b.Wanted, Replicated: a.Replicated + b.Replicated, Coalesced: a.Coalesced + b.Coalesced,
		Skipped: a.Skipped + b.Skipped, Failed: a.Failed + b.Failed, Attempts: a.Attempts + b.Attempts, Retried: a.Retried + b.Retried,
	}
}

// errLeft: a driver's call that had to be left behind still runs.
var errLeft = errors.New("a call from before has not returned")

// left reports whether the last engine left a call behind that still runs. What that
// carries may yet be applied, after whatever a new engine would send.
func (d *destination) left() bool {
	e := d.present()
	if e == nil {
		return false
	}
	select {
	case <-e.Gone():
		return false
	default:
		return true
	}
}

// free waits until the last engine's calls have returned.
func (d *destination) free(ctx context.Context) error {
	e := d.present()
	if e == nil {
		return nil
	}
	select {
	case <-e.Gone():
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", errLeft, context.Cause(ctx))
	}
}

// drain waits until the journal is settled up to seq, or nothing delivers any more: a
// destination that is paused or removed is not waited for.
func (d *destination) drain(ctx context.Context, seq uint64) error {
	for {
		d.mu.Lock()
		s, e, why, changed := d.state, d.engine, d.err, d.changed
		d.mu.Unlock()
		switch s {
		case paused:
			return nil
		case over:
			return why
		case delivering:
			if err := e.Drain(ctx, seq); !errors.Is(err, cdc.ErrStopped) {
				return err
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// backlog is what is known of the changes that wait while nothing delivers.
type backlog struct {
	seen   uint64    // nothing up to this Seq waits for this destination
	oldest time.Time // the first that waits, zero if it was not found yet
}

// stats tells how the destination stands.
func (d *destination) stats() DestinationStats {
	d.mu.Lock()
	s, e, p, past, reason := d.state, d.engine, d.pause, d.past, d.err
	d.mu.Unlock()
	if s == delivering {
		now := e.Stats()
		counts := sum(past, now)
		counts.Wanted += uint64(now.Loaded)
		return destinationStats(d.Driver.Name(), counts, now)
	}
	out := destinationStats(d.Driver.Name(), past, engine.Stats{})
	out.Waiting, out.Lag = d.waiting()
	if out.Err = text(reason); s == paused {
		out.Paused = &p
	}
	return out
}

// waiting tells how much waits, and the age of the oldest, by the cursor.
func (d *destination) waiting() (uint64, time.Duration) {
	cursor, n := unsettled(d.journal, d.Name)
	if n == 0 {
		return 0, 0
	}
	d.mu.Lock()
	known, changed := d.waits, d.changed
	d.mu.Unlock()
	if known.oldest.IsZero() {
		known = d.look(cursor, known)
		d.mu.Lock()
		if d.changed == changed {
			d.waits = known
		}
		d.mu.Unlock()
	}
	if known.oldest.IsZero() {
		return n, 0
	}
	return n, max(time.Since(known.oldest), 0)
}

// unsettled gives a destination's cursor and how many changes it has not settled.
func unsettled(j journal.Journal, destination string) (journal.Cursor, uint64) {
	cursor, _ := j.Cursor(destination)
	n := j.Last() - cursor.Low
	for _, r := range cursor.Ranges {
		n -= r.Last - r.First + 1
	}
	return cursor, n
}

// look goes on to search for the first change that waits.
func (d *destination) look(cursor journal.Cursor, known backlog) backlog {
	reader, err := d.journal.ReadFor(d.Name, max(cursor.Low, known.seen))
	if err != nil {
		return known // Stats of the journal say what is wrong with it
	}
	defer reader.Close()
	for {
		entries, err := reader.Next(1)
		if err != nil || len(entries) == 0 {
			return known
		}
		for _, e := range entries {
			if e.Kind == journal.Committed && !settledAt(cursor, e.Change.Seq) {
				known.oldest = e.Change.Time
				return known
			}
			known.seen = e.Change.Seq
		}
	}
}

func settledAt(c journal.Cursor, seq uint64) bool {
	for _, r := range c.Ranges {
		if r.First <= seq && seq <= r.Last {
			return true
		}
	}
	return seq <= c.Low
}
