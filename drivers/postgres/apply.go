package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/schema"
)

// Apply writes the batch, each target's part in one transaction. Rows that the database
// refuses for what is in them are found by halving what was refused, so that the others
// don't wait for them.
func (d *Driver) Apply(ctx context.Context, batch []cdc.Delivery) error {
	pool, err := d.present()
	if err != nil {
		return err
	}
	errs := make([]error, len(batch))
	for from := 0; from < len(batch); {
		to := from + 1
		for to < len(batch) && batch[to].Target == batch[from].Target {
			to++
		}
		d.deliver(ctx, pool, batch[from:to], errs[from:to])
		from = to
	}
	for _, err := range errs {
		if err != nil {
			return &cdc.BatchError{Errs: errs}
		}
	}
	return nil
}

// deliver writes deliveries of one target, and says of each how it went. If the table
// is not what it was, it is looked at, and mended, and they are written once more.
func (d *Driver) deliver(ctx context.Context, pool *pgxpool.Pool, batch []cdc.Delivery, errs []error) {
	t, err := d.target(batch[0].Target)
	if err != nil {
		fail(errs, err)
		return
	}
	w := &writer{d: d, pool: pool, t: t, e: d.buffers.Get().(*encoder), batch: batch, errs: errs}
	defer func() {
		w.e.forget()
		d.buffers.Put(w.e)
	}()
	for {
		if err := w.prepare(ctx); err != nil {
			fail(errs, fmt.Errorf("postgres: %s: %w", t.name, err))
			return
		}
		if !w.write(ctx, w.rows) {
			return
		}
		w.again = true
		clear(errs)
	}
}

// fail gives every delivery the same error, as one that may be marked.
func fail(errs []error, err error) {
	for i := range errs {
		errs[i] = err
	}
}

// writer is the work on one target's part of a batch.
type writer struct {
	d     *Driver
	pool  *pgxpool.Pool
	t     *target
	e     *encoder
	batch []cdc.Delivery
	errs  []error // as batch
	again bool    // the table was not as it was known

	table *table
	rows  []row
}

// prepare makes rows of the deliveries, for the table as it is known, and lets that
// get the columns that they need.
func (w *writer) prepare(ctx context.Context) error {
	if w.table = nil; !w.again {
		w.table = w.t.present()
	}
	missing := w.scatter()
	if w.table != nil && (len(missing.columns) == 0 || !w.t.due()) {
		if w.lack(missing, nil); !w.keyless() {
			return nil
		}
	}
	rules := w.t.rules
	if rules.Strategy == schema.DropCreate {
		rules.Strategy = schema.Alter // a new field is no reason to drop what was delivered
	}
	table, err := w.d.fit(ctx, w.pool, w.t, rules, func(there *table) schema.Shape { return w.t.needs(missing, there) })
	if _, unfit := errors.AsType[*unfitError](err); unfit {
		err = cdc.Unavailable(err)
	}
	if table == nil {
		if err == nil {
			err = cdc.Unavailable(errors.New("the table does not exist"))
		}
		return err
	}
	w.table = table
	clear(w.errs)
	w.lack(w.scatter(), err)
	w.keyless()
	return nil
}

// write sends the rows, and divides them where some are refused. It reports whether
// nothing can be written because the table is another than was known.
func (w *writer) write(ctx context.Context, rows []row) (changed bool) {
	rows = w.standing(rows)
	if len(rows) == 0 {
		return false
	}
	err := w.send(ctx, rows)
	switch {
	case err == nil:
		return false
	case stale(err) && !w.again:
		return true
	case divisible(err) && ctx.Err() == nil && rows[0].at != rows[len(rows)-1].at:
		first, second := halves(rows)
		return w.write(ctx, first) || w.write(ctx, second)
	}
	err = fmt.Errorf("postgres: write %s: %w", w.t.name, judge(ctx, err))
	for _, r := range rows {
		w.errs[r.at] = err
	}
	return false
}

// standing gives the rows of deliveries that have not failed yet. All are sent again
// otherwise, which is of no harm.
func (w *writer) standing(rows []row) []row {
	n := 0
	for _, r := range rows {
		if w.errs[r.at] == nil {
			n++
		}
	}
	if n == len(rows) {
		return rows
	}
	out := make([]row, 0, n)
	for _, r := range rows {
		if w.errs[r.at] == nil {
			out = append(out, r)
		}
	}
	return out
}

// halves divides rows, those of one delivery staying together.
func halves(rows []row) (first, second []row) {
	middle := len(rows) / 2
	if rows[middle].at == rows[middle-1].at {
		middle-- // a delivery has at most two rows
	}
	if middle == 0 {
		middle = 2
	}
	return rows[:middle], rows[middle:]
}
