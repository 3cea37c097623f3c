package engine_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/engine"
	"github.com/s3db-go/replicator/internal/ledger"
	"github.com/s3db-go/replicator/internal/route"
)

// What waits for one row goes in one delivery, as far as the target's way of writing
// rows allows.
func TestWhatOneDeliverySpeaksFor(t *testing.T) {
	type record = cdc.Record
	for name, tt := range map[string]struct {
		rows    cdc.Rows
		waiting []record // nil is a delete
		seqs    []uint64
		sent    []record
	}{
		"unknown: a newer one that has all fields": {cdc.RowsUnknown, []record{{"a": 1}, {"a": 2, "b": 2}, {"a": 3}, nil, {"a": 5}}, []uint64{3, 5, 6}, []record{{"a": 2, "b": 2}, nil, {"a": 5}}},
		"replaced: the newest":                     {cdc.RowsReplaced, []record{{"a": 1, "b": 1}, {"a": 2}, nil, {"c": 4}}, []uint64{5}, []record{{"c": 4}}},
		"merged: laid over one another":            {cdc.RowsMerged, []record{{"a": 1, "b": 1}, {"b": 2, "c": 2}, {"a": 3, "b": 3}}, []uint64{4}, []record{{"a": 3, "b": 3, "c": 2}}},
		"merged: a delete ends it":                 {cdc.RowsMerged, []record{{"a": 1}, nil, {"b": 3}, {"c": 4}}, []uint64{3, 5}, []record{nil, {"b": 3, "c": 4}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &driver{limits: cdc.Limits{Concurrency: 1, Rows: tt.rows}}
				d.apply = func(_ context.Context, d *driver, batch []cdc.Delivery) error {
					gather(d)
					d.accept(batch...)
					return nil
				}
				w := start(t, d, nil)
				w.journal.put(cdc.Inserted, "r", record{"first": 1})
				synctest.Wait() // under way, so that nothing takes its place
				for _, r := range tt.waiting {
					if r == nil {
						w.journal.put(cdc.Deleted, "r", record{"last": true})
					} else {
						w.journal.put(cdc.Updated, "r", r)
					}
				}
				w.drain()
				w.stop()
				if seqs := d.seen(""); !slices.Equal(seqs[1:], tt.seqs) {
					t.Fatalf("%v went", seqs[1:])
				}
				for i, a := range d.accepted[1:] {
					if !a.Record.Equal(tt.sent[i]) {
						t.Errorf("%d went as %v, want %v", a.Seq, a.Record, tt.sent[i])
					}
				}
				w.expect(uint64(1+len(tt.sent)), uint64(len(tt.waiting)-len(tt.sent)), 0, 0)
			})
		})
	}
}

// When what was laid over one another fails, each change that brought a field of its
// own has a row; one whose fields are all in a later one has not.
func TestAFailureOfManyLosesNoField(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &driver{limits: cdc.Limits{Concurrency: 1, Rows: cdc.RowsMerged}}
		d.apply = func(_ context.Context, d *driver, batch []cdc.Delivery) error {
			gather(d)
			if batch[0].Seq == 1 {
				return nil
			}
			return cdc.Permanent(errBroken)
		}
		w := start(t, d, nil)
		w.journal.put(cdc.Inserted, "r", cdc.Record{"first": 1})
		synctest.Wait()
		for _, r := range []cdc.Record{{"a": 1}, {"b": 2}, {"a": 3}} {
			w.journal.put(cdc.Updated, "r", r)
		}
		w.drain()
		w.stop()
		w.expect(1, 1, 0, 2)
		var seqs []uint64
		for _, row := range w.ledger.rows {
			if row.Status == ledger.Failed {
				seqs = append(seqs, row.Change.Seq)
			}
		}
		if !slices.Equal(seqs, []uint64{3, 4}) {
			t.Errorf("rows of %v", seqs)
		}
	})
}

// A lane named by OrderBy keeps its order over the records in it; an ordered target
// gets several of it in one batch.
func TestAGroupKeepsItsOrder(t *testing.T) {
	for _, ordered := range []bool{false, true} {
		t.Run(fmt.Sprint("ordered=", ordered), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &driver{limits: cdc.Limits{Events: true, Ordered: ordered}}
				calls := 0
				d.apply = func(_ context.Context, d *driver, batch []cdc.Delivery) error {
					gather(d)
					if calls++; calls%3 == 0 {
						return errBroken
					}
					d.accept(batch...)
					return nil
				}
				w := start(t, d, func(c *engine.Config) {
					c.MaxRetries = 100
					c.Router = route.New([]route.Rule{{From: "things", OrderBy: func(c cdc.Change) string { return c.Data.String("group") }}}, route.Options{})
				})
				const changes = 60
				for i := range changes {
					w.journal.put(cdc.Updated, fmt.Sprint("r", i%7), cdc.Record{"group": "all"})
				}
				w.drain()
				w.stop()
				if seen := d.seen(""); !slices.IsSorted(seen) || len(seen) != changes {
					t.Errorf("%v", seen)
				}
				if most := 10; ordered && d.called() > most || !ordered && d.called() < changes {
					t.Errorf("%d calls", d.called())
				}
			})
		})
	}
}

// A change without a name stands behind nothing.
func TestNoOrderIsNoLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &driver{limits: cdc.Limits{Events: true}}
		d.apply = func(_ context.Context, d *driver, batch []cdc.Delivery) error {
			if batch[0].Seq == 1 && d.called() == 1 {
				return cdc.RetryAfter(errBroken, time.Minute)
			}
			d.accept(batch...)
			return nil
		}
		w := start(t, d, func(c *engine.Config) {
			c.Router = route.New([]route.Rule{{From: "things", OrderBy: func(cdc.Change) string { return "" }}}, route.Options{})
		})
		w.journal.update("r")
		synctest.Wait()
		w.journal.update("r")
		w.drain()
		w.stop()
		if seen := d.seen("r"); !slices.Equal(seen, []uint64{2, 1}) {
			t.Errorf("%v", seen)
		}
	})
}
