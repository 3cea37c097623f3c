package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/ledger"
)

// Retry puts failures on the road again that the ledger gave, those of a record together
// and in order, and gives how many they were, also beside an error. What is there already is
// left alone. Those of a target that wants state go as what their record is now, which is
// read from the source; where that can't be had, and at any other target, they go as they
// were, those of a lane in their order. What follows them and is held goes behind them.
//
// A row is marked before the journal has what sends it, and not any more if the journal
// does not take that. What was marked by one who was killed in between goes after the next
// Start, and what stays marked because the ledger fails goes when all that came before it has
// gone. A row that is on the road twice goes once. The engine need not run.
func (e *Engine) Retry(ctx context.Context, rows []ledger.Row) (n int, err error) {
	sendable, _, err := e.sendable(rows)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", e.cfg.Name, err)
	}
	var marked []ledger.Row
	// Looked at where it is changed: somebody else may send the same rows at this moment.
	_, err = e.cfg.Ledger.Amend(sendable, func(row *ledger.Row) {
		if row.WillRetry {
			return
		}
		row.RetryCount++
		// What is held goes when what it waits for has gone.
		row.WillRetry = row.Status == ledger.Failed || !e.cfg.Hold
		marked = append(marked, *row)
	})
	if err != nil {
		e.takeUpLater() // the ledger may have the marks all the same
		return 0, fmt.Errorf("%s: %w", e.cfg.Name, err)
	}
	unsent, err := e.send(ctx, marked)
	if err != nil {
		_, unmarked := e.cfg.Ledger.Amend(unsent, func(row *ledger.Row) {
			row.RetryCount--
			row.WillRetry = false
		})
		if unmarked != nil {
			e.takeUpLater()
		}
		err = fmt.Errorf("%s: %w", e.cfg.Name, errors.Join(err, unmarked))
	}
	return len(marked) - len(unsent), err
}

// send puts into the journal what sends marked rows, and gives those for which it could
// not.
func (e *Engine) send(ctx context.Context, marked []ledger.Row) (unsent []ledger.Row, err error) {
	limited, _ := e.cfg.Driver.(cdc.Limited)
	var states, events []ledger.Row
	for _, row := range marked {
		limits, err := limitsOf(limited, row.Target)
		if err != nil {
			return marked, err
		}
		if e.cfg.Hold || e.cfg.Read == nil || limits.Events {
			events = append(events, row)
		} else {
			states = append(states, row)
		}
	}
	left, err := e.restate(ctx, states)
	left = append(events, left...)
	if err == nil {
		err = e.recallLanes(ctx, left)
	}
	if err != nil {
		return left, err
	}
	return nil, nil
}

// sendable parts the rows: what stands for a range of changes that is lost, or has no route
// any more, can't be sent.
func (e *Engine) sendable(rows []ledger.Row) (yes, no []ledger.Row, err error) {
	for i := range rows {
		lanes, err := e.lanes(&rows[i])
		switch {
		case err != nil:
			return nil, nil, err
		case len(lanes) > 0:
			yes = append(yes, rows[i])
		default:
			no = append(no, rows[i])
		}
	}
	return yes, no, nil
}

// takeUpLater sees to rows that are marked and perhaps not on the road. If the engine is
// being started or does not run, that is what Start does.
func (e *Engine) takeUpLater() {
	if !e.life.TryLock() {
		return
	}
	defer e.life.Unlock()
	if e.started && !e.stopped {
		e.work.Go(func() { e.takeUp(e.cfg.Journal.Last()) })
	}
}

// takeUp sends what a Retry marked and did not send: when all that the journal had by then is
// settled, that is what is still marked. It runs until it is done, or
// the engine stops.
func (e *Engine) takeUp(upTo uint64) Event {
	ctx, cancel := context.WithCancel(e.ctx)
	defer cancel()
	e.work.Go(func() {
		select {
		case <-e.halt:
			cancel()
		case <-ctx.Done():
		}
	})
	for tries := 1; ; tries++ {
		err := e.Drain(ctx, upTo)
		if err == nil {
			if err = e.retryMarked(ctx); ctx.Err() == nil {
				e.tellRetry(err)
			}
		}
		if err == nil {
			return Tick{}
		}
		select {
		case <-time.After(helpless(tries)):
		case <-ctx.Done():
			return Tick{}
		}
	}
}

// tellRetry notes why what is marked can't be sent, nil if it is.
func (e *Engine) tellRetry(err error) {
	if err != nil {
		err = fmt.Errorf("%s: send what was marked: %w", e.cfg.Name, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.retryErr = err
}

// retryMarked sends the rows that are marked, and takes the mark off those that can't be
// sent.
func (e *Engine) retryMarked(ctx context.Context) error {
	for rows, err := range e.cfg.Ledger.Failures(ledger.Query{Destination: e.cfg.Name}, failuresAtOnce) {
		if err == nil {
			err = ctx.Err()
		}
		var stuck []ledger.Row
		if err == nil {
			rows = slices.DeleteFunc(rows, func(row ledger.Row) bool { return !row.WillRetry })
			rows, stuck, err = e.sendable(rows)
		}
		if err == nil && len(stuck) > 0 {
			_, err = e.cfg.Ledger.Amend(stuck, func(row *ledger.Row) { row.WillRetry = false })
		}
		if err == nil && len(rows) > 0 {
			_, err = e.send(ctx, rows)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Discard takes failures for wanted no more that the ledger gave, and gives how many
// they were. What was held behind them goes. The engine need not run.
func (e *Engine) Discard(ctx context.Context, rows []ledger.Row) (n int, err error) {
	now := time.Now()
	var failed []ledger.Row // others wait behind these
	gone, err := e.cfg.Ledger.Amend(rows, func(row *ledger.Row) {
		if row.Status == ledger.Failed {
			failed = append(failed, *row)
		}
		row.Discard(now)
	})
	if err == nil && e.cfg.Hold {
		err = e.recallLanes(ctx, failed)
	}
	e.forgive(gone)
	if err != nil {
		err = fmt.Errorf("%s: %w", e.cfg.Name, err)
	}
	return len(gone), err
}

func (e *Engine) forgive(rows []ledger.Row) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.core == nil {
		return
	}
	for i := range rows {
		e.core.Forgiven(rows[i].Target, rows[i].Change.RecordKey(), 1)
	}
}
