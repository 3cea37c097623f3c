package engine_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/engine"
	"github.com/s3db-go/replicator/internal/ledger"
	"github.com/s3db-go/replicator/internal/route"
)

// grouped gives a site whose lanes are the field group of the records, with Hold. Of a
// call's deliveries it counts the most.
func grouped(t *testing.T, bad func(cdc.Delivery) bool, more ...func(*engine.Config)) (*site, *picky, *atomic.Int64) {
	d, most := newPicky(cdc.Limits{Events: true, Items: 8, Concurrency: 4}, bad), new(atomic.Int64)
	apply := d.apply
	d.apply = func(ctx context.Context, of *driver, batch []cdc.Delivery) error {
		most.Store(max(most.Load(), int64(len(batch))))
		return apply(ctx, of, batch)
	}
	return newSite(t, d, func(cfg *engine.Config) {
		cfg.Hold = true
		cfg.Router = route.New([]route.Rule{{From: "things", OrderBy: func(c cdc.Change) string { return c.Data.String("group") }}}, route.Options{Limits: d.Limits})
		for _, change := range more {
			change(cfg)
		}
	}), d, most
}

func in(group string, n int64) cdc.Record { return cdc.Record{"group": group, "n": n} }

// order gives the n of everything that was accepted.
func (p *picky) order() (ns []int64) {
	p.driver.mu.Lock()
	defer p.driver.mu.Unlock()
	for _, d := range p.accepted {
		ns = append(ns, d.Record.Int("n"))
	}
	return ns
}

// fail says what is refused from now on.
func (p *picky) fail(bad func(cdc.Delivery) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bad = bad
}

// numbered refuses some n.
func numbered(bad ...int64) func(cdc.Delivery) bool {
	return func(d cdc.Delivery) bool { return slices.Contains(bad, d.Record.Int("n")) }
}

// With Hold, what left one lane for another goes again behind what failed before it in both,
// and so does what is held behind it in the other.
func TestWhatHangsTogetherGoesInItsOrder(t *testing.T) {
	s, d, most := grouped(t, numbered(2))
	s.become("b", in("one", 1))
	s.become("a", in("one", 2))
	s.become("b", in("two", 3)) // held behind a, and closes the other lane
	s.become("c", in("two", 4))
	s.become("c", in("three", 5))
	s.become("d", in("three", 6))
	s.become("e", in("four", 7))
	s.expect("d", "6 held")
	d.mend()
	s.retry(ledger.Query{})
	s.drain()
	s.become("d", in("three", 8)) // the lanes are open
	if got := d.order(); !slices.Equal(got, []int64{1, 7, 2, 3, 4, 5, 6, 8}) || most.Load() != 1 {
		t.Errorf("%v arrived, up to %d in a call", got, most.Load())
	}
	s.stop()
}

// What comes to hang together with failures after their Retry was journaled goes with them,
// and in its order.
func TestWhatIsHeldAfterARetryGoesWithIt(t *testing.T) {
	s, d, _ := grouped(t, numbered(2))
	s.become("b", in("one", 1))
	s.become("a", in("one", 2))
	s.stop()
	s.put("b", in("two", 3))
	s.put("c", in("two", 4))
	d.mend()
	s.retry(ledger.Query{})
	s.start()
	for last := uint64(0); last < s.journal.Last(); { // the Retry is journaled once more
		last = s.journal.Last()
		s.drain()
	}
	if got := d.order(); !slices.Equal(got, []int64{1, 2, 3, 4}) {
		t.Errorf("%v arrived", got)
	}
	s.stop()
}

// slow is a ledger that takes no row of what is held until it may.
type slow struct {
	engine.Ledger
	once          sync.Once
	reached, open chan struct{}
}

func (l *slow) Settle(ends ...ledger.End) ([]int, error) {
	if slices.ContainsFunc(ends, func(e ledger.End) bool { return e.Row.Status == ledger.Held }) {
		l.once.Do(func() {
			close(l.reached)
			<-l.open
		})
	}
	return l.Ledger.Settle(ends...)
}

// What was held while the failure before it was discarded goes when the journal takes what
// calls for it, also if that is full at first.
func TestWhatIsHeldAfterADiscardGoesWhenThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, j := &slow{reached: make(chan struct{}), open: make(chan struct{})}, &busy{}
		s, d, _ := grouped(t, numbered(2), func(cfg *engine.Config) {
			l.Ledger, j.Journal = cfg.Ledger, cfg.Journal
			cfg.Ledger, cfg.Journal = l, j
		})
		s.become("b", in("one", 1))
		s.become("a", in("one", 2))
		s.put("b", in("two", 3))
		<-l.reached
		s.discard(ledger.Query{})
		j.refusals = 2
		close(l.open)
		s.drain()
		s.expect("b", "3 held")
		time.Sleep(time.Minute)
		s.expect("b", "3 replicated")
		s.become("b", in("two", 4))
		if got := d.order(); !slices.Equal(got, []int64{1, 3, 4}) {
			t.Errorf("%v arrived", got)
		}
		s.stop()
	})
}

// What fails again holds what stands behind it, and nothing else.
func TestWhatFailsAgainHoldsWhatIsBehindIt(t *testing.T) {
	s, d, _ := grouped(t, numbered(2, 3))
	s.become("b", in("one", 1))
	s.become("a", in("one", 2))
	s.become("c", in("two", 3))
	s.become("c", in("two", 4))
	s.become("b", in("two", 5)) // hangs them together
	d.fail(numbered(2))
	s.retry(ledger.Query{})
	s.drain()
	if got := d.order(); !slices.Equal(got, []int64{1, 3, 4}) {
		t.Errorf("%v arrived", got)
	}
	s.expect("a", "2 failed")
	s.expect("b", "5 held")
	s.become("c", in("two", 6))
	s.expect("c", "3 replicated", "4 replicated", "6 held")
	d.mend()
	s.retry(ledger.Query{Status: ledger.Held, RecordID: "b"})
	s.drain()
	if got := d.order(); !slices.Equal(got, []int64{1, 3, 4, 2, 5, 6}) {
		t.Errorf("%v arrived", got)
	}
	s.stop()
}

// With Hold a record keeps its order also where it has another key each time, without
// having moved.
func TestARecordThatIsInsertedAnewIsHeld(t *testing.T) {
	d := newPicky(cdc.Limits{Rows: cdc.RowsReplaced, Items: 8, Concurrency: 4}, func(d cdc.Delivery) bool { return d.Record == nil })
	s := newSite(t, d, func(cfg *engine.Config) {
		cfg.Hold = true
		cfg.Router = route.New([]route.Rule{{From: "things", Key: []string{"n"}}}, route.Options{Limits: d.Limits})
	})
	s.become("a", cdc.Record{"n": int64(1)})
	s.become("a", nil)
	s.become("a", cdc.Record{"n": int64(2)})
	s.expect("a", "1 failed", "2 held")
	d.mend()
	s.retry(ledger.Query{})
	s.drain()
	s.expect("a", "1 replicated", "2 replicated")
	if got := d.order(); !slices.Equal(got, []int64{1, 0, 2}) {
		t.Errorf("%v arrived", got)
	}
	s.stop()
}
