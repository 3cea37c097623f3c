package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/backoff"
	"github.com/s3db-go/replicator/internal/engine"
	"github.com/s3db-go/replicator/internal/ledger"
)

// 64 writers write 100 records, the destination fails, answers for a part, loses
// answers and overruns its timeout. Nothing is lost, and no change of a record is
// accepted before an earlier one.
func TestOrderUnderFaults(t *testing.T) {
	for _, limits := range []cdc.Limits{{Events: true}, {Events: true, Ordered: true}, {}} {
		t.Run(fmt.Sprintf("events=%v ordered=%v", limits.Events, limits.Ordered), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const writers, writes, records = 64, 40, 100
				d := &driver{limits: limits, apply: flaky}
				w := start(t, d, func(c *engine.Config) {
					c.MaxRetries = 1000 // so that none is given up
					c.Backoff = backoff.Policy{Base: 100 * time.Millisecond, Cap: time.Second}
				})
				var wg sync.WaitGroup
				for range writers {
					wg.Go(func() {
						for range writes {
							time.Sleep(rand.N(100 * time.Millisecond))
							w.journal.update(fmt.Sprint("r", rand.IntN(records)))
						}
					})
				}
				wg.Wait()
				w.drain()
				w.stop()
				for i := range records {
					id := fmt.Sprint("r", i)
					var want []uint64
					for _, c := range w.journal.changes {
						if c.RecordID == id {
							want = append(want, c.Seq)
						}
					}
					seen := d.seen(id)
					if !slices.IsSorted(seen) && !limits.Ordered {
						t.Fatalf("%s: accepted in the order %v", id, seen)
					}
					if !limits.Events {
						want = want[len(want)-1:]
						seen = seen[len(seen)-1:]
					}
					if firsts := first(seen); !slices.Equal(firsts, want) {
						t.Fatalf("%s: accepted first in the order %v, want %v", id, firsts, want)
					}
				}
				s := w.engine.Stats()
				if s.Wanted != writers*writes || s.Failed != 0 || s.Replicated+s.Coalesced != s.Wanted || s.Loaded != 0 || s.Lag != 0 {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// first gives each Seq at its first place.
func first(seqs []uint64) (out []uint64) {
	for _, s := range seqs {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// flaky is a destination that does its work, late, in part or without saying so.
func flaky(ctx context.Context, d *driver, batch []cdc.Delivery) error {
	time.Sleep(rand.N(50 * time.Millisecond))
	switch rand.IntN(8) {
	case 0:
		return cdc.Unavailable(errBroken)
	case 1:
		return errBroken
	case 2:
		<-ctx.Done()
		return ctx.Err()
	case 3:
		d.accept(batch...)
		return errBroken // the answer is lost
	case 4:
		return &cdc.BatchError{Errs: make([]error, len(batch)+1)}
	case 5, 6:
		answer := &cdc.BatchError{Errs: make([]error, len(batch))}
		broken := map[string]bool{} // in order, so nothing goes behind a failure
		for i, delivery := range batch {
			if rand.IntN(3) == 0 || broken[delivery.RecordID] {
				answer.Errs[i] = errBroken
				broken[delivery.RecordID] = true
				continue
			}
			d.accept(delivery)
		}
		return answer
	}
	d.accept(batch...)
	return nil
}

func TestAnOutageOfAWeekSpendsNoAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const changes = 20_000
		down := time.Now().Add(7 * 24 * time.Hour)
		d := &driver{limits: cdc.Limits{Events: true}}
		d.apply = func(ctx context.Context, d *driver, batch []cdc.Delivery) error {
			if time.Now().Before(down) {
				return errors.New("neither marked as unavailable nor anything else")
			}
			d.accept(batch...)
			return nil
		}
		w := start(t, d, func(c *engine.Config) { c.Window = 1 << 20 })
		for i := range changes {
			w.journal.update(fmt.Sprint("r", i%5000))
		}
		time.Sleep(6 * 24 * time.Hour)
		s := w.engine.Stats()
		if !s.Breaker.Open || s.Breaker.Err == nil || s.Waiting != changes || s.Lag < 6*24*time.Hour {
			t.Errorf("in the middle of the outage: %+v", s)
		}
		if s.WindowBytes > 2<<20 {
			t.Errorf("%d bytes are loaded", s.WindowBytes)
		}
		w.drain()
		w.stop()
		w.expect(changes, 0, 0, 0)
		opened, closed := w.noted(ofKind(engine.NoteBreakerOpened)), w.noted(ofKind(engine.NoteBreakerClosed))
		if len(opened) != 1 || len(closed) != 1 {
			t.Errorf("the breaker opened %d times and closed %d times", len(opened), len(closed))
		}
		if charged := w.noted(func(n engine.Notice) bool { return n.RetryCount > 0 }); len(charged) > 0 {
			t.Errorf("%d attempts were charged", len(charged))
		}
		if seen := d.seen("r7"); !slices.IsSorted(seen) || len(seen) != 4 {
			t.Errorf("r7: %v", seen)
		}
	})
}

func TestAFailedRecordIsInTheLedgerBeforeItsSuccessorGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &driver{limits: cdc.Limits{Events: true}}
		d.apply = func(_ context.Context, d *driver, batch []cdc.Delivery) error {
			answer := &cdc.BatchError{Errs: make([]error, len(batch))}
			for i, delivery := range batch {
				if delivery.Seq == 1 {
					answer.Errs[i] = cdc.Permanent(errBroken)
					continue
				}
				d.accept(delivery)
			}
			return answer
		}
		w := start(t, d, nil)
		w.ledger.fail(errors.New("the disk is full"))
		w.journal.update("a")
		w.journal.update("a")
		w.journal.update("b")
		time.Sleep(time.Hour)
		s := w.engine.Stats()
		if s.LedgerErr == nil || s.Low != 0 || s.Unrecorded != 1 || len(d.seen("a")) != 0 || len(d.seen("b")) != 1 {
			t.Errorf("while the ledger can't write: a %v, b %v, %+v", d.seen("a"), d.seen("b"), s)
		}
		if c, _ := w.journal.Cursor("dest"); c.Low != 0 {
			t.Errorf("the cursor passed what is in no ledger: %+v", c)
		}
		w.ledger.fail(nil)
		w.drain()
		w.stop()
		if s := w.expect(2, 0, 0, 1); s.LedgerErr != nil {
			t.Errorf("the ledger works again: %v", s.LedgerErr)
		}
		if row := w.ledger.rows[0]; row.Destination != "dest" || row.Driver != "fake" || row.Target != "things" || row.Status != ledger.Failed || row.Attempts != 1 ||
			row.Error != "broken" || row.Change.Seq != 1 || row.Change.Data == nil {
			t.Errorf("%+v", row)
		}
		settled := w.noted(func(n engine.Notice) bool { return n.Status == engine.Failed })
		if err, ok := errors.AsType[*cdc.DeliveryError](settled[0].Err); !ok || err.Destination != "dest" || err.RecordID != "a" {
			t.Errorf("%v", settled[0].Err)
		}
	})
}

func TestRetriesAreSpentOnlyOnTheGuilty(t *testing.T) {
	bad := func(_ context.Context, d *driver, batch []cdc.Delivery) error {
		for _, delivery := range batch {
			if delivery.RecordID == "bad" {
				return errBroken
			}
		}
		d.accept(batch...)
		return nil
	}
	t.Run("others pass", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := &driver{apply: bad}
			w := start(t, d, nil)
			w.journal.update("bad")
			for i := range 100 {
				w.journal.put(cdc.Inserted, fmt.Sprint("good", i), cdc.Record{"id": i})
				time.Sleep(time.Second)
			}
			w.drain()
			w.stop()
			w.expect(100, 0, 0, 1)
			failed := w.noted(func(n engine.Notice) bool { return n.Status == engine.Failed })
			if len(failed) != 1 || failed[0].RetryCount != 3 {
				t.Errorf("%+v", failed)
			}
		})
	})
	t.Run("a bad one spoils its batch", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := &driver{apply: bad}
			w := start(t, d, nil)
			for i := range 50 {
				w.journal.put(cdc.Inserted, fmt.Sprint("good", i), cdc.Record{"id": i})
			}
			w.journal.update("bad")
			time.Sleep(time.Hour)
			for i := range 10 {
				w.journal.put(cdc.Inserted, fmt.Sprint("later", i), cdc.Record{"id": i})
				time.Sleep(time.Minute)
			}
			w.drain()
			w.stop()
			w.expect(60, 0, 0, 1)
		})
	})
	t.Run("alone, the destination lives", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := start(t, &checked{driver: driver{apply: bad}}, nil)
			w.journal.update("bad")
			w.drain()
			w.stop()
			w.expect(0, 0, 0, 1)
			if w.ledger.rows[0].Attempts != 4 {
				t.Errorf("%d attempts", w.ledger.rows[0].Attempts)
			}
		})
	})
	t.Run("alone, nobody can tell", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := start(t, &driver{apply: bad}, nil)
			w.journal.update("bad")
			time.Sleep(24 * time.Hour)
			if s := w.engine.Stats(); s.Loaded != 1 || !s.Breaker.Open {
				t.Errorf("%+v", s)
			}
			w.stop()
		})
	})
}

// A destination that drops half of its calls for ten minutes is nobody's fault. A record that
// brings it down each time is found out all the same, and fails alone.
func TestWhoKeepsFailingAsUnavailable(t *testing.T) {
	const events = 2000
	for _, target := range []cdc.Limits{{Events: true, Items: 1}, {Events: true, Items: 50}, {Items: 50}} {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(1, 2))
			until := time.Now().Add(10 * time.Minute)
			d := &driver{limits: target}
			d.apply = func(_ context.Context, d *driver, batch []cdc.Delivery) error {
				d.mu.Lock()
				drops := time.Now().Before(until) && rnd.IntN(2) == 0
				d.mu.Unlock()
				if drops || slices.ContainsFunc(batch, func(d cdc.Delivery) bool { return d.RecordID == "deadly" }) {
					// As a driver says it that answers for each.
					errs := make([]error, len(batch))
					for i := range errs {
						errs[i] = cdc.Unavailable(errBroken)
					}
					return &cdc.BatchError{Errs: errs}
				}
				d.accept(batch...)
				return nil
			}
			w := start(t, d, nil)
			w.journal.update("deadly")
			for i := range events {
				w.journal.put(cdc.Inserted, fmt.Sprint("r", i), cdc.Record{"id": i})
				time.Sleep(time.Second)
			}
			w.drain()
			w.stop()
			w.expect(events, 0, 0, 1)
			if row := w.ledger.rows[0]; row.Change.RecordID != "deadly" {
				t.Errorf("given up is %s", row.Change.RecordID)
			}
		})
	}
}

func TestADestinationMayAskForAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls []time.Time
		d := &driver{limits: cdc.Limits{Items: 1, Concurrency: 1}}
		d.apply = func(_ context.Context, d *driver, batch []cdc.Delivery) error {
			if batch[0].RecordID == "slow" {
				if calls = append(calls, time.Now()); len(calls) == 1 {
					return cdc.RetryAfter(errBroken, 2*time.Minute)
				}
			}
			d.accept(batch...)
			return nil
		}
		w := start(t, d, nil)
		w.journal.update("other")
		w.journal.update("slow")
		w.drain()
		w.stop()
		if pause := calls[1].Sub(calls[0]); pause != 2*time.Minute {
			t.Errorf("called again after %v", pause)
		}
		w.expect(2, 0, 0, 0)
	})
}

func TestEndsAreRecordedWhenAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, &driver{limits: cdc.Limits{Events: true}}, func(c *engine.Config) { c.RecordSuccesses = true })
		w.journal.update("a")
		w.journal.update("a")
		w.drain()
		w.stop()
		if n := len(w.ledger.rows); n != 2 || w.ledger.rows[0].Status != ledger.Replicated {
			t.Errorf("%d rows: %+v", n, w.ledger.rows)
		}
	})
}

// checked is a driver whose destination lives, as it says.
type checked struct{ driver }

func (*checked) Check(context.Context) error { return nil }

func TestCoalescingKeepsWhatANewerRecordLacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		d := &driver{limits: cdc.Limits{Concurrency: 1, Items: 1}}
		d.apply = func(_ context.Context, d *driver, batch []cdc.Delivery) error {
			<-gate
			d.accept(batch...)
			return nil
		}
		w := start(t, d, nil)
		w.journal.put(cdc.Inserted, "a", cdc.Record{"x": 1}) // 1: under way, so nothing takes its place
		synctest.Wait()
		w.journal.put(cdc.Updated, "a", cdc.Record{"x": 2})
		w.journal.put(cdc.Updated, "a", cdc.Record{"x": 3, "y": 3}) // 3 contains 2
		w.journal.put(cdc.Updated, "a", cdc.Record{"x": 4})         // lacks y
		w.journal.put(cdc.Deleted, "a", cdc.Record{"x": 4})         // 5 contains 4
		w.journal.put(cdc.Inserted, "a", cdc.Record{"x": 6})        // after a delete
		synctest.Wait()
		close(gate)
		w.drain()
		w.stop()
		w.expect(4, 2, 0, 0)
		if seen := d.seen("a"); !slices.Equal(seen, []uint64{1, 3, 5, 6}) {
			t.Errorf("%v", seen)
		}
	})
}
