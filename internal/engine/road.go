package engine

import (
	"cmp"
	"iter"
	"slices"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/journal"
	"github.com/s3db-go/replicator/internal/ledger"
)

// Retrying is a delivery that failed, will be tried again, and has no row in the ledger.
type Retrying struct {
	Seq    uint64
	Change *cdc.Change // nil, or without its data, while the payload is given back
	Target string
	Calls  int           // of the driver
	Took   time.Duration // the last of them
	At     time.Time     // when that ended
	Err    error
}

// Retrying gives the deliveries that failed and will be tried again.
func (c *Core) Retrying() (all []Retrying) {
	for e := c.window.first; e != nil; e = e.next {
		for it := e.items; it != nil; it = it.sibling {
			// What was retried has a row; what is given up is about to get one.
			if it.last == nil || it.errand != Deliver || it.status != 0 {
				continue
			}
			all = append(all, Retrying{
				Seq: e.seq, Change: e.change, Target: it.target.name, Calls: it.calls, Took: it.took,
				At: time.UnixMicro(it.lastAt).UTC(), Err: it.last,
			})
		}
	}
	return all
}

// Failing counts the deliveries that failed at or after a time and will be tried again. It
// reads nothing.
func (e *Engine) Failing(since time.Time) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.core == nil {
		return 0
	}
	for _, r := range e.core.Retrying() {
		if !r.At.Before(since) {
			n++
		}
	}
	return n
}

// Retrying gives the rows of the deliveries that failed and will be tried again, as they
// would stand in the ledger, newest first. Where a payload was given back it is read from
// the journal; what is settled meanwhile may be left out.
func (e *Engine) Retrying() iter.Seq[ledger.Row] {
	e.mu.Lock()
	var all []Retrying
	if e.core != nil {
		all = e.core.Retrying()
	}
	e.mu.Unlock()
	slices.SortFunc(all, func(a, b Retrying) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(b.Seq, a.Seq)) })
	return func(yield func(ledger.Row) bool) {
		for some := range slices.Chunk(all, failuresAtOnce) {
			changes := e.changes(some)
			for _, r := range some {
				change := changes[r.Seq]
				if change == nil {
					continue
				}
				row := e.row(change, r.Target, r.Calls, r.Took, r.At)
				row.ID = ledger.RowID(row.Destination, row.Target, row.Change.ChangeID)
				row.Status, row.WillRetry, row.Error, row.CreatedAt = ledger.Failed, true, cause(r.Err).Error(), row.Change.Time
				if !yield(row) {
					return
				}
			}
		}
	}
}

// changes gives the changes of some deliveries by their Seq.
func (e *Engine) changes(of []Retrying) map[uint64]*cdc.Change {
	changes := map[uint64]*cdc.Change{}
	var away []uint64
	for _, r := range of {
		if r.Change != nil && (r.Change.Data != nil || r.Change.Op == cdc.Deleted) {
			changes[r.Seq] = r.Change
		} else {
			away = append(away, r.Seq)
		}
	}
	slices.Sort(away)
	for away = slices.Compact(away); len(away) > 0; {
		found := 0
		err := e.each(away, func(entry journal.Entry) error {
			changes[entry.Change.Seq] = entry.Change
			found++
			return nil
		})
		if err == nil {
			break
		}
		away = away[found+1:] // that one is not there any more
	}
	return changes
}
