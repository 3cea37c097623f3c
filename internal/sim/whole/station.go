package whole

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/backfill"
	"github.com/s3db-go/replicator/internal/engine"
	"github.com/s3db-go/replicator/internal/journal"
	"github.com/s3db-go/replicator/internal/ledger"
	"github.com/s3db-go/replicator/internal/route"
)

// station is a destination in one process: its engine, or the one that comes after it
// when the destination was paused, and its backfills.
type station struct {
	place  *place
	p      *process
	runner *backfill.Runner
	hub    *listeners

	turn   chan struct{}  // holds one value while it is started or stopped
	halted *engine.Engine // belongs to the turn
	mu     sync.Mutex     // guards engine
	engine *engine.Engine
}

func newStation(p *process, pl *place) *station {
	return &station{place: pl, p: p, turn: make(chan struct{}, 1), hub: newListeners(p, pl.Name)}
}

func (st *station) present() *engine.Engine {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.engine
}

// isNew reports whether the destination has no place in the journal yet.
func (st *station) isNew() bool {
	_, known := st.p.journal.Cursor(st.place.Name)
	return !known
}

// fill takes up the backfills that are not finished, and puts down those of a new
// destination.
func (st *station) fill(unfinished []backfill.State) error {
	name, old := st.place.Name, !st.isNew()
	unfinished = slices.DeleteFunc(slices.Clone(unfinished), func(s backfill.State) bool { return s.Destination != name })
	if !old {
		for _, s := range unfinished {
			if err := backfill.Forget(st.p.disk, s); err != nil {
				return err
			}
		}
		unfinished = nil
	}
	st.runner = backfill.New(backfill.Options{
		Destination: name, Source: st.p.source, Journal: st.p.journal, FS: st.p.disk, ChunkSize: 2,
		Settled: func(ctx context.Context, seq uint64) error { return st.present().Drain(ctx, seq) },
	}, unfinished)
	if old || !st.place.Late {
		return nil
	}
	for _, resource := range resources {
		if _, err := st.runner.Begin(resource); err != nil {
			return err
		}
	}
	return nil
}

// start brings up a new engine.
func (st *station) start(ctx context.Context) error {
	pl := st.place
	pl.w.mu.Lock()
	for _, e := range pl.entries {
		e.told, e.settled = false, false
	}
	pl.w.mu.Unlock()
	cfg := engine.Config{
		Name: pl.Name, Driver: driver{pl, st.p}.able(), Journal: saver{journal.For(st.p.journal, pl.Name), st}, Router: router{pl.router, pl},
		Ledger: st.p.book, Notify: st.noticed, Window: pl.Window, MaxRetries: pl.Retries, Timeout: timeout, RecordSuccesses: pl.Successes,
		Hold: pl.Hold, GiveUpAfter: pl.GiveUp, Read: st.p.source.present, Rand: pl.w.dice(fmt.Sprint("engine ", pl.Name, st.p.life)).Float64,
	}
	if pl.Syncs {
		cfg.Schema, cfg.Shapes = pl.router.Shape, pl.targets()
	}
	e := engine.New(cfg)
	st.mu.Lock()
	st.engine = e
	st.mu.Unlock()
	return e.Start(ctx)
}

// stop ends the engine. What it settled is not delivered again, if the cursor was
// saved.
func (st *station) stop(ctx context.Context) {
	st.turn <- struct{}{}
	defer func() { <-st.turn }()
	st.halt(ctx)
}

// halt does the work of stop. The caller has the turn.
func (st *station) halt(ctx context.Context) {
	e := st.present()
	if e == nil || e == st.halted {
		return
	}
	st.halted = e
	err := e.Stop(ctx)
	w := st.p.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil || st.p.isDead {
		return
	}
	for _, entry := range st.place.entries {
		entry.sealed = entry.sealed || entry.settled && entry.change.Origin != cdc.Replayed
	}
}

// await waits for calls that a stop left behind.
func (st *station) await() {
	if e := st.present(); e != nil {
		<-e.Gone()
	}
}

// pause stops the destination for a while, and may move it back.
func (st *station) pause(d time.Duration, back float64) {
	w := st.p.w
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	st.turn <- struct{}{}
	defer func() { <-st.turn }()
	w.say("%s: pause", st.place.Name)
	st.halt(ctx)
	st.await()
	if st.p.rest(d) != nil {
		return
	}
	if back > 0 {
		st.rewind(back)
	}
	w.say("%s: resume", st.place.Name)
	if err := st.start(context.Background()); err != nil && !st.p.died() && !w.troubled(err) {
		w.accuse("%s: resume: %v", st.place.Name, err)
	}
}

// rewind moves the cursor back into what the journal still has.
func (st *station) rewind(share float64) {
	w := st.p.w
	c, _ := st.p.journal.Cursor(st.place.Name)
	first := max(st.p.journal.Stats().First, 1)
	if c.Low < first {
		return
	}
	low := first - 1 + uint64(share*float64(c.Low+1-first))
	w.mu.Lock()
	for _, e := range st.place.entries {
		e.sealed = e.sealed && e.change.Seq <= low
	}
	w.log("%s: back to %d", st.place.Name, low)
	w.mu.Unlock()
	if err := st.p.journal.SaveCursor(st.place.Name, journal.Cursor{Low: low}); err != nil {
		w.say("%s: perhaps not moved back: %v", st.place.Name, err)
	}
}

// backfill asks for one, again and again if the disk fails: what could not be begun may
// be on the disk all the same.
func (st *station) backfill(resource string) {
	w := st.p.w
	w.say("%s: backfill of %s", st.place.Name, resource)
	for {
		_, err := st.runner.Begin(resource)
		if err == nil || errors.Is(err, cdc.ErrStopped) || st.p.died() {
			return
		}
		if !w.troubled(err) {
			w.accuse("%s: backfill: %v", st.place.Name, err)
		}
		if st.p.rest(time.Second) != nil {
			return
		}
	}
}

// retry puts all failures on the road again.
func (st *station) retry() {
	w := st.p.w
	for rows, err := range st.p.book.Failures(ledger.Query{Destination: st.place.Name}, 3) {
		n := 0
		if err == nil {
			n, err = st.present().Retry(context.Background(), rows)
		}
		w.say("%s: retry of %d: %v", st.place.Name, n, err)
		if err != nil && !errors.Is(err, cdc.ErrStopped) && !st.p.died() && !w.troubled(err) {
			w.accuse("%s: retry: %v", st.place.Name, err)
		}
	}
}

// discard gives up some of what failed.
func (st *station) discard(r *rand.Rand) {
	w := st.p.w
	for rows, err := range st.p.book.Failures(ledger.Query{Destination: st.place.Name}, 3) {
		n := 0
		if err == nil {
			rows = rows[r.IntN(len(rows)):]
			n, err = st.present().Discard(context.Background(), rows)
		}
		w.say("%s: discard of %d: %v", st.place.Name, n, err)
		if err != nil && !errors.Is(err, cdc.ErrStopped) && !st.p.died() && !w.troubled(err) {
			w.accuse("%s: discard: %v", st.place.Name, err)
		}
	}
}

func (pl *place) failing() bool {
	pl.w.mu.Lock()
	defer pl.w.mu.Unlock()
	for _, e := range pl.entries {
		if e.failed {
			return true
		}
	}
	return false
}

// meddle pauses and backfills destinations.
func (p *process) meddle() {
	w := p.w
	defer close(p.meddled)
	var each sync.WaitGroup
	defer each.Wait()
	r := w.dice(fmt.Sprint("meddle ", p.life))
	for range w.Pauses {
		st := p.stations[r.IntN(len(p.stations))]
		after, d, back := time.Duration(r.Int64N(int64(w.Spread))), time.Duration(r.Int64N(int64(20*time.Second))), max(r.Float64()*2-1, 0)
		each.Go(func() {
			if p.rest(after) == nil {
				st.pause(d, back)
			}
		})
	}
	for range w.Retries {
		st, after := p.stations[r.IntN(len(p.stations))], time.Duration(r.Int64N(int64(w.Spread)))
		each.Go(func() {
			if p.rest(after) == nil {
				st.retry()
			}
		})
	}
	for range w.Discards {
		st, after, dice := p.stations[r.IntN(len(p.stations))], time.Duration(r.Int64N(int64(w.Spread))), w.draw("discards")
		each.Go(func() {
			if p.rest(after) == nil {
				st.discard(dice)
			}
		})
	}
	for range w.Schemas {
		resource, after := resources[r.IntN(len(resources))], time.Duration(r.Int64N(int64(w.Spread)))
		each.Go(func() {
			if p.rest(after) == nil {
				p.source.alter(resource)
			}
		})
	}
	for range w.Fills {
		st, resource := p.stations[r.IntN(len(p.stations))], resources[r.IntN(len(resources))]
		after := time.Duration(r.Int64N(int64(w.Spread)))
		each.Go(func() {
			if p.rest(after) == nil {
				st.backfill(resource)
			}
		})
	}
}

// AppendTo notes what Retry read, under whose lock this is called.
func (s saver) AppendTo(ctx context.Context, destination string, changes []cdc.Change, watch *journal.Watch) (int, error) {
	w := s.st.p.w
	w.mu.Lock()
	for _, c := range changes {
		r := w.records[c.RecordKey()]
		w.restated[c.ChangeID] = restatement{r.state, len(r.applied)}
	}
	w.mu.Unlock()
	return s.Journal.AppendTo(ctx, destination, changes, watch)
}

// router tells the checks what the routes made of a change.
type router struct {
	*route.Router
	place *place
}

func (r router) Route(dst []route.Verdict, c *cdc.Change) ([]route.Verdict, error) {
	before := len(dst)
	dst, err := r.Router.Route(dst, c)
	if err == nil {
		r.place.routed(c, dst[before:])
	}
	return dst, err
}

// saver checks the cursors that an engine saves.
type saver struct {
	journal.Journal
	st *station
}

func (s saver) SaveCursor(name string, c journal.Cursor) error {
	w := s.st.p.w
	s.st.place.checkCursor(s.st.p, c)
	r := w.draw("cursor " + name)
	time.Sleep(time.Duration(r.Int64N(int64(50 * time.Millisecond))))
	return s.Journal.SaveCursor(name, c)
}
