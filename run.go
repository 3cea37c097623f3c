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
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/backfill"
	"github.com/s3db-go/replicator/internal/capture"
	"github.com/s3db-go/replicator/internal/disk"
	"github.com/s3db-go/replicator/internal/engine"
	"github.com/s3db-go/replicator/internal/journal"
	"github.com/s3db-go/replicator/internal/ledger"
	"github.com/s3db-go/replicator/internal/route"
)

// running is what lives from a Start to its Stop. Its fields are set by open, in order,
// and only read afterwards.
type running struct {
	fs        disk.FS
	journal   journal.Journal
	ledger    *ledger.Ledger
	schemas   *schemas
	engines   []*destination
	relief    *relief // nil until the journal is open
	temporary string  // a directory that stop removes, "" if there is none
	recorder  *capture.Recorder
	release   func() // unhooks the source

	fillers []*filler // as Options.Destinations
	routers []*route.Router
	wants   sync.Map // resource → Op: what any router wants of it
}

// open brings everything up, each part on those before it. After an error the caller
// stops what is there.
func (r *Replicator) open(ctx context.Context) (*running, error) {
	run := &running{schemas: newSchemas(r.source)}
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
	if err := r.openJournal(run); err != nil {
		return run, fmt.Errorf("replicator: %w", err)
	}
	if run.ledger, err = ledger.Open(filepath.Join(dir, "log.db")); err != nil {
		return run, fmt.Errorf("replicator: %w", err)
	}
	if err := run.retire(r.opts); err != nil {
		return run, err
	}

	// The engines first: a new destination's place is noted before anything is
	// journaled that it should get.
	if err := run.start(ctx, r); err != nil {
		return run, fmt.Errorf("replicator: %w", err)
	}

	// What a former run left in doubt comes before whatever is written from now on.
	run.recorder = capture.New(capture.Options{
		Journal: run.journal, Source: r.source, Wants: run.wantsAny, Now: time.Now, Logger: r.opts.Logger,
	})
	if err := run.recorder.Recover(ctx); err != nil {
		return run, fmt.Errorf("replicator: %w", err)
	}
	if run.release, err = r.source.Capture(run.recorder); err != nil {
		return run, fmt.Errorf("replicator: capturing the source (one Replicator carries a source to all its destinations): %w", err)
	}
	if r.opts.OnFull == DetachSlowest {
		run.relief.work.Go(func() { r.relieve(run) })
	}
	run.eachRunner((*backfill.Runner).Start)
	return run, nil
}

// start brings up the destinations, side by side: one that does not answer keeps no
// other waiting.
func (run *running) start(ctx context.Context, r *Replicator) error {
	errs := make([]error, len(r.opts.Destinations))
	var places chan struct{} // beside one for each destination
	if cap := r.opts.Concurrency; cap > 0 {
		places = make(chan struct{}, cap-len(r.opts.Destinations))
	}
	var wg sync.WaitGroup
	for _, d := range r.opts.Destinations {
		router := route.New(d.rules(), route.Options{
			Destination: d.Name, ShouldReplicate: d.ShouldReplicate, Limits: limits(d.Driver), Schema: run.schemas.get,
		})
		config := engine.Config{
			Name: d.Name, Driver: d.Driver, Journal: journal.For(run.journal, d.Name), Router: router, Ledger: run.ledger, Schema: router.Shape,
			Shapes: run.shapes(r, d), Notify: r.notify(d), MaxRetries: r.opts.MaxRetries, Timeout: r.opts.Timeout, RecordSuccesses: r.opts.Log.Successes,
			GiveUpAfter: r.opts.GiveUpAfter, Places: places, Hold: d.OnFailure == Hold, Rate: d.Rate,
		}
		up := &destination{name: d.Name, driver: d.Driver.Name(), make: func() *engine.Engine { return engine.New(config) }}
		run.routers = append(run.routers, router)
		run.engines = append(run.engines, up)
	}
	if err := run.fill(r); err != nil {
		return err
	}
	for i, up := range run.engines {
		wg.Go(func() { errs[i] = up.start(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// shapes gives what is known of the destination's targets before the first change. A
// resource that a route names and the source does not have may still come.
func (run *running) shapes(r *Replicator, d Destination) (shapes []engine.Sync) {
	for i, rule := range d.Routes {
		if rule.From == "*" || run.schemas.source == nil {
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
		cursor, _ := run.journal.Cursor(name)
		waiting := run.journal.Last() - cursor.Low
		for _, settled := range cursor.Ranges {
			waiting -= settled.Last - settled.First + 1
		}
		if !slices.Contains(o.Retired, name) {
			orphans = append(orphans, fmt.Sprintf("%q, for which %d changes wait", name, waiting))
			continue
		}
		if err := run.journal.DropCursor(name); err != nil {
			return fmt.Errorf("replicator: retiring %q: %w", name, err)
		}
		o.Logger.Warn("destination retired", "destination", name, "changes", waiting)
	}
	if orphans != nil {
		return fmt.Errorf("replicator: %s knows destinations that are not configured: %s; configure them again or name them in Options.Retired",
			o.Dir, strings.Join(orphans, "; "))
	}
	return nil
}

// wantsAny reports whether any destination wants such a change.
func (run *running) wantsAny(resource string, op Op) bool {
	if ops, ok := run.wants.Load(resource); ok {
		return ops.(Op).Has(op)
	}
	var ops Op
	for _, each := range []Op{Inserted, Updated, Deleted} {
		for _, router := range run.routers {
			if router.Wants(resource, each) {
				ops |= each
			}
		}
	}
	run.wants.Store(resource, ops)
	return ops.Has(op)
}

// drain waits until every destination has settled the journal up to seq.
func (run *running) drain(ctx context.Context, seq uint64) error {
	errs := make([]error, len(run.engines))
	var wg sync.WaitGroup
	for i, e := range run.engines {
		wg.Go(func() {
			if err := e.present().Drain(ctx, seq); err != nil {
				errs[i] = fmt.Errorf("%s: %w: %w", e.name, waiting(destinationStats(e.driver, e.present().Stats())), err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// waiting says how much a destination has not settled, and why if that is known.
func waiting(s DestinationStats) error {
	changes := "changes wait"
	if s.Waiting == 1 {
		changes = "change waits"
	}
	if s.Err == "" {
		return fmt.Errorf("%d %s in the journal", s.Waiting, changes)
	}
	return fmt.Errorf("%d %s in the journal (%s)", s.Waiting, changes, s.Err)
}

// stop takes everything down, in this order, as far as it came up. The source is
// captured until nothing delivers any more, so that what is written meanwhile is in
// the journal for the next Start.
func (run *running) stop(ctx context.Context) error {
	var errs []error
	run.eachRunner((*backfill.Runner).Stop)
	if run.relief != nil {
		run.relief.stop()
	}
	errs = append(errs, run.halt(ctx))
	if run.recorder != nil {
		run.recorder.Stop()
	}
	if run.release != nil {
		run.release()
	}
	if run.journal != nil {
		errs = append(errs, run.journal.Close())
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

// halt stops the engines side by side, since each may wait for its driver.
func (run *running) halt(ctx context.Context) error {
	errs := make([]error, len(run.engines))
	var wg sync.WaitGroup
	for i, e := range run.engines {
		if up := e.present(); up != nil {
			wg.Go(func() { errs[i] = up.Stop(ctx) })
		}
	}
	wg.Wait()
	return errors.Join(errs...)
}
