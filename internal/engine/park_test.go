package engine_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/engine"
	"github.com/s3db-go/replicator/internal/journal"
	"github.com/s3db-go/replicator/internal/route"
)

// sick is a destination at which some records fail until it is healed.
type sick struct {
	driver
	healthy atomic.Bool
	err     error
}

func newSick(limits cdc.Limits, err error) *sick {
	s := &sick{err: err}
	s.limits = limits
	s.apply = func(_ context.Context, d *driver, batch []cdc.Delivery) error {
		answer := &cdc.BatchError{Errs: make([]error, len(batch))}
		for i, delivery := range batch {
			if delivery.RecordID[0] == 's' && !s.healthy.Load() {
				answer.Errs[i] = s.err
				continue
			}
			d.accept(delivery)
		}
		return answer
	}
	return s
}

// One record that fails for hours with 100,000 changes behind it takes no part of the
// window from the others, whatever its error says.
func TestOnePoisonedRecordStallsNobody(t *testing.T) {
	for name, limits := range map[string]cdc.Limits{
		"events": {Events: true}, "ordered": {Events: true, Ordered: true}, "state": {}, "replaced": {Rows: cdc.RowsReplaced}, "merged": {Rows: cdc.RowsMerged},
	} {
		for kind, err := range map[string]error{"transient": errBroken, "unavailable": cdc.Unavailable(errBroken)} {
			t.Run(name+" "+kind, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					waiting, window := 5_000, 1<<16
					if name == "events" && kind == "transient" {
						waiting, window = 100_000, 1<<20 // once is enough: it takes a while
					}
					d := newSick(limits, err)
					w := start(t, d, func(c *engine.Config) { c.Window, c.MaxRetries = window, 1_000_000 })
					var others []uint64
					for i := range waiting {
						w.journal.put(cdc.Updated, "sick", cdc.Record{"n": i})
						if i%10 == 0 {
							others = append(others, w.journal.put(cdc.Updated, fmt.Sprint("fine", i), cdc.Record{"n": i}))
						}
					}
					time.Sleep(time.Hour)
					s := w.engine.Stats()
					if s.WindowBytes > window+window/2 || s.Parked < waiting-2*window/500 || len(d.seen("")) != len(others) {
						t.Fatalf("after an hour %d of %d others have arrived: %+v", len(d.seen("")), len(others), s)
					}
					d.healthy.Store(true)
					w.drain()
					w.stop()
					seen := d.seen("sick")
					if !slices.IsSorted(seen) || seen[len(seen)-1] != w.journal.Last() {
						t.Errorf("the last of %d that arrived is %d", len(seen), seen[len(seen)-1])
					}
					if limits.Events && len(seen) != waiting || !limits.Events && len(seen) > 10 {
						t.Errorf("%d arrived", len(seen))
					}
					if s := w.engine.Stats(); s.Parked != 0 || s.WindowBytes != 0 || s.Replicated+s.Coalesced != uint64(waiting+len(others)) {
						t.Errorf("%+v", s)
					}
				})
			})
		}
	}
}

// 50,000 records in backoff, ten times the window, stall nobody either, and what they
// cost while they wait is little.
func TestManyRecordsInBackoffStallNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const records, others, window = 50_000, 12_500, 2 << 20
		d := newSick(cdc.Limits{Events: true}, cdc.RetryAfter(errBroken, 5*time.Minute))
		w := prepare(t, d, func(c *engine.Config) { c.Window, c.MaxRetries = window, 1000 })
		w.journal.SaveCursor("dest", journal.Cursor{})
		for i := range records {
			w.journal.put(cdc.Updated, fmt.Sprint("sick", i), cdc.Record{"n": i})
			if i%4 == 0 {
				w.journal.put(cdc.Updated, fmt.Sprint("fine", i), cdc.Record{"n": i})
			}
		}
		bare := heap()
		if err := w.engine.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(4 * time.Minute)
		s := w.engine.Stats()
		if len(d.seen("")) != others || s.Parked < records-2*window/500 || s.WindowBytes > window+window/2 {
			t.Errorf("%d others have arrived: %+v", len(d.seen("")), s)
		}
		if each := (heap() - bare) / records; each > 1500 {
			t.Errorf("a record that waits costs %d bytes", each)
		}
		d.healthy.Store(true)
		w.drain()
		w.stop()
		w.expect(records+others, 0, 0, 0)
		if len(d.seen("")) != records+others {
			t.Errorf("%d arrived", len(d.seen("")))
		}
	})
}

// What waits for nothing but its turn is left in the journal until it comes.
func TestNoMoreIsReadThanGoesSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const changes = 5000
		open := make(chan struct{})
		d := &driver{limits: cdc.Limits{Events: true, Items: 1, Concurrency: 8}}
		d.apply = func(_ context.Context, d *driver, batch []cdc.Delivery) error {
			<-open
			d.accept(batch...)
			return nil
		}
		w := prepare(t, d, nil)
		w.journal.SaveCursor("dest", journal.Cursor{})
		for i := range changes {
			w.journal.put(cdc.Inserted, fmt.Sprint(i), cdc.Record{"text": strings.Repeat("x", 1000)})
		}
		if err := w.engine.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if s := w.engine.Stats(); s.WindowBytes < 512*1000 || s.WindowBytes > 2<<20 {
			t.Errorf("%d bytes are read for 8 at a time", s.WindowBytes)
		}
		close(open)
		w.drain()
		w.stop()
		w.expect(changes, 0, 0, 0)
	})
}

// As much as is kept ready may be what the destination never takes. What lies behind it is
// read all the same, and gets through.
func TestWhatLiesBehindManyPoisonedRecordsIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &driver{limits: cdc.Limits{Events: true, Items: 1, Concurrency: 1}}
		d.apply = func(_ context.Context, d *driver, batch []cdc.Delivery) error {
			if batch[0].RecordID != "fine" {
				return cdc.Unavailable(errBroken)
			}
			d.accept(batch...)
			return nil
		}
		w := start(t, d, nil)
		for i := range 2000 {
			w.journal.put(cdc.Inserted, fmt.Sprint("sick", i), cdc.Record{"text": strings.Repeat("x", 1000)})
		}
		w.journal.update("fine")
		time.Sleep(24 * time.Hour)
		if len(d.seen("fine")) != 1 {
			t.Errorf("it has not arrived after a day: %+v", w.engine.Stats())
		}
		w.stop()
	})
}

// Where even what is parked has its bound, the destination waits and says for what.
func TestTooManyParkedChangesAreNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newSick(cdc.Limits{Events: true}, errBroken)
		w := start(t, d, func(c *engine.Config) { c.Window, c.MaxParked, c.MaxRetries = 1<<16, 100, 1_000_000 })
		for range 100_000 {
			w.journal.update("sick")
		}
		w.journal.update("fine")
		time.Sleep(time.Hour)
		s := w.engine.Stats()
		if s.Parked < 100 || s.Parked > 1000 || s.HeldBy == nil || s.HeldBy.Error() != "dest: things sick: broken" || len(d.seen("")) != 0 {
			t.Errorf("%+v", s)
		}
		d.healthy.Store(true)
		w.drain()
		w.stop()
		if s := w.expect(100_001, 0, 0, 0); s.HeldBy != nil {
			t.Errorf("still held by %v", s.HeldBy)
		}
	})
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// What was settled of a change with several routes is not repeated because another of
// its deliveries waited when the engine stopped.
func TestStopAndStartRepeatNothingAtSeveralTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &driver{limits: cdc.Limits{Events: true}}
		var healthy atomic.Bool
		d.apply = func(_ context.Context, d *driver, batch []cdc.Delivery) error {
			if batch[0].Target == "slow" && !healthy.Load() {
				return cdc.RetryAfter(errBroken, time.Minute)
			}
			d.accept(batch...)
			return nil
		}
		w := start(t, d, func(c *engine.Config) {
			c.Router = route.New([]route.Rule{{From: "things", To: "quick"}, {From: "things", To: "slow"}}, route.Options{})
		})
		for i := range 100 {
			w.journal.update(fmt.Sprint(i % 10))
		}
		time.Sleep(time.Second)
		w.stop()
		if n := len(d.seen("")); n != 100 {
			t.Fatalf("%d arrived before the stop", n)
		}
		healthy.Store(true)
		w.engine = engine.New(w.cfg)
		if err := w.engine.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.drain()
		w.stop()
		count := map[string]int{}
		for _, a := range d.accepted {
			count[fmt.Sprint(a.Target, a.Seq)]++
		}
		if len(count) != 200 || len(d.accepted) != 200 {
			t.Errorf("%d of %d deliveries are repeats", len(d.accepted)-len(count), len(d.accepted))
		}
		w.expect(100, 0, 0, 0)
	})
}
