package bigquery

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"cloud.google.com/go/bigquery/storage/apiv1/storagepb"
	"cloud.google.com/go/bigquery/storage/managedwriter"
	"google.golang.org/protobuf/proto"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/schema"
)

// Apply writes the batch. Rows that BigQuery refuses for what is in them are left out,
// so that the others don't wait for them.
func (d *Driver) Apply(ctx context.Context, batch []cdc.Delivery) error {
	c, err := d.present()
	if err != nil {
		return err
	}
	errs := make([]error, len(batch))
	for from := 0; from < len(batch); {
		to := from + 1
		for to < len(batch) && batch[to].Target == batch[from].Target {
			to++
		}
		d.deliver(ctx, c, batch[from:to], errs[from:to])
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
// or the stream is not what it was, it is looked at anew, and what is not written is
// tried once more.
func (d *Driver) deliver(ctx context.Context, c *clients, batch []cdc.Delivery, errs []error) {
	t, err := d.target(batch[0].Target)
	if err != nil {
		for i := range errs {
			errs[i] = err
		}
		return
	}
	w := &writer{d: d, c: c, t: t, e: d.buffers.Get().(*encoder), batch: batch, errs: errs, done: make([]bool, len(batch))}
	defer func() { d.buffers.Put(w.e) }()
	for {
		if err := w.prepare(ctx); err != nil {
			w.fail(fmt.Errorf("bigquery: %s: %w", t.name, err))
			return
		}
		failed, err := w.send(ctx, w.rows)
		switch {
		case len(failed) == 0:
			return
		case !w.again && renews(err) && ctx.Err() == nil:
			w.again = true
			continue
		}
		err = fmt.Errorf("bigquery: write %s: %w", t.name, judge(ctx, err, w.table))
		for _, r := range failed {
			errs[r.at] = err
		}
		return
	}
}

// writer is the work on one target's part of a batch.
type writer struct {
	d     *Driver
	c     *clients
	t     *target
	e     *encoder
	batch []cdc.Delivery
	errs  []error // as batch
	done  []bool  // as batch: written, or refused
	again bool    // the table or the stream was not as it was known

	table *table
	rows  []row
}

// fail gives every delivery that is not done the same error.
func (w *writer) fail(err error) {
	for i := range w.errs {
		if !w.done[i] {
			w.errs[i] = err
		}
	}
}

// prepare makes rows of the deliveries, for the table as it is known, and lets that get
// the columns that they need.
func (w *writer) prepare(ctx context.Context) error {
	if w.table = nil; !w.again {
		w.table = w.t.present()
	}
	missing := w.encode()
	if w.table != nil && (len(missing.columns) == 0 || !w.t.due()) {
		w.lack(missing, nil)
		return nil
	}
	if w.table == nil && missing.key == nil && len(missing.columns) == 0 {
		return nil // nothing is left to be written
	}
	rules := w.t.rules
	if rules.Strategy == schema.DropCreate {
		rules.Strategy = schema.Alter // a new field is no reason to drop what was delivered
	}
	table, err := w.d.fit(ctx, w.c, w.t, rules, func(there *table) (schema.Shape, bool) { return w.t.needs(missing, there), false })
	if _, unfit := errors.AsType[*unfitError](err); unfit {
		err = cdc.Unavailable(err)
	}
	if table == nil {
		if err == nil {
			err = cdc.Unavailable(errMissing)
		}
		return err
	}
	w.table = table
	w.lack(w.encode(), err)
	return nil
}

// lack says of the columns that the table still lacks what the rules say: their records
// fail, or go without them.
func (w *writer) lack(missing lacking, why error) {
	if len(missing.columns) == 0 || w.t.rules.OnMismatch != schema.Error {
		return
	}
	for i, d := range w.batch {
		record := d.Record
		if record == nil && w.t.mode != Mutable {
			record = d.Before
		}
		for field, v := range record {
			if v == nil || w.done[i] || w.errs[i] != nil || w.table.fields.column(field) != nil {
				continue
			}
			err := fmt.Errorf("bigquery: %s: column %q does not exist", w.t.name, field)
			if why != nil {
				err = fmt.Errorf("%w: %w", err, why)
			}
			w.errs[i] = cdc.Unavailable(err)
		}
	}
}

// send writes the rows of deliveries that have no error, and gives those of which it is
// not known to be done, with the reason.
func (w *writer) send(ctx context.Context, rows []row) (failed []row, err error) {
	rows = w.standing(rows)
	if len(rows) == 0 {
		return nil, nil
	}
	s, err := w.d.stream(ctx, w.c, w.t, w.table)
	if err != nil {
		return rows, err
	}
	defer w.d.giveBack(w.t, s)
	for len(rows) > 0 {
		var refused []row
		refused, failed, err = w.round(ctx, s, rows)
		if len(failed) > 0 {
			return append(failed, w.standing(refused)...), err
		}
		rows = w.standing(refused)
	}
	return nil, nil
}

// round sends rows in as many requests as they take. A request that is refused because
// of some of its rows is refused as a whole.
func (w *writer) round(ctx context.Context, s *stream, rows []row) (refused, failed []row, err error) {
	requests := w.split(rows)
	results := make([]*managedwriter.AppendResult, len(requests))
	data := slices.Grow(w.e.data[:0], len(rows))
	w.e.data = data
	for i, request := range requests {
		data = data[len(data):]
		for _, r := range request {
			data = append(data, r.data)
		}
		if results[i], err = s.managed.AppendRows(ctx, data); err != nil {
			w.spoil(ctx, s)
			break
		}
	}
	for i, request := range requests {
		if results[i] == nil {
			failed = append(failed, request...)
			continue
		}
		answer, fault := results[i].FullResponse(ctx)
		switch {
		case fault == nil:
			for _, r := range request {
				w.done[r.at] = true
			}
			continue
		case answer == nil:
			w.spoil(ctx, s)
		case len(answer.GetRowErrors()) > 0 && w.refuse(request, answer.GetRowErrors()):
			refused = append(refused, request...)
			continue
		}
		failed = append(failed, request...)
		if err == nil {
			err = fault
		}
	}
	return refused, failed, err
}

// spoil gives up a stream, unless it was the caller who did not wait. The client may
// still read what it was to send, so that this memory is not used again.
func (w *writer) spoil(ctx context.Context, s *stream) {
	w.e = new(encoder)
	if !errors.Is(ctx.Err(), context.Canceled) {
		w.d.retire(w.t, s)
	}
}

// refuse notes why rows were refused, and reports whether there was any of this request.
func (w *writer) refuse(request []row, faults []*storagepb.RowError) (some bool) {
	for _, fault := range faults {
		if i := fault.GetIndex(); i >= 0 && i < int64(len(request)) {
			at := request[i].at
			w.errs[at] = cdc.Permanent(fmt.Errorf("bigquery: write %s: the row is refused: %s%s", w.t.name, fault.GetCode(), mentioned(fault.GetMessage(), w.table)))
			w.done[at] = true
			some = true
		}
	}
	return some
}

// standing gives the rows of deliveries that have not failed.
func (w *writer) standing(rows []row) []row {
	if !slices.ContainsFunc(rows, func(r row) bool { return w.errs[r.at] != nil }) {
		return rows
	}
	out := rows[:0:0]
	for _, r := range rows {
		if w.errs[r.at] == nil {
			out = append(out, r)
		}
	}
	return out
}

// maxRequest is how many bytes a request may have: 20 MB, as the vendor states it
// (cloud.google.com/bigquery/quotas#write-api-limits).
const maxRequest = 20_000_000

// perRow is what a request has beside a row's bytes: a tag and a length.
const perRow = 6

// split divides rows into requests. One that is too large by itself is its delivery's
// failure. The rows of a delivery stay together.
func (w *writer) split(rows []row) (requests [][]row) {
	// The request has the stream's name, the message and a trace id too.
	most := maxRequest - proto.Size(w.table.message) - 4096
	size, from := 0, 0
	for to := 0; to < len(rows); {
		end, n := to, 0
		for ; end < len(rows) && rows[end].at == rows[to].at; end++ {
			n += len(rows[end].data) + perRow
		}
		if n > most {
			w.errs[rows[to].at] = cdc.Permanent(fmt.Errorf("bigquery: %s: the row has %d bytes, more than the %d that BigQuery takes in a request", w.t.name, n, most))
			w.done[rows[to].at] = true
		}
		if n > most || size+n > most {
			if from < to {
				requests = append(requests, rows[from:to])
			}
			from, size = to, 0
			if n > most {
				from, n = end, 0
			}
		}
		size += n
		to = end
	}
	if from < len(rows) {
		requests = append(requests, rows[from:])
	}
	return requests
}
