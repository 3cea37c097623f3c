package whole

import (
	"errors"
	"slices"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/ledger"
)

var errLog = errors.New("the log can't be written")

// book is the log of one process, slow and at times broken.
type book struct {
	*ledger.Ledger
	p *process
}

func (b *book) Settle(ends ...ledger.End) (failures []int, err error) {
	var rows []ledger.Row
	for _, e := range ends {
		rows = append(rows, e.Row)
	}
	err = b.write(rows, func() error {
		failures, err = b.Ledger.Settle(ends...)
		return err
	})
	return failures, err
}

func (b *book) Amend(rows []ledger.Row, change func(*ledger.Row)) (amended []ledger.Row, err error) {
	err = b.write(rows, func() error {
		amended, err = b.Ledger.Amend(rows, change)
		return err
	})
	return amended, err
}

// write does something to rows: it takes a while, and may fail with or without having
// been done.
func (b *book) write(rows []ledger.Row, do func() error) error {
	w := b.p.w
	r := w.draw("log " + rows[0].Destination)
	time.Sleep(time.Duration(r.Int64N(int64(300 * time.Millisecond))))
	broken, done := w.faulty(r), r.IntN(2) == 0
	if b.p.died() || broken && !done {
		return errLog
	}
	if err := do(); err != nil {
		return err
	}
	seen := map[cdc.Key]bool{}
	for _, row := range rows {
		if key := row.Change.RecordKey(); !seen[key] {
			seen[key] = true
			w.placeOf(row.Destination).reread(b.Ledger, key)
		}
	}
	time.Sleep(time.Duration(r.Int64N(int64(20 * time.Millisecond))))
	if broken {
		return errLog
	}
	return nil
}

// reread notes what the log has of a record.
func (pl *place) reread(l *ledger.Ledger, key cdc.Key) {
	w := pl.w
	w.mu.Lock()
	defer w.mu.Unlock()
	for row, err := range l.Rows(ledger.Query{Destination: pl.Name, Resource: key.Resource, RecordID: key.RecordID}) {
		if err != nil {
			w.violation("%s: the log: %v", pl.Name, err)
			return
		}
		pl.logged(row)
	}
}

// logged: a row is durable. What it says is true, and the change is in it.
func (pl *place) logged(row ledger.Row) {
	w := pl.w
	entries := pl.named[changeName{row.Target, row.Change.ChangeID}]
	if len(entries) == 0 {
		w.violation("%s: the log has %v, which was never read", pl.Name, row.Change)
		return
	}
	// A backfill's chunk that is repeated may bring a newer state under the same id.
	accepted, whole := false, false
	marked := slices.ContainsFunc(entries, func(e *entry) bool { return e.marked })
	for _, e := range entries {
		accepted = accepted || e.accepted
		whole = whole || e.change.Data.Equal(row.Change.Data) && e.change.Before.Equal(row.Change.Before)
		e.logged = true
		e.failed = (row.Status == ledger.Failed || row.Status == ledger.Held) && e.change.Version == row.Change.Version
		e.ever = e.ever || e.failed
		if gone := row.Status == ledger.Discarded; gone != e.gone {
			e.gone, e.discarded = gone, gone && !marked // what is on the road may get there
		}
		e.marked = row.WillRetry
		if !e.failed || e.verdict.Err != nil {
			continue
		}
		// What it contains is in this row.
		for _, other := range pl.pasts[e.past()] {
			if other.change.Version < e.change.Version && pl.contains(e.verdict.Delivery, other) {
				other.contained = true
			}
		}
	}
	if !whole {
		w.violation("%s: the log has %v with another content", pl.Name, row.Change)
	}
	if row.Status == ledger.Replicated && !accepted && pl.Events {
		w.violation("%s: the log has %v as replicated, and it was not accepted", pl.Name, row.Change)
	}
}

func (w *world) placeOf(destination string) *place {
	for _, pl := range w.places {
		if pl.Name == destination {
			return pl
		}
	}
	return nil
}
