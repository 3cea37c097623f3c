package replicator

import (
	"context"
	"fmt"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/engine"
	"github.com/s3db-go/replicator/internal/ledger"
	"github.com/s3db-go/replicator/internal/panics"
)

// Retry puts the failed and held deliveries that the query selects on the road again, and
// gives how many they were; after an error those until then. Their rows have WillRetry
// and a higher RetryCount until they are settled: replicated, or failed once more. A row
// is never doubled, and what is on the road already is left alone and not counted. Retry
// waits for nothing to be delivered, Flush does; a destination that is paused gets them when
// it goes on.
//
// A target that wants state gets the record as it is now, read from the source, and no
// old state: with it all its failures there are replicated, those that the query did not
// select as well. The row goes if the record has left the filter of a route with OnLeave:
// Remove, and so does each row under another key that a change was to take away which
// failed. Where the source can't be read, what is stored goes, but nothing over a later
// state. A target that wants events gets the stored changes, those of a record in order of
// their versions, each with its own id, version and time, and OriginReplayed. Routes are
// asked again, so that a mended Transform takes effect; what they do not want any more is
// discarded.
//
// With OnFailure: Hold everything that waits in line with a selected delivery goes, in its
// order, until one fails again.
//
// Deliveries whose route is gone, and changes that were never journaled, can't be sent and
// are left. When it takes more than two seconds, RetryProgress events tell how far it is.
// Whoever is killed in it calls it again; what it had got to goes in any case.
func (r *Replicator) Retry(ctx context.Context, q Query) (int, error) {
	return r.retry(ctx, q.rows())
}

func (r *Replicator) retry(ctx context.Context, q ledger.Query) (int, error) {
	q.GivenUp = true // so that a Limit counts none that is left alone
	return r.amend(ctx, "retry", q, func(ctx context.Context, run *running, d *destination, rows []ledger.Row) (int, error) {
		if d == nil {
			return 0, nil // whoever is not configured gets nothing
		}
		return d.amender().Retry(ctx, rows)
	})
}

// Discard gives up the failed and held deliveries that the query selects, and gives how
// many they were; after an error those until then. Their rows stay, with
// StatusDiscarded. With OnFailure: Hold, what waited behind a failed one goes, in its
// order. The query may name a destination that is not configured any more. Progress is told
// as by Retry.
func (r *Replicator) Discard(ctx context.Context, q Query) (int, error) {
	return r.discard(ctx, q.rows())
}

func (r *Replicator) discard(ctx context.Context, q ledger.Query) (int, error) {
	return r.amend(ctx, "discard", q, func(ctx context.Context, run *running, d *destination, rows []ledger.Row) (int, error) {
		if d != nil {
			return d.amender().Discard(ctx, rows)
		}
		gone, err := run.ledger.Amend(rows, func(row *ledger.Row) { row.Discard(time.Now()) })
		return len(gone), err
	})
}

// amender gives the engine that knows the destination's routes; it need not run.
func (d *destination) amender() *engine.Engine {
	if e := d.present(); e != nil {
		return e
	}
	return d.make()
}

// amendAtOnce rows are read and changed together: what they hold fits in memory, and one
// write of the log serves all.
const amendAtOnce = 256

// amend does something with the failed and held deliveries that a query selects, those of
// one destination at a time.
func (r *Replicator) amend(ctx context.Context, what string, q ledger.Query,
	do func(context.Context, *running, *destination, []ledger.Row) (int, error)) (n int, err error) {
	run, err := r.current()
	if err != nil {
		return 0, err
	}
	ctx, leave, err := run.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	begun, told := time.Now(), time.Time{}
	tell := func(done bool, err error) {
		told = time.Now()
		r.hub.Publish(Event{Kind: RetryProgress, Time: told, Destination: q.Destination, Sent: uint64(n), Done: done, Err: err})
	}
	for rows, err := range run.ledger.Failures(q, amendAtOnce) {
		if err == nil {
			err = context.Cause(ctx)
		}
		for len(rows) > 0 && err == nil {
			same := 1
			for same < len(rows) && rows[same].Destination == rows[0].Destination {
				same++
			}
			var some int
			some, err = do(ctx, run, run.find(rows[0].Destination), rows[:same])
			n, rows = n+some, rows[same:]
		}
		if err != nil {
			if !told.IsZero() {
				tell(false, err)
			}
			return n, fmt.Errorf("replicator: %s: %w", what, err)
		}
		if now := time.Now(); now.Sub(begun) > progressAfter && now.Sub(told) > progressEvery {
			tell(false, nil)
		}
	}
	if !told.IsZero() {
		tell(true, nil)
	}
	return n, nil
}

// reads gives the function with which present states are read, nil if the source can't be
// read.
func reads(source cdc.Source) func(context.Context, cdc.Key, func(cdc.Record, bool) error) error {
	reader, ok := source.(cdc.Reader)
	if !ok {
		return nil
	}
	read := func(ctx context.Context, k cdc.Key) (record cdc.Record, found bool, err error) {
		defer func() {
			if v := recover(); v != nil {
				err = panics.Error("the source's Read", v)
			}
		}()
		return reader.Read(ctx, k.Resource, k.RecordID)
	}
	return func(ctx context.Context, k cdc.Key, then func(cdc.Record, bool) error) (err error) {
		reader.WithLock(k.Resource, k.RecordID, func() {
			var record cdc.Record
			var found bool
			if record, found, err = read(ctx, k); err != nil {
				err = fmt.Errorf("read %s: %w", k, err)
				return
			}
			err = then(record, found)
		})
		return err
	}
}
