package engine_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/engine"
	"github.com/s3db-go/replicator/internal/ledger"
)

// Behind a failed change nothing of its record goes, over a restart too, and all of it
// stands in the ledger in order.
func TestWhatFollowsAFailureIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newSick(cdc.Limits{Events: true}, cdc.Permanent(errBroken))
		w := start(t, d, func(c *engine.Config) { c.Hold = true })
		w.journal.update("fine")
		w.journal.update("sick")
		w.journal.update("sick")
		w.drain()
		w.stop()
		d.healthy.Store(true)
		w.engine = engine.New(w.cfg)
		if err := w.engine.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.journal.update("sick")
		w.journal.update("fine")
		w.drain()
		w.stop()
		if seen := d.seen(""); !slices.Equal(seen, []uint64{1, 5}) {
			t.Errorf("%v went", seen)
		}
		var rows []string
		for _, r := range w.ledger.rows {
			rows = append(rows, fmt.Sprint(r.Change.Seq, r.Status))
		}
		if !slices.Equal(rows, []string{"2failed", "3held", "4held"}) {
			t.Errorf("rows %v", rows)
		}
		if held := w.noted(func(n engine.Notice) bool { return n.Status == engine.Held }); len(held) != 2 || !strings.Contains(held[0].Err.Error(), "held behind") {
			t.Errorf("%+v", held)
		}
		w.expect(1, 0, 0, 1)
		if w.ledger.rows[1].Status != ledger.Held || w.ledger.rows[1].Change.Data == nil {
			t.Errorf("%+v", w.ledger.rows[1])
		}
	})
}

// While a destination is away for longer than it is waited for, what is older than that
// is given up; what is younger still waits for it.
func TestWaitingForADestinationEndsWhereItIsToEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		d := &driver{limits: cdc.Limits{Events: true}}
		d.apply = func(_ context.Context, d *driver, batch []cdc.Delivery) error {
			if !up.Load() {
				return cdc.Unavailable(errBroken)
			}
			d.accept(batch...)
			return nil
		}
		w := start(t, d, func(c *engine.Config) { c.GiveUpAfter, c.Window = time.Hour, 1<<16 })
		for i := range 1000 {
			w.journal.update(fmt.Sprint("old", i))
		}
		time.Sleep(59 * time.Minute)
		if s := w.engine.Stats(); s.Failed != 0 {
			t.Errorf("%d were given up before their time", s.Failed)
		}
		w.journal.update("young")
		time.Sleep(5 * time.Minute)
		if s := w.engine.Stats(); s.Failed != 1000 || s.Waiting != 1 {
			t.Errorf("after an hour: %+v", s)
		}
		up.Store(true)
		w.drain()
		w.stop()
		w.expect(1, 0, 0, 1000)
		if row := w.ledger.rows[0]; row.Error != "unavailable for more than 1h0m0s: broken" || row.Change.Data == nil {
			t.Errorf("%+v", row)
		}
	})
}

func TestNoMoreGoesThanTheRateAllows(t *testing.T) {
	for _, rate := range []float64{0.5, 40, 1000} {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				var sent []time.Time
				d := &driver{limits: cdc.Limits{Events: true}}
				d.apply = func(_ context.Context, d *driver, batch []cdc.Delivery) error {
					mu.Lock()
					for range batch {
						sent = append(sent, time.Now())
					}
					mu.Unlock()
					return nil
				}
				w := start(t, d, func(c *engine.Config) { c.Rate = rate })
				seconds := 20
				n := int(rate * float64(seconds))
				begin := time.Now()
				for i := range n {
					w.journal.update(fmt.Sprint("r", i))
				}
				w.drain()
				took := time.Since(begin)
				w.stop()
				if took < time.Duration(seconds-3)*time.Second || took > time.Duration(seconds+1)*time.Second {
					t.Errorf("%d took %v", n, took)
				}
				for i, from := range sent {
					within := 0
					for _, at := range sent[i:] {
						if at.Sub(from) >= time.Second {
							break
						}
						within++
					}
					if most := max(rate*1.1, rate+1) + 1; float64(within) > most {
						t.Fatalf("%d went within a second", within)
					}
				}
			})
		})
	}
}

// With one cap for two destinations, calls of one that hang leave the other its place.
func TestACapIsSharedFairly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		places := make(chan struct{}, 2) // beside one for each
		release := make(chan struct{})
		var running, most atomic.Int32
		count := func() func() {
			for n := running.Add(1); ; {
				if m := most.Load(); n <= m || most.CompareAndSwap(m, n) {
					break
				}
			}
			return func() { running.Add(-1) }
		}
		limits := cdc.Limits{Events: true, Items: 1}
		hanging, lively := &driver{limits: limits}, &driver{limits: limits}
		hanging.apply = func(_ context.Context, d *driver, batch []cdc.Delivery) error {
			defer count()()
			<-release
			return nil
		}
		lively.apply = func(_ context.Context, d *driver, batch []cdc.Delivery) error {
			defer count()()
			d.accept(batch...)
			return nil
		}
		share := func(c *engine.Config) { c.Places = places }
		a, b := start(t, hanging, share), start(t, lively, share)
		for i := range 50 {
			a.journal.update(fmt.Sprint("r", i))
			synctest.Wait()
			b.journal.update(fmt.Sprint("r", i))
		}
		b.drain()
		if hanging.called() != 3 || most.Load() > 4 {
			t.Errorf("%d calls hang, %d ran at a time", hanging.called(), most.Load())
		}
		close(release)
		a.drain()
		a.stop()
		b.stop()
	})
}

// What speaks for several changes of a record is given up as one, with what it would have
// brought: also if those before the newest have given their payload back. What came just now
// is not given up with it.
func TestWhatIsGivenUpIsWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &driver{limits: cdc.Limits{Rows: cdc.RowsReplaced}, apply: func(context.Context, *driver, []cdc.Delivery) error {
			return cdc.Unavailable(errBroken)
		}}
		w := start(t, d, func(c *engine.Config) { c.GiveUpAfter, c.Window = time.Hour, 1<<14 })
		for range 50 {
			for i := range 20 {
				w.journal.put(cdc.Updated, fmt.Sprint("r", i), cdc.Record{"text": strings.Repeat("x", 300)})
			}
		}
		time.Sleep(30 * time.Minute)
		w.journal.update("r0")
		time.Sleep(31 * time.Minute)
		given := func() (n int) { return len(w.noted(func(n engine.Notice) bool { return n.Status == engine.Failed })) }
		if n := given(); n != 19 {
			t.Errorf("%d were given up after an hour, want those of 19 records", n)
		}
		time.Sleep(31 * time.Minute)
		if n := given(); n != 20 {
			t.Errorf("%d were given up, want all", n)
		}
		w.stop()
		for _, row := range w.ledger.rows {
			if row.Change.Data == nil {
				t.Errorf("the log has %v without its data", row.Change)
			}
		}
	})
}
