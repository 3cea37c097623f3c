package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/ledger"
)

// readsAtOnce are under way while records are restated: enough that the journal flushes
// them in groups, few enough to leave a remote source to its users.
const readsAtOnce = 32

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
		if e.cfg.Hold || e.cfg.Read == nil || limitsOf(limited, row.Target).Events {
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
			err = e.retryMarked(ctx)
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

// restate sends the present states of the records that the rows are about, and gives the
// rows of those that it did not: whose state no route carries, or because of the error.
func (e *Engine) restate(ctx context.Context, rows []ledger.Row) (left []ledger.Row, err error) {
	var records [][]ledger.Row
	for first, i := 0, 1; i <= len(rows); i++ {
		if i == len(rows) || rows[i].Target != rows[first].Target || rows[i].Change.RecordKey() != rows[first].Change.RecordKey() {
			records = append(records, rows[first:i])
			first = i
		}
	}
	carried := make([]bool, len(records))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readsAtOnce)
	for i, of := range records {
		group.Go(func() error {
			newest := of[len(of)-1]
			former, err := e.former(&newest)
			if err != nil {
				return err
			}
			return e.cfg.Read(ctx, newest.Change.RecordKey(), func(record cdc.Record, found bool) error {
				change, ok, err := e.present(&newest, former, record, found)
				if err != nil || !ok {
					return err
				}
				// Within Read, so that no write comes in between: whatever is written later
				// stands behind it in the journal.
				_, err = e.cfg.Journal.AppendTo(ctx, e.cfg.Name, []cdc.Change{restatement(newest.Target, change)}, nil)
				carried[i] = err == nil
				return err
			})
		})
	}
	err = group.Wait()
	for i, of := range records {
		if !carried[i] {
			left = append(left, of...)
		}
	}
	return left, err
}

// former gives the states of a record that a target may hold, since what failed of it was
// to come after them or may have been applied all the same. The one that it most likely
// holds, that before the first failure, is the first.
func (e *Engine) former(row *ledger.Row) (states []cdc.Record, err error) {
	q := ledger.Query{Destination: row.Destination, Target: row.Target, Resource: row.Change.Resource, RecordID: row.Change.RecordID}
	for rows, err := range e.cfg.Ledger.Failures(q, failuresAtOnce) {
		if err != nil {
			return nil, err
		}
		for i := range rows {
			for _, state := range [...]cdc.Record{rows[i].Change.Before, rows[i].Change.Data} {
				if state != nil {
					states = append(states, state)
				}
			}
		}
		break // the others hardly tell of a state that these don't
	}
	if len(states) == 0 {
		states = append(states, nil) // a delete of what was never known
	}
	return states, nil
}

// present gives the change that brings a record's present state to the target of a row,
// false if its routes carry none. It is an upsert under any operation that they carry, or
// the delete of a former state; of that the former key is known, and whether its row is to
// go when the present state passes the filters no more.
func (e *Engine) present(row *ledger.Row, former []cdc.Record, record cdc.Record, found bool) (change cdc.Change, ok bool, err error) {
	ops := []cdc.Op{cdc.Deleted}
	if found {
		ops = []cdc.Op{cdc.Updated, cdc.Inserted}
		if row.Change.Op == cdc.Inserted {
			slices.Reverse(ops)
		}
	}
	var refused *cdc.Change
	for _, op := range ops {
		for _, state := range former {
			change = replayed(op, row.Change.RecordKey())
			if change.Data, change.Before = record, state; !found {
				change.Data, change.Before = state, nil
			}
			verdicts, err := e.routeTo(nil, &change, row.Target)
			if err != nil {
				return cdc.Change{}, false, err
			}
			if len(verdicts) == 0 {
				break // the routes don't carry the operation
			}
			if !skipped(&verdicts[0]) {
				return change, true, nil
			}
			if refused == nil {
				refused = new(change)
			}
		}
		if refused != nil {
			return *refused, true, nil
		}
	}
	return cdc.Change{}, false, nil
}

// recallLanes calls for the failures of the lanes in which the rows stand. What is held
// goes with the failure before it, and is not called for if that is on the road.
func (e *Engine) recallLanes(ctx context.Context, rows []ledger.Row) error {
	type lane struct{ target, name string }
	limited, _ := e.cfg.Driver.(cdc.Limited)
	var changes []cdc.Change
	called, moving := map[lane]bool{}, map[lane]bool{}
	for i := range rows {
		row := &rows[i]
		lanes, err := e.lanes(row)
		if err != nil {
			return err
		}
		switch {
		case e.cfg.Hold || len(lanes) == 0:
		case limitsOf(limited, row.Target).Events:
			// What a record had under several keys goes in order too.
			lanes = []string{row.Change.RecordID}
		default:
			lanes = lanes[:1]
		}
		for _, name := range lanes {
			// Without Hold a lane's failures are called for by record.
			at := lane{row.Target, name}
			if !e.cfg.Hold {
				at.name += "\x00" + row.Change.RecordKey().String()
			}
			if called[at] || row.Status == ledger.Held && moving[at] {
				continue
			}
			if row.Status == ledger.Held {
				if moving[at], err = e.moves(row.Target, name, &row.Change); err != nil {
					return err
				}
				if moving[at] {
					continue
				}
			}
			called[at] = true
			changes = append(changes, recall(row.Target, name, &row.Change))
		}
	}
	if len(changes) == 0 {
		return nil
	}
	_, err := e.cfg.Journal.AppendTo(ctx, e.cfg.Name, changes, nil)
	return err
}

// moves reports whether the first failure of a lane is on the road.
func (e *Engine) moves(target, lane string, of *cdc.Change) (bool, error) {
	first, verdicts, err := e.oldest(target, lane, of)
	if err != nil || len(verdicts) == 0 {
		return false, err
	}
	q := ledger.Query{Destination: e.cfg.Name, Target: target, Resource: first.Resource, RecordID: first.RecordID}
	for rows, err := range e.cfg.Ledger.Failures(q, failuresAtOnce) {
		if err != nil {
			return false, err
		}
		for i := range rows {
			if rows[i].Change.ChangeID == first.ChangeID {
				return rows[i].WillRetry, nil
			}
		}
	}
	return false, nil
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
