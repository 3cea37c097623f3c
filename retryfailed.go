package replicator

import (
	"context"

	"github.com/s3db-go/replicator/internal/ledger"
)

// recoverAtOnce bounds how many failed deliveries of a destination are put on the road in
// one go: what waits there already goes first.
const recoverAtOnce = 10_000

// defaultRetryFailedMax is what the users of the original set for their recovery job.
const defaultRetryFailedMax = 3

// retryFailed puts failed deliveries back on the road from time to time, until ctx ends.
func (r *Replicator) retryFailed(ctx context.Context, run *running) {
	for sleep(ctx, r.opts.RetryFailedEvery) == nil {
		for _, d := range run.all() {
			n, err := r.retryFailedOf(ctx, run, d)
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				r.opts.Logger.Warn("failed deliveries can't be put on the road again", "destination", d.Name, "error", err)
			case n > 0:
				r.opts.Logger.Info("failed deliveries put on the road again", "destination", d.Name, "deliveries", n)
			}
		}
	}
}

// retryFailedOf does so for one destination, unless it takes nothing now: the tries of its
// deliveries would be spent on nothing.
func (r *Replicator) retryFailedOf(ctx context.Context, run *running, d *destination) (int, error) {
	s := d.stats()
	if s.Paused != nil || s.Still > 0 || s.BreakerOpen && s.Waiting > 0 || !d.is(delivering) {
		return 0, nil
	}
	q := ledger.Query{Destination: d.Name, Status: ledger.Failed, RetryCountBelow: r.opts.RetryFailedMax, GivenUp: true, Limit: recoverAtOnce}
	// The index tells whether there are any, which is nearly always enough.
	if n, err := run.ledger.Count(q); n == 0 {
		return 0, err
	}
	if s.BreakerOpen {
		return r.probe(ctx, q)
	}
	return r.retry(ctx, q)
}

// probe puts one delivery on the road of a destination that is unavailable and for which
// nothing else waits: there would be no other way to learn that it is back. It is not
// counted as one of its tries.
func (r *Replicator) probe(ctx context.Context, q ledger.Query) (int, error) {
	q.Limit = 1
	return r.amend(ctx, "retry", q, func(ctx context.Context, run *running, d *destination, rows []ledger.Row) (int, error) {
		n, err := d.amender().Retry(ctx, rows)
		if err != nil || n == 0 {
			return 0, err
		}
		_, err = run.ledger.Amend(rows, func(row *ledger.Row) { row.RetryCount = min(row.RetryCount, rows[0].RetryCount) })
		return n, err
	})
}

// keepLog starts what looks after the log beside the destinations.
func (r *Replicator) keepLog(run *running) {
	run.later(func(ctx context.Context) { r.trimLog(ctx, run) })
	if run.copy != nil {
		run.later(run.copy.keep)
	}
	if r.opts.RetryFailedEvery > 0 {
		run.later(func(ctx context.Context) { r.retryFailed(ctx, run) })
	}
}
