package engine_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/engine"
	"github.com/s3db-go/replicator/internal/journal"
)

// A transaction that refuses its batch as a whole for one bad record costs at most
// log2 n + 3 calls, the bad one fails alone, and each other one arrives once.
func TestABadRecordIsFoundAmongAThousand(t *testing.T) {
	const records = 1000
	for _, bad := range []int{0, 1, 499, 500, 511, 512, 998, 999} {
		for kind, err := range map[string]error{"permanent": cdc.Permanent(errBroken), "last attempt": errBroken} {
			t.Run(fmt.Sprint(kind, " ", bad), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w, d := batches(t, records, func(c *engine.Config) { c.MaxRetries = -1 })
					d.apply = func(_ context.Context, d *driver, batch []cdc.Delivery) error {
						gather(d)
						for _, delivery := range batch {
							if delivery.RecordID == fmt.Sprint("r", bad) {
								return err
							}
						}
						d.accept(batch...)
						return nil
					}
					// Something else was accepted, so that a transient failure is a record's.
					w.journal.update("first")
					for i := range records {
						w.journal.update(fmt.Sprint("r", i))
					}
					w.run()
					calls := d.called() - 1
					t.Log(calls, "calls")
					if calls > 13 {
						t.Errorf("%d calls", calls)
					}
					w.expect(records, 0, 0, 1)
					if seen := d.seen(""); len(seen) != records || len(first(seen)) != records {
						t.Errorf("%d of %d deliveries are repeats", len(seen)-len(first(seen)), len(seen))
					}
				})
			})
		}
	}
}

// Several bad ones are each found, and nothing else is given up or sent twice.
func TestSeveralBadRecordsAreFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const records = 1000
		w, d := batches(t, records, nil)
		d.apply = func(_ context.Context, d *driver, batch []cdc.Delivery) error {
			gather(d)
			for _, delivery := range batch {
				if strings.HasSuffix(delivery.RecordID, "77") {
					return cdc.Permanent(errBroken)
				}
			}
			d.accept(batch...)
			return nil
		}
		w.journal.update("first")
		for i := range records {
			w.journal.update(fmt.Sprint("r", i))
		}
		w.run()
		w.expect(records-9, 0, 0, 10)
		if seen := d.seen(""); len(first(seen)) != len(seen) {
			t.Error("some arrived twice")
		}
		for _, row := range w.ledger.rows {
			if !strings.HasSuffix(row.Change.RecordID, "77") {
				t.Errorf("%s was given up", row.Change.RecordID)
			}
		}
	})
}

// An outage in the middle is not a record's fault, and no reason to take a batch apart.
func TestAnOutageIsNotBisected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const records = 1000
		w, d := batches(t, records, nil)
		back := time.Now().Add(time.Hour)
		var sizes []int
		d.apply = func(_ context.Context, d *driver, batch []cdc.Delivery) error {
			gather(d)
			sizes = append(sizes, len(batch))
			switch {
			case len(sizes) == 1: // accepted
			case len(sizes) == 2:
				return cdc.Permanent(errBroken) // as is the half that follows in the outage
			case time.Now().Before(back):
				return cdc.Unavailable(errBroken)
			}
			d.accept(batch...)
			return nil
		}
		w.journal.update("first")
		for i := range records {
			w.journal.update(fmt.Sprint("r", i))
		}
		w.run()
		w.expect(records+1, 0, 0, 0)
		if !slices.Equal(sizes[:3], []int{1, records, records / 2}) || slices.Contains(sizes[3:], records/4) {
			t.Errorf("batches of %v", sizes[:min(20, len(sizes))])
		}
	})
}

// batches makes a world in which the first change goes alone, and all others in
// batches of up to n, one at a time.
func batches(t *testing.T, n int, change func(*engine.Config)) (*world, *driver) {
	d := &driver{limits: cdc.Limits{Items: n, Bytes: 1 << 30, Concurrency: 1}}
	w := prepare(t, d, change)
	w.journal.SaveCursor("dest", journal.Cursor{})
	return w, d
}

// gather keeps the first call until all that is journaled is loaded.
func gather(d *driver) {
	if d.called() == 1 {
		time.Sleep(time.Second)
	}
}

// run starts the engine, waits until all is settled and stops it.
func (w *world) run() {
	w.t.Helper()
	// The journal's first read gives the first change alone.
	w.journal.short = 1
	if err := w.engine.Start(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.drain()
	w.stop()
}
