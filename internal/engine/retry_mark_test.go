package engine_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/engine"
	"github.com/s3db-go/replicator/internal/journal"
	"github.com/s3db-go/replicator/internal/ledger"
	"github.com/s3db-go/replicator/internal/route"
)

// unsure is a ledger whose first amendments are made, and told to have failed.
type unsure struct {
	engine.Ledger
	lies int
}

func (u *unsure) Amend(rows []ledger.Row, change func(*ledger.Row)) ([]ledger.Row, error) {
	amended, err := u.Ledger.Amend(rows, change)
	if u.lies > 0 && err == nil {
		u.lies--
		return nil, errBroken
	}
	return amended, err
}

// busy is a journal that refuses what is appended first.
type busy struct {
	engine.Journal
	refusals int
}

func (b *busy) AppendTo(ctx context.Context, to string, changes []cdc.Change, w *journal.Watch) (int, error) {
	if b.refusals > 0 {
		b.refusals--
		return 0, cdc.ErrJournalFull
	}
	return b.Journal.AppendTo(ctx, to, changes, w)
}

// Rows that a Retry marked, and does not know it, or can't take back, are not left as if
// they were on their way for ever: without a Start they go.
func TestMarksOfARetryThatFailedAreTakenUp(t *testing.T) {
	for name, fail := range map[string]func(*engine.Config){
		"marked, and told to be not": func(cfg *engine.Config) { cfg.Ledger = &unsure{cfg.Ledger, 1} },
		"not taken back": func(cfg *engine.Config) {
			cfg.Ledger, cfg.Journal = &once{Ledger: cfg.Ledger}, &busy{cfg.Journal, 1}
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newPicky(cdc.Limits{Events: true, Items: 1}, everything)
			s := newSite(t, d, fail)
			s.write(cdc.Updated, "a", 1)
			s.drain()
			d.mend()
			settled := make(chan struct{}, 1)
			s.mu.Lock()
			s.watch = func(n engine.Notice) {
				if n.Kind == engine.NoteSettled && n.Status == engine.Replicated {
					settled <- struct{}{}
				}
			}
			s.mu.Unlock()
			for rows := range s.ledger.Failures(ledger.Query{}, 10) {
				if n, err := s.engine.Retry(t.Context(), rows); n != 0 || !errors.Is(err, errBroken) {
					t.Fatalf("%d were put back, and %v", n, err)
				}
			}
			select {
			case <-settled:
			case <-time.After(20 * time.Second):
				t.Fatal("it is marked, and never goes")
			}
			s.stop()
			s.expect("a", "1 replicated")
		})
	}
}

// While what is marked can't be sent, the Stats say why.
func TestMarksThatCanNotBeSentAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newPicky(cdc.Limits{Events: true, Items: 1}, everything)
		var journal *busy
		s := newSite(t, d, func(cfg *engine.Config) {
			journal = &busy{cfg.Journal, 2}
			cfg.Ledger, cfg.Journal = &once{Ledger: cfg.Ledger}, journal
		})
		s.write(cdc.Updated, "a", 1)
		s.drain()
		d.mend()
		for rows := range s.ledger.Failures(ledger.Query{}, 10) {
			if _, err := s.engine.Retry(t.Context(), rows); !errors.Is(err, errBroken) {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if err := s.engine.Stats().RetryErr; !errors.Is(err, cdc.ErrJournalFull) {
			t.Errorf("the Stats have %v", err)
		}
		time.Sleep(time.Minute)
		s.drain()
		if err := s.engine.Stats().RetryErr; err != nil {
			t.Errorf("it was sent, and the Stats have %v", err)
		}
		s.expect("a", "1 replicated")
		s.stop()
	})
}

// moody panics when it is asked for its limits.
type moody struct {
	*picky
	calm atomic.Bool
}

func (m *moody) Limits(target string) cdc.Limits {
	if !m.calm.Load() {
		panic("moody")
	}
	return m.picky.Limits(target)
}

// A driver whose Limits panics is told of: the Stats say it, and a Retry does not guess.
func TestLimitsThatPanicAreTold(t *testing.T) {
	d := &moody{picky: newPicky(cdc.Limits{Rows: cdc.RowsReplaced}, everything)}
	s := newSite(t, d, func(cfg *engine.Config) {
		cfg.Router = route.New([]route.Rule{{From: "things"}}, route.Options{})
	})
	s.write(cdc.Updated, "a", 1)
	s.drain()
	if err := s.engine.Stats().LimitsErr; err == nil || !strings.Contains(err.Error(), "the driver's Limits") {
		t.Errorf("the Stats have %v", err)
	}
	for rows := range s.ledger.Failures(ledger.Query{}, 10) {
		if n, err := s.engine.Retry(t.Context(), rows); n != 0 || err == nil {
			t.Errorf("%d were put back, and %v", n, err)
		}
	}
	s.stop()
	d.mend()
	d.calm.Store(true)
	s.start()
	s.retry(ledger.Query{})
	s.drain()
	s.expect("a", "1 replicated")
	if err := s.engine.Stats().LimitsErr; err != nil {
		t.Errorf("it is calm, and the Stats have %v", err)
	}
	s.stop()
}

// What failed of a record goes again in the order of its versions, also if its key, and
// with it its lane, was another each time.
func TestRetryKeepsTheOrderOfAMovingKey(t *testing.T) {
	d := newPicky(cdc.Limits{Events: true, Items: 8, Concurrency: 4}, everything)
	s := newSite(t, d, func(cfg *engine.Config) {
		cfg.Router = route.New([]route.Rule{{From: "things", Key: []string{"n"}}}, route.Options{Limits: d.Limits})
	})
	var most atomic.Int64
	for n := range int64(6) {
		s.write(cdc.Updated, "a", n)
		s.drain()
	}
	d.mend()
	apply := d.apply
	d.apply = func(ctx context.Context, of *driver, batch []cdc.Delivery) error {
		most.Store(max(most.Load(), int64(len(batch))))
		return apply(ctx, of, batch)
	}
	if n := s.retry(ledger.Query{}); n != 6 {
		t.Fatalf("%d were put back", n)
	}
	s.drain()
	s.stop()
	if got := d.got("a"); !slices.Equal(got, []int64{0, 1, 2, 3, 4, 5}) || most.Load() != 1 {
		t.Errorf("%v arrived, up to %d in a call", got, most.Load())
	}
}

// A row that could not be deleted is not taken for gone because the record has another now.
func TestASuccessUnderAnotherKeyClosesNoFailure(t *testing.T) {
	bad := func(d cdc.Delivery) bool { return d.Op == cdc.Deleted }
	d := newPicky(cdc.Limits{Rows: cdc.RowsReplaced, Items: 1}, bad)
	s := newSite(t, d, func(cfg *engine.Config) {
		cfg.Router = route.New([]route.Rule{{From: "things", Key: []string{"n"}}}, route.Options{Limits: d.Limits})
	})
	s.write(cdc.Updated, "a", 1)
	s.write(cdc.Deleted, "a", 0)
	s.drain()
	s.write(cdc.Updated, "a", 2)
	s.drain()
	s.expect("a", "1 failed")
	s.write(cdc.Updated, "a", 1)
	s.drain()
	s.expect("a", "1 superseded")
	s.stop()
}
