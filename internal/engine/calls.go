package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/ledger"
	"github.com/s3db-go/replicator/internal/panics"
)

// perform does what the core asks for. What takes time runs on a goroutine of its
// own.
func (e *Engine) perform(action Action) {
	switch a := action.(type) {
	case Load:
		e.load = a
		e.due = make(chan struct{})
		close(e.due)
	case Apply:
		e.async(func() Event { return e.apply(a.Attempt) })
	case Record:
		e.async(func() Event { return Recorded{e.record(a.Outcomes)} })
	case Save:
		e.async(func() Event { return Saved{e.cfg.Journal.SaveCursor(e.cfg.Name, a.Cursor)} })
	case Sync:
		e.async(func() Event { return e.sync(a) })
	case Open:
		e.async(func() Event { return Opened{e.within(e.ctx, e.cfg.Driver.(cdc.Opener).Open)} })
	case Check:
		e.async(func() Event { return Checked{e.within(e.ctx, e.cfg.Driver.(cdc.Checker).Check)} })
	case Wake:
		e.timer.Reset(time.Until(a.At))
	case Notify:
		for _, n := range a.Notices {
			e.cfg.Notify(n)
		}
	}
}

// async runs a call on a goroutine and brings its end to the loop, if that still
// runs then.
func (e *Engine) async(call func() Event) {
	e.pending++
	e.work.Go(func() {
		select {
		case e.events <- call():
		case <-e.done:
		}
	})
}

func (e *Engine) apply(a *Attempt) Finished {
	start := time.Now()
	err := e.within(e.ctx, func(ctx context.Context) error { return e.cfg.Driver.Apply(ctx, a.Deliveries) })
	return Finished{Attempt: a, Err: err, Took: time.Since(start)}
}

func (e *Engine) sync(s Sync) Synced {
	schema, ok := e.cfg.Schema(s.Resource, s.Rule)
	if !ok {
		return Synced{Sync: s}
	}
	err := e.within(e.ctx, func(ctx context.Context) error {
		return e.cfg.Driver.(cdc.SchemaSyncer).SyncSchema(ctx, s.Target, schema)
	})
	return Synced{Sync: s, Version: schema.Version, Err: err}
}

// within calls the driver with the timeout of an attempt. A panic is an error like
// any other, so that it costs this attempt and not the process; its stack stays
// out, since errors end up where users look.
func (e *Engine) within(ctx context.Context, call func(context.Context) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.Timeout)
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			err = panics.Error("the driver "+e.cfg.Driver.Name(), v)
		}
	}()
	return call(ctx)
}

func (e *Engine) record(outcomes []Outcome) error {
	now := time.Now()
	rows := make([]ledger.Row, len(outcomes))
	for i, o := range outcomes {
		rows[i] = ledger.Row{
			Replicator:  e.cfg.Replicator,
			Destination: e.cfg.Name,
			Driver:      e.cfg.Driver.Name(),
			Target:      o.Target,
			Status:      ledger.Replicated,
			Time:        now,
			CreatedAt:   now,
			Attempts:    o.Calls,
			Duration:    o.Took,
			Change:      *o.Change,
		}
		if o.Status == Failed {
			rows[i].Status, rows[i].Error = ledger.Failed, o.Err.Error()
		}
	}
	if err := e.cfg.Ledger.Put(rows...); err != nil {
		return fmt.Errorf("%s: write ledger: %w", e.cfg.Name, err)
	}
	return nil
}
