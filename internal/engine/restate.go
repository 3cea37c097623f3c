package engine

import (
	"cmp"
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/ledger"
	"github.com/s3db-go/replicator/internal/route"
)

// readsAtOnce are under way while records are restated: enough that the journal flushes
// them in groups, few enough to leave a remote source to its users.
const readsAtOnce = 32

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
			all, err := e.former(&newest)
			if err != nil {
				return err
			}
			return e.cfg.Read(ctx, newest.Change.RecordKey(), func(record cdc.Record, found bool) error {
				p, ok, err := e.present(&newest, all, record, found)
				if err != nil || !ok {
					return err
				}
				// Within Read, so that no write comes in between: whatever is written later
				// stands behind it in the journal.
				_, err = e.cfg.Journal.AppendTo(ctx, e.cfg.Name, []cdc.Change{p.journaled()}, nil)
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

// former gives the states of a record that a target may have still: those that the
// changes were to end that failed there, in order. Whatever else it had was ended by a
// change that was accepted, or is going to be ended by one that is on its way.
func (e *Engine) former(row *ledger.Row) (states []former, err error) {
	q := ledger.Query{Destination: row.Destination, Target: row.Target, Resource: row.Change.Resource, RecordID: row.Change.RecordID}
	for rows, err := range e.cfg.Ledger.Failures(q, failuresAtOnce) {
		if err != nil {
			return nil, err
		}
		for i := range rows {
			if f := ended(&rows[i].Change); f.state != nil {
				states = append(states, f)
			}
		}
	}
	return states, nil
}

// ended gives the state that a change ended, as far as that is known.
func ended(c *cdc.Change) former {
	if c.Op == cdc.Deleted {
		return former{c.Data, c.Version}
	}
	return former{c.Before, c.Version}
}

// present gives the restatement that brings a record's present state to the target of a
// row, false if its routes carry none. It is an upsert under any operation that they carry,
// or the delete of a former state. What passes the filters no more goes too, if there is
// nothing better, and is discarded on its way.
func (e *Engine) present(row *ledger.Row, all []former, record cdc.Record, found bool) (p replay, ok bool, err error) {
	ops := []cdc.Op{cdc.Updated, cdc.Inserted}
	switch {
	case !found:
		ops = []cdc.Op{cdc.Deleted}
		if len(all) == 0 { // it may have been what it was to be
			all = []former{{row.Change.Data, row.Change.Version}}
		}
	case row.Change.Op == cdc.Inserted && len(all) == 0:
		slices.Reverse(ops)
	}
	for _, op := range ops {
		one := replay{target: row.Target, change: replayed(op, row.Change.RecordKey()), former: all}
		one.change.Data = record
		s, err := e.steps(&one)
		if err != nil {
			return replay{}, false, err
		}
		if len(s.verdicts) == 0 || ok && skipped(&s.verdicts[0]) {
			continue // the routes don't carry the operation, or no more than the other
		}
		one.former = s.former
		if p, ok = one, true; !skipped(&s.verdicts[0]) {
			break
		}
	}
	return p, ok, nil
}

// steps are what a restatement does at its target, one after the other.
type steps struct {
	verdicts []route.Verdict // of rows to be removed, and at last of the present one
	former   []former        // for which they are all there
	lanes    []string
}

// steps gives what a restatement has to do. The rows that the record had under other keys,
// and that the changes were to take away that failed, are removed first; then it gets its
// present one, unless it is gone or has left the filter. A row is removed as of the change
// that was to do it, so that where the target has a guard another record keeps what it
// wrote there since. They are deliveries of their own for that: one has only one version.
//
// They stand in the lanes of all the keys at once. What comes later of the record, or of
// another that takes such a key, is applied behind them, and none of them goes before what
// came earlier under its key.
func (e *Engine) steps(p *replay) (s steps, err error) {
	all := p.former
	if len(all) == 0 {
		all = []former{{}}
	}
	var present, refused *route.Verdict
	var others []former // for which the present row is as it is
	for _, f := range all {
		change := p.change
		if change.Op == cdc.Deleted {
			change.Data = f.state
		} else {
			change.Before = f.state
		}
		verdicts, err := e.routeTo(nil, &change, p.target)
		if err != nil || len(verdicts) == 0 {
			return steps{}, err
		}
		v := &verdicts[0]
		v.Lane = laneName(v, &change)
		if v.Err != nil || v.Skip != "" {
			refused = cmp.Or(refused, v)
			continue
		}
		s.lanes = together(s.lanes, v.Lane, v.OldLane)
		if v.Delivery.Op != cdc.Deleted && over(&present, v) {
			others = append(others, f)
		}
		s.remove(v, f)
	}
	s.former = append(s.former, others...)
	switch {
	case present != nil:
		s.verdicts = append(s.verdicts, *present)
	case len(s.verdicts) == 0:
		s.verdicts, s.former = append(s.verdicts, *refused), all[:1]
		s.lanes = together(s.lanes, refused.Lane, refused.OldLane)
	}
	return s, nil
}

// remove puts down the row that a verdict takes away, if it does. Of several changes that
// were to do that the newest counts.
func (s *steps) remove(v *route.Verdict, f former) {
	gone := *v
	d := &gone.Delivery
	switch {
	case d.Op == cdc.Deleted:
	case d.OldKey != nil:
		d.Op, d.Key, d.Record, d.OrderKey = cdc.Deleted, d.OldKey, nil, cmp.Or(v.OldLane, v.Lane)
	default:
		return
	}
	d.OldKey, d.Version = nil, cmp.Or(f.version, d.Version)
	at := slices.IndexFunc(s.verdicts, func(o route.Verdict) bool { return o.Delivery.Key.Equal(d.Key) })
	switch {
	case at < 0:
		s.verdicts, s.former = append(s.verdicts, gone), append(s.former, f)
	case s.former[at].version < f.version:
		s.verdicts[at], s.former[at] = gone, f
	}
}

// over lays a verdict for the present row over what there is, and reports whether that
// changes anything: where rows are merged it also clears what the former state had.
func over(present **route.Verdict, v *route.Verdict) (changed bool) {
	if *present == nil {
		own := *v
		own.Delivery.OldKey = nil
		own.Delivery.Record = own.Delivery.Record.Clone()
		*present = &own
		return true
	}
	record := (*present).Delivery.Record
	for name, value := range v.Delivery.Record {
		if !record.Has(name) {
			record[name], changed = value, true
		}
	}
	return changed
}
