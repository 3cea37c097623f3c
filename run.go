package replicator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/capture"
	"github.com/s3db-go/replicator/internal/disk"
	"github.com/s3db-go/replicator/internal/engine"
	"github.com/s3db-go/replicator/internal/journal"
	"github.com/s3db-go/replicator/internal/ledger"
	"github.com/s3db-go/replicator/internal/route"
	"github.com/s3db-go/replicator/internal/telemetry"
)

// running is what lives from a Start to its Stop. Its fields are set by open, in order,
// and only read afterwards, but for those that a mutex guards.
type running struct {
	fs        disk.FS
	kept      disk.FS // fs, nil if nothing outlives the process
	journal   journal.Journal
	ledger    *ledger.Ledger
	schemas   *schemas
	places    chan struct{} // see Options.Concurrency; nil without a cap
	relief    *relief
	gap       *gap     // what was not captured; nil until the journal is open
	copy      *logCopy // nil if there is none
	temporary string   // a directory that stop removes, "" if there is none
	recorder  *capture.Recorder
	telemetry *telemetry.Telemetry     // nil if nobody listens
	release   func()                   // unhooks the source
	wanted    atomic.Pointer[interest] // what the destinations want

	life       context.Context // ends with Stop's begin
	end        context.CancelFunc
	operations sync.WaitGroup // what operate and later have under way
	joining    chan struct{}  // holds one value while a destination is added

	mu           sync.Mutex     // guards what follows, and that no operation begins after the end
	destinations []*destination // replaced, never changed
	departed     []*destination // removed, with a call that may not have returned
}

func newRunning(source cdc.Source) *running {
	run := &running{schemas: newSchemas(source), relief: newRelief(), joining: make(chan struct{}, 1)}
	run.life, run.end = context.WithCancel(context.Background())
	run.wanted.Store(&interest{})
	return run
}

// open brings everything up, each part on those before it. After an error the caller
// stops what is there.
func (r *Replicator) open(ctx context.Context) (*running, error) {
	run := newRunning(r.source)
	recovering := r.tellRecovery()
	defer recovering.end()
	recovering.at("opening the journal")
	var err error
	dir := r.opts.Dir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "replicator-"); err != nil {
			return run, fmt.Errorf("replicator: %w", err)
		}
		run.temporary = dir
	}
	if run.fs, err = disk.OS(dir); err != nil {
		return run, fmt.Errorf("replicator: Dir %s: %w", dir, err)
	}
	if !r.opts.Volatile {
		run.kept = run.fs
	}
	if run.gap, err = openGap(run.kept); err != nil {
		return run, fmt.Errorf("replicator: %w", err)
	}
	if err := r.openJournal(run); err != nil {
		return run, fmt.Errorf("replicator: %w", err)
	}
	recovering.at("opening the log")
	if run.ledger, err = ledger.Open(filepath.Join(dir, "log.db")); err != nil {
		return run, fmt.Errorf("replicator: %w", err)
	}
	if run.copy, err = r.openCopy(run); err != nil {
		return run, fmt.Errorf("replicator: %w", err)
	}
	if err := run.retire(r.opts); err != nil {
		return run, err
	}
	if err := r.pauses.load(run.kept); err != nil {
		return run, fmt.Errorf("replicator: %w", err)
	}

	if err := r.observe(run); err != nil {
		return run, fmt.Errorf("replicator: %w", err)
	}
	recovering.at("opening the destinations")
	// The engines first: a new destination's place is noted before anything is
	// journaled that it should get.
	if err := run.start(ctx, r); err != nil {
		return run, fmt.Errorf("replicator: %w", err)
	}

	recovering.at("resolving writes that were interrupted")
	// What a former run left in doubt comes before whatever is written from now on.
	run.recorder = capture.New(capture.Options{
		Journal: run.journal, Source: r.source, Resources: run.resources, FS: run.kept, Wants: run.wants(r.opts.Logger), Now: time.Now, Logger: r.opts.Logger,
		Trace: r.opts.Telemetry.traces(),
	})
	if err := run.recorder.Recover(ctx); err != nil {
		return run, fmt.Errorf("replicator: %w", err)
	}
	if s, ok := r.source.(reporter); ok {
		s.report(r.opts.Logger)
	}
	if run.release, err = r.source.Capture(run.recorder); err != nil {
		return run, fmt.Errorf("replicator: capturing the source (one Replicator carries a source to all its destinations): %w", err)
	}
	switch r.opts.OnFull {
	case DetachSlowest:
		run.later(func(ctx context.Context) { r.relieve(ctx, run) })
	case Unjournaled:
		run.later(func(ctx context.Context) { r.watchGap(ctx, run) })
	}
	for _, d := range run.all() {
		if d.is(delivering) {
			d.refill()
		}
	}
	r.keepLog(run)
	return run, nil
}

// start brings up the destinations that are not paused, side by side: one that does not
// answer keeps no other waiting.
func (run *running) start(ctx context.Context, r *Replicator) error {
	if r.opts.Concurrency > 0 {
		run.places = make(chan struct{}, r.opts.Concurrency)
	}
	for _, d := range r.opts.Destinations {
		run.join(run.destination(r, d))
		if run.places != nil {
			run.places <- struct{}{} // beside which each has one of its own
		}
	}
	if err := run.fill(r); err != nil {
		return err
	}
	all := run.all()
	if run.kept != nil && slices.ContainsFunc(all, (*destination).isNew) {
		if err := capture.ForgetSchemas(run.kept); err != nil {
			return err
		}
	}
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, d := range all {
		wg.Go(func() {
			if pause, resting := r.pauses.get(d.Name); resting {
				d.become(paused, func() { d.pause = pause })
				errs[i] = d.rest()
				return
			}
			errs[i] = d.start(ctx)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// destination makes what one needs to run, and starts nothing.
func (run *running) destination(r *Replicator, d Destination) *destination {
	router := d.router(run.schemas)
	_, lister := scans(r.source)
	made := &destination{
		Destination: d, router: router, journal: run.journal, resources: lister,
		turn: make(chan struct{}, 1), changed: make(chan struct{}),
	}
	made.make = func() *engine.Engine {
		return engine.New(engine.Config{
			Name: d.Name, Driver: d.Driver, Journal: journal.For(run.journal, d.Name), Router: router, Ledger: run.ledger, Schema: router.Shape,
			Shapes: run.shapes(r, d), Notify: r.notify(run, d), MaxRetries: r.opts.MaxRetries, Timeout: r.opts.Timeout, RecordSuccesses: r.opts.Log.Successes,
			GiveUpAfter: r.opts.GiveUpAfter, Places: run.places, Hold: d.OnFailure == Hold, Rate: d.Rate, Read: reads(r.source), Replicator: d.Name,
			Observe: run.telemetry.Attempts(d.Name, d.Driver.Name()),
		})
	}
	return made
}

// router makes the destination's routes ready to be asked.
func (d Destination) router(s *schemas) *route.Router {
	return route.New(d.rules(), route.Options{
		Destination: d.Name, ShouldReplicate: d.ShouldReplicate, Limits: limits(d.Driver), Schema: s.get,
	})
}

// shapes gives what is known of the destination's targets before the first change. A
// resource that a route names and the source does not have may still come.
func (run *running) shapes(r *Replicator, d Destination) (shapes []engine.Sync) {
	if !describes(r.source) {
		return nil
	}
	for i, rule := range d.Routes {
		if rule.From == route.Everything {
			continue
		}
		if _, ok, err := run.schemas.get(rule.From, 0); ok || err != nil {
			shapes = append(shapes, engine.Sync{Target: cmp.Or(rule.To, rule.From), Resource: rule.From, Rule: i})
			continue
		}
		r.opts.Logger.Warn("a route names a resource that the source does not have yet", "destination", d.Name, "resource", rule.From)
	}
	return shapes
}

func limits(d Driver) func(target string) cdc.Limits {
	if l, ok := d.(cdc.Limited); ok {
		return l.Limits
	}
	return nil
}

// retire gives up the cursors that the user named, and refuses those that belong to
// nobody.
func (run *running) retire(o Options) error {
	var orphans []string
	for _, name := range run.journal.Cursors() {
		if slices.ContainsFunc(o.Destinations, func(d Destination) bool { return d.Name == name }) {
			continue
		}
		_, n := unsettled(run.journal, name)
		if !slices.Contains(o.Retired, name) {
			waits := "nothing waits"
			if n > 0 {
				waits = counted(n, "change waits", "changes wait")
			}
			orphans = append(orphans, fmt.Sprintf("%q, for which %s", name, waits))
			continue
		}
		if err := run.journal.DropCursor(name); err != nil {
			return fmt.Errorf("replicator: retiring %q: %w", name, err)
		}
		o.Logger.Warn("destination retired", "destination", name, "changes", n)
	}
	if orphans != nil {
		return fmt.Errorf("replicator: %s knows what is not configured: %s; configure it again, or name it in Options.Retired if it is given up or has a new name",
			o.Dir, strings.Join(orphans, "; "))
	}
	return nil
}

// all gives the destinations.
func (run *running) all() []*destination {
	run.mu.Lock()
	defer run.mu.Unlock()
	return run.destinations
}

// find gives a destination by its name, nil if there is none.
func (run *running) find(name string) *destination {
	for _, d := range run.all() {
		if d.Name == name {
			return d
		}
	}
	return nil
}

// join and part change the set of destinations.
func (run *running) join(d *destination) {
	run.mu.Lock()
	defer run.mu.Unlock()
	run.destinations = append(slices.Clone(run.destinations), d)
	run.wanted.Store(interestOf(run.destinations))
}

func (run *running) part(d *destination) {
	run.mu.Lock()
	defer run.mu.Unlock()
	run.destinations = slices.DeleteFunc(slices.Clone(run.destinations), func(other *destination) bool { return other == d })
	run.wanted.Store(interestOf(run.destinations))
	run.departed = append(run.departed, d)
}

// resources gives those that routes name, and if a route is for everything those that
// the source has.
func (run *running) resources() []string {
	var names []string
	for _, d := range run.all() {
		names = append(names, d.named()...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// drain waits until every destination that is not paused has settled the journal up to
// seq.
func (run *running) drain(ctx context.Context, seq uint64) error {
	all := run.all()
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, d := range all {
		wg.Go(func() {
			if err := d.drain(ctx, seq); err != nil {
				errs[i] = fmt.Errorf("%s: %w: %w", d.Name, waiting(d.stats()), err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// waiting says how much a destination has not settled, and why if that is known.
func waiting(s DestinationStats) error {
	changes := counted(s.Waiting, "change waits", "changes wait")
	if s.Err == "" {
		return fmt.Errorf("%s in the journal", changes)
	}
	return fmt.Errorf("%s in the journal (%s)", changes, s.Err)
}

// counted says a number of what.
func counted[N int | uint64](n N, one, many string) string {
	if n == 1 {
		many = one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// stop takes everything down, in this order, as far as it came up. The source is
// captured until nothing delivers any more, so that what is written meanwhile is in
// the journal for the next Start.
func (run *running) stop(ctx context.Context) error {
	var errs []error
	run.close()
	all := run.all()
	errs = append(errs, run.telemetry.Stop(), run.halt(ctx))
	run.copy.finish(ctx)
	if run.recorder != nil {
		run.recorder.Stop()
	}
	if run.release != nil {
		run.release()
	}
	if run.journal != nil {
		errs = append(errs, run.gap.grow(run.journal.Stats().Unjournaled, all), run.journal.Close())
	}
	if run.ledger != nil {
		errs = append(errs, run.ledger.Close())
	}
	if run.fs != nil {
		errs = append(errs, run.fs.Close())
	}
	if run.temporary != "" {
		errs = append(errs, os.RemoveAll(run.temporary))
	}
	return errors.Join(errs...)
}

// halt stops the destinations side by side, since each may wait for its driver.
func (run *running) halt(ctx context.Context) error {
	all := run.all()
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, d := range all {
		wg.Go(func() { errs[i] = d.finish(ctx, cdc.ErrStopped) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
