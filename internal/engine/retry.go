package engine

import (
	"context"
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
// and in order, and gives how many they were. Those of a target that wants state go as
// what their record is now, which is read from the source; where that can't be had, and
// at any other target, they go as they were, those of a lane in their order. What follows
// them and is held goes behind them.
//
// A row is marked before the journal has what sends it. Who is killed in between finds it
// failed, and puts it on the road by another Retry. One that is on the road twice goes
// once. The engine need not run.
func (e *Engine) Retry(ctx context.Context, rows []ledger.Row) (n int, err error) {
	var sendable []ledger.Row
	for i := range rows {
		// What stands for a range of changes that is lost, or has no route any more, can't
		// be sent.
		lanes, err := e.lanes(&rows[i])
		if err != nil {
			return 0, fmt.Errorf("%s: %w", e.cfg.Name, err)
		}
		if len(lanes) > 0 {
			sendable = append(sendable, rows[i])
		}
	}
	marked, err := e.cfg.Ledger.Amend(sendable, func(row *ledger.Row) {
		if !row.WillRetry {
			row.RetryCount++
		}
		// What is held goes when what it waits for has gone.
		row.WillRetry = row.Status == ledger.Failed || !e.cfg.Hold
	})
	if err != nil {
		return 0, fmt.Errorf("%s: %w", e.cfg.Name, err)
	}
	limited, _ := e.cfg.Driver.(cdc.Limited)
	var states, events []ledger.Row
	for _, row := range marked {
		if e.cfg.Hold || e.cfg.Read == nil || limitsOf(limited, row.Target).Events {
			events = append(events, row)
		} else {
			states = append(states, row)
		}
	}
	unread, err := e.restate(ctx, states)
	if err == nil {
		err = e.recallLanes(ctx, append(events, unread...))
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", e.cfg.Name, err)
	}
	return len(marked), nil
}

// restate sends the present states of the records that the rows are about, and gives the
// rows of those whose state no route carries.
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
			return e.cfg.Read(ctx, newest.Change.RecordKey(), func(record cdc.Record, found bool) error {
				change, ok, err := e.present(&newest, record, found)
				if err != nil || !ok {
					return err
				}
				carried[i] = true
				// Within Read, so that no write comes in between: whatever is written later
				// stands behind it in the journal.
				_, err = e.cfg.Journal.AppendTo(ctx, e.cfg.Name, []cdc.Change{restatement(newest.Target, change)}, nil)
				return err
			})
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for i, of := range records {
		if !carried[i] {
			left = append(left, of...)
		}
	}
	return left, nil
}

// present gives the change that brings a record's present state to the target of a row,
// false if its routes carry none. It is an upsert under any operation that they carry.
func (e *Engine) present(row *ledger.Row, record cdc.Record, found bool) (change cdc.Change, ok bool, err error) {
	ops := []cdc.Op{cdc.Deleted}
	if found {
		ops = []cdc.Op{cdc.Updated, cdc.Inserted}
		if row.Change.Op == cdc.Inserted {
			slices.Reverse(ops)
		}
	} else {
		record = row.Change.Data // the last that is known
	}
	for _, op := range ops {
		change = replayed(op, row.Change.RecordKey())
		change.Data = record
		verdicts, err := e.routeTo(nil, &change, row.Target)
		if err != nil || len(verdicts) > 0 {
			return change, true, err
		}
	}
	return cdc.Change{}, false, nil
}

// recallLanes calls for the failures of the lanes in which the rows stand.
func (e *Engine) recallLanes(ctx context.Context, rows []ledger.Row) error {
	type lane struct{ target, name string }
	var changes []cdc.Change
	called := map[lane]bool{}
	for i := range rows {
		row := &rows[i]
		lanes, err := e.lanes(row)
		if err != nil {
			return err
		}
		if !e.cfg.Hold && len(lanes) > 1 {
			lanes = lanes[:1]
		}
		for _, name := range lanes {
			// Without Hold a lane's failures are called for by record.
			at := lane{row.Target, name}
			if !e.cfg.Hold {
				at.name += "\x00" + row.Change.RecordKey().String()
			}
			if !called[at] {
				called[at] = true
				changes = append(changes, recall(row.Target, name, &row.Change))
			}
		}
	}
	if len(changes) == 0 {
		return nil
	}
	_, err := e.cfg.Journal.AppendTo(ctx, e.cfg.Name, changes, nil)
	return err
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
