package engine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/ledger"
	"github.com/s3db-go/replicator/internal/panics"
)

// perform does what the core asks for. What takes time runs when the turn is over, or on
// another goroutine.
func (e *Engine) perform(action Action) {
	switch a := action.(type) {
	case Load:
		e.watched(loading, func() Event { return e.read(a.Bytes) })
	case Fetch:
		e.watched(fetching, func() Event { return e.reread(a) })
	case Apply:
		e.async(func() Event { return e.apply(a.Attempt) })
	case Record:
		e.watched(recording, func() Event { return e.record(a.Outcomes) })
	case Save:
		e.watched(saving, func() Event { return Saved{e.cfg.Journal.SaveCursor(e.cfg.Name, a.Cursor)} })
	case Sync:
		e.async(func() Event { return e.sync(a) })
	case Open:
		e.async(func() Event {
			return Opened{e.within(e.ctx, time.Now().Add(e.cfg.Timeout), e.cfg.Driver.(cdc.Opener).Open)}
		})
	case Check:
		e.async(func() Event {
			return Checked{e.within(e.ctx, time.Now().Add(e.cfg.Timeout), e.cfg.Driver.(cdc.Checker).Check)}
		})
	case Wake:
		e.timer.Reset(time.Until(a.At))
	case Notify:
		for _, n := range a.Notices {
			e.cfg.Notify(n)
		}
	}
}

// async has a call done, whose end the core is told. The first of several is kept for who
// has the turn.
func (e *Engine) async(call func() Event) {
	e.pending++
	if e.kept == nil {
		e.kept = call
	} else {
		e.hand(call)
	}
}

// hand gives a call to a goroutine that waits for work, if there is one: the stack of a
// new one would have to grow first, each time. nil gives it the turn. The caller has that.
func (e *Engine) hand(call func() Event) {
	select {
	case e.calls <- call:
	default:
		e.work.Go(func() { e.serve(call) })
	}
}

// serve does a call, and what follows from its end, and then what comes while it waits for
// work.
func (e *Engine) serve(call func() Event) {
	for open := true; open; call, open = <-e.calls {
		for call == nil || e.turn.take(news{event: call(), call: true}) {
			if call = e.decide(); call == nil {
				break
			}
		}
	}
}

// watched is async for what has to come to an end by itself.
func (e *Engine) watched(t task, call func() Event) {
	e.async(func() Event {
		defer e.pulse.begin(t, time.Now())()
		return call()
	})
}

func (e *Engine) apply(a *Attempt) Finished {
	leave, err := e.place()
	if err != nil {
		return Finished{Attempt: a, Err: err}
	}
	defer leave()
	start := time.Now()
	ctx, end := e.cfg.Observe(e.ctx, a.Deliveries)
	err = e.within(ctx, start.Add(a.timeout), func(ctx context.Context) error { return e.cfg.Driver.Apply(ctx, a.Deliveries) })
	end(err)
	return Finished{Attempt: a, Err: err, Took: time.Since(start)}
}

// place waits for a place among the attempts of all engines. One is each engine's own,
// so that the calls of one that hang leave the others at least that.
func (e *Engine) place() (leave func(), err error) {
	if e.cfg.Places == nil {
		return func() {}, nil
	}
	select {
	case e.own <- struct{}{}:
		return func() { <-e.own }, nil
	case e.cfg.Places <- struct{}{}:
		return func() { <-e.cfg.Places }, nil
	case <-e.ctx.Done():
		return nil, e.ctx.Err()
	}
}

func (e *Engine) sync(s Sync) Synced {
	schema, ok, err := e.shape(s)
	if err != nil {
		return Synced{Sync: s, Err: err}
	}
	if !ok {
		return Synced{Sync: s, Version: s.wanted} // there is none to sync
	}
	err = e.within(e.ctx, time.Now().Add(e.cfg.Timeout), func(ctx context.Context) error {
		return e.cfg.Driver.(cdc.SchemaSyncer).SyncSchema(ctx, s.Target, schema)
	})
	return Synced{Sync: s, Version: schema.Version, Err: err}
}

// shape gives the schema for a sync: the source's, in the version that is wanted or a later
// one, and with it the fields of the one that the journal brings.
func (e *Engine) shape(s Sync) (cdc.Schema, bool, error) {
	if s.news == nil || s.news.schema == nil {
		return e.cfg.Schema(s.Resource, s.Rule, s.wanted)
	}
	brought, err := e.cfg.Router.ShapeOf(*s.news.schema, s.Rule)
	if err != nil {
		return cdc.Schema{}, false, err
	}
	present, ok, err := e.cfg.Schema(s.Resource, s.Rule, s.news.version)
	if err != nil || !ok || present.Version <= brought.Version {
		return brought, true, nil // also of a source that can't be asked, or has it no more
	}
	return widened(present, brought), true, nil
}

// within calls the driver with a context that ends at a time. A panic is an error like any
// other, so that it costs this attempt and not the process; its stack stays out, since
// errors end up where users look.
func (e *Engine) within(ctx context.Context, deadline time.Time, call func(context.Context) error) (err error) {
	attempt := bound(ctx, deadline)
	defer attempt.end()
	defer func() {
		if v := recover(); v != nil {
			err = panics.Error("the driver "+e.cfg.Driver.Name(), v)
		}
	}()
	return call(attempt)
}

func (e *Engine) record(outcomes []Outcome) Recorded {
	ends := make([]ledger.End, len(outcomes))
	for i, o := range outcomes {
		row := e.row(o.Change, o.Target, o.Calls, o.Took, time.Now())
		row.Status = statuses[o.Status]
		if o.Err != nil {
			row.Error = o.Err.Error()
		}
		spared, err := e.spared(&o, outcomes)
		if err != nil {
			return Recorded{Err: fmt.Errorf("%s: find what is closed: %w", e.cfg.Name, err)}
		}
		ends[i] = ledger.End{Row: row, Keep: e.cfg.RecordSuccesses, Covers: o.Covers, Restated: o.Restated, Spared: spared}
	}
	failures, err := e.cfg.Ledger.Settle(ends...)
	if err != nil {
		return Recorded{Err: fmt.Errorf("%s: write ledger: %w", e.cfg.Name, err)}
	}
	return Recorded{Failures: failures, Open: e.opened(outcomes, failures)}
}

// opened gives the closed lanes of each outcome of which the ledger has no failure any
// more. One for which that can't be told now stays closed until a Retry, or the next Start.
func (e *Engine) opened(outcomes []Outcome, failures []int) (open [][]string) {
	for i, o := range outcomes {
		for _, lane := range o.Closed {
			if failures[i] >= 0 {
				continue
			}
			lanes := []string{lane}
			all, err := e.standing(o.Target, lanes, o.Change)
			if err == nil && !slices.ContainsFunc(all, func(s standing) bool { return s.in(lanes) }) {
				if open == nil {
					open = make([][]string, len(outcomes))
				}
				open[i] = append(open[i], lane)
			}
		}
	}
	return open
}

// statuses are those of the ledger. What a route does not want after all was failed or
// held before: a change that is skipped when it first comes has no row.
var statuses = [...]ledger.Status{
	Replicated: ledger.Replicated, Skipped: ledger.Discarded, Failed: ledger.Failed, Held: ledger.Held,
}

// row gives what the ledger is told of a delivery, but for its status.
func (e *Engine) row(change *cdc.Change, target string, calls int, took time.Duration, at time.Time) ledger.Row {
	return ledger.Row{
		Replicator: e.cfg.Replicator, Destination: e.cfg.Name, Driver: e.cfg.Driver.Name(), Target: target,
		Time: at, CreatedAt: at, Attempts: calls, Duration: took, Change: *change,
	}
}
