package replicator

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/s3db-go/replicator/cdc"
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
	fs       disk.FS
	journal  journal.Journal
	ledger   *ledger.Ledger
	schemas  *schemas
	engines  []destination
	recorder *capture.Recorder
	release  func() // unhooks the source

	routers []*route.Router
	wants   sync.Map // resource → Op: what any router wants of it
}

// destination is an engine with what it is asked about.
type destination struct {
	*engine.Engine
	name, driver string
}

// open brings everything up, each part on those before it. After an error the caller
// stops what is there.
func (r *Replicator) open(ctx context.Context) (*running, error) {
	run := &running{schemas: newSchemas(r.source, r.opts.Logger)}
	var err error
	if run.fs, err = disk.OS(r.opts.Dir); err != nil {
		return run, fmt.Errorf("replicator: %w", err)
	}
	j, err := journal.Open(run.fs, journal.Options{Logger: r.opts.Logger})
	if err != nil {
		return run, fmt.Errorf("replicator: %w", err)
	}
	run.journal = j
	if run.ledger, err = ledger.Open(filepath.Join(r.opts.Dir, "log.db")); err != nil {
		return run, fmt.Errorf("replicator: %w", err)
	}
	if err := run.retire(r.opts); err != nil {
		return run, err
	}

	// The engines first: a new destination's place is noted before anything is
	// journaled that it should get.
	for _, d := range r.opts.Destinations {
		if err := run.start(ctx, r, d); err != nil {
			return run, fmt.Errorf("replicator: %w", err)
		}
	}

	// What a former run left in doubt comes before whatever is written from now on.
	run.recorder = capture.New(capture.Options{
		Journal: run.journal, Source: r.source, Wants: run.wantsAny, Now: time.Now, Logger: r.opts.Logger,
	})
	if err := run.recorder.Recover(ctx); err != nil {
		return run, fmt.Errorf("replicator: %w", err)
	}
	if run.release, err = r.source.Capture(run.recorder); err != nil {
		return run, fmt.Errorf("replicator: capturing the source: %w", err)
	}
	return run, nil
}

// start brings up one destination.
func (run *running) start(ctx context.Context, r *Replicator, d Destination) error {
	router := route.New(d.rules(), route.Options{
		Destination: d.Name, ShouldReplicate: d.ShouldReplicate, Limits: limits(d.Driver), Schema: run.schemas.get,
	})
	e := engine.New(engine.Config{
		Name: d.Name, Driver: d.Driver, Journal: run.journal, Router: router, Ledger: run.ledger, Schema: router.Shape,
		Notify: r.notify(d), MaxRetries: r.opts.MaxRetries, Timeout: r.opts.Timeout, RecordSuccesses: r.opts.Log.Successes,
	})
	if err := e.Start(ctx); err != nil {
		return err
	}
	run.routers = append(run.routers, router)
	run.engines = append(run.engines, destination{e, d.Name, d.Driver.Name()})
	return nil
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
			if err := e.Drain(ctx, seq); err != nil {
				errs[i] = fmt.Errorf("%s: %d changes wait: %w", e.name, e.Stats().Waiting, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// stop takes everything down, in this order, as far as it came up. The source is
// captured until nothing delivers any more, so that what is written meanwhile is in
// the journal for the next Start.
func (run *running) stop(ctx context.Context) error {
	var errs []error
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
	return errors.Join(errs...)
}

// halt stops the engines side by side, since each may wait for its driver.
func (run *running) halt(ctx context.Context) error {
	errs := make([]error, len(run.engines))
	var wg sync.WaitGroup
	for i, e := range run.engines {
		wg.Go(func() { errs[i] = e.Stop(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
