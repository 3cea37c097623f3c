package engine_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/engine"
	"github.com/s3db-go/replicator/internal/journal"
	"github.com/s3db-go/replicator/internal/ledger"
	"github.com/s3db-go/replicator/internal/route"
)

// become changes a record to a state, of which nil is that it is gone, and waits until
// that is settled.
func (s *site) become(id string, state cdc.Record) {
	s.t.Helper()
	s.put(id, state)
	s.drain()
}

// put changes a record, and journals that with the state before.
func (s *site) put(id string, state cdc.Record) {
	s.t.Helper()
	c := cdc.Change{Op: cdc.Updated, Resource: "things", RecordID: id, Time: time.Now().UTC().Truncate(time.Microsecond)}
	c.ChangeID = cdc.ID{7: byte(s.journal.Last()), 6: byte(s.journal.Last() >> 8), 15: 1}
	s.mu.Lock()
	before := s.records[id]
	c.Data, c.Before = state, before
	switch {
	case state == nil:
		c.Op, c.Data, c.Before = cdc.Deleted, before, nil
		delete(s.records, id)
	case before == nil:
		c.Op = cdc.Inserted
		fallthrough
	default:
		s.records[id] = state
	}
	s.mu.Unlock()
	if err := s.journal.Append(s.t.Context(), []cdc.Change{c}); err != nil {
		s.t.Fatal(err)
	}
}

// A row that was to leave a filter, or whose record is gone since, is taken away by a
// Retry where the change that failed was to do so.
func TestRetryRemovesWhatLeftAFilter(t *testing.T) {
	passing, left := cdc.Record{"id": "a", "n": int64(150)}, cdc.Record{"id": "a", "n": int64(50)}
	for name, after := range map[string][]cdc.Record{
		"still there":      nil,
		"changed again":    {{"id": "a", "n": int64(40)}},
		"gone":             {nil},
		"changed and gone": {{"id": "a", "n": int64(40)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			d := newPicky(cdc.Limits{Rows: cdc.RowsReplaced, Items: 1}, func(d cdc.Delivery) bool { return d.Op == cdc.Deleted })
			s := newSite(t, d, func(c *engine.Config) {
				c.Router = route.New([]route.Rule{{
					From: "things", OnLeave: route.LeaveRemove,
					ShouldReplicate: func(c cdc.Change) bool { return c.Data.Int("n") >= 100 },
				}}, route.Options{Limits: d.Limits})
			})
			s.become("a", passing)
			s.become("a", left)
			for _, state := range after {
				s.become("a", state)
			}
			d.mend()
			if n := s.retry(ledger.Query{}); n != 1 {
				t.Errorf("%d were put back", n)
			}
			s.drain()
			if last := d.accepted[len(d.accepted)-1]; last.Op != cdc.Deleted || len(d.accepted) != 2 {
				t.Errorf("the row stays: %+v", d.accepted)
			}
			s.expect("a", "50 replicated")
			s.stop()
		})
	}
}

// What the target never had is not taken away: its failure is discarded.
func TestRetryRemovesNothingThatNeverPassed(t *testing.T) {
	d := newPicky(cdc.Limits{Rows: cdc.RowsReplaced, Items: 1}, everything)
	wanted := int64(0)
	s := newSite(t, d, func(c *engine.Config) {
		c.Router = route.New([]route.Rule{{
			From: "things", OnLeave: route.LeaveRemove,
			ShouldReplicate: func(c cdc.Change) bool { return c.Data.Int("n") >= wanted },
		}}, route.Options{Limits: d.Limits})
	})
	s.become("a", cdc.Record{"id": "a", "n": int64(1)})
	s.stop()
	wanted = 100
	d.mend()
	s.retry(ledger.Query{})
	s.start()
	s.drain()
	if len(d.accepted) != 0 {
		t.Errorf("%+v", d.accepted)
	}
	s.expect("a", "1 discarded")
	s.stop()
}

// The row that a failed change of the key left behind goes with the Retry, whether the
// record is still there or not.
func TestRetryKnowsTheFormerKey(t *testing.T) {
	for name, last := range map[string]cdc.Record{"still there": code("third", 3), "gone": nil} {
		t.Run(name, func(t *testing.T) {
			d := newPicky(cdc.Limits{Rows: cdc.RowsReplaced, Items: 1}, nil)
			s := newSite(t, d, func(c *engine.Config) {
				c.Router = route.New([]route.Rule{{From: "things", Key: []string{"code"}}}, route.Options{Limits: d.Limits})
			})
			s.become("a", code("first", 1))
			d.mu.Lock()
			d.bad = everything
			d.mu.Unlock()
			s.become("a", code("second", 2))
			s.become("a", last)
			d.mend()
			s.retry(ledger.Query{})
			s.drain()
			rows := map[string]int64{}
			for _, a := range d.accepted {
				if a.OldKey != nil {
					delete(rows, a.OldKey.String("code"))
				}
				if delete(rows, a.Key.String("code")); a.Record != nil {
					rows[a.Key.String("code")] = a.Record.Int("n")
				}
			}
			if want := int(last.Int("n")) / 3; len(rows) != want || want == 1 && rows["third"] != 3 {
				t.Errorf("the target has %v", rows)
			}
			if got := s.statuses("a"); slices.ContainsFunc(s.rows("a"), func(r ledger.Row) bool { return r.Status != ledger.Replicated }) {
				t.Errorf("%q", got)
			}
			s.stop()
		})
	}
}

// table is what a target holds: of each row the newest of its versions, or a delete.
func (p *picky) table() map[string]string {
	p.driver.mu.Lock()
	defer p.driver.mu.Unlock()
	rows, versions := map[string]string{}, map[string]uint64{}
	put := func(key cdc.Record, text string, version uint64) {
		if code := key.String("code"); version >= versions[code] {
			versions[code], rows[code] = version, text
		}
	}
	for _, d := range p.accepted {
		if d.OldKey != nil {
			put(d.OldKey, "", d.Version)
		}
		if d.Record == nil {
			put(d.Key, "", d.Version)
		} else {
			put(d.Key, fmt.Sprint(d.RecordID, d.Record["n"]), d.Version)
		}
	}
	maps.DeleteFunc(rows, func(_, text string) bool { return text == "" })
	return rows
}

func code(code string, n int64) cdc.Record { return cdc.Record{"code": code, "n": n} }

// newCoded gives a site of rows by the field code.
func newCoded(t *testing.T) (*site, *picky) {
	d := newPicky(cdc.Limits{Rows: cdc.RowsReplaced, Items: 4}, nil)
	return newSite(t, d, func(c *engine.Config) {
		c.Router = route.New([]route.Rule{{From: "things", Key: []string{"code"}}}, route.Options{Limits: d.Limits})
	}), d
}

// A Retry leaves no row behind under any key that a change was to take away which failed,
// also if the record was written under others since.
func TestRetryRemovesAllThatFailuresLeft(t *testing.T) {
	for name, last := range map[string]cdc.Record{"gone": nil, "still there": code("fourth", 4)} {
		t.Run(name, func(t *testing.T) {
			s, d := newCoded(t)
			s.become("a", code("first", 1))
			d.fail(everything)
			s.become("a", code("second", 2)) // so that the first stays
			d.mend()
			s.become("a", code("third", 3))
			d.fail(everything)
			s.become("a", last) // so that the third stays
			d.mend()
			if n := s.retry(ledger.Query{}); n != 2 {
				t.Errorf("%d were put back", n)
			}
			s.drain()
			want := map[string]string{}
			if last != nil {
				want["fourth"] = "a4"
			}
			if got := d.table(); !maps.Equal(got, want) {
				t.Errorf("the target has %v, want %v", got, want)
			}
			for _, row := range s.rows("a") {
				if row.Status != ledger.Replicated || row.WillRetry {
					t.Errorf("%+v", row)
				}
			}
			if st := s.engine.Stats(); st.Wanted != st.Replicated+st.Failed || st.Loaded != 0 {
				t.Errorf("%+v", st)
			}
			s.stop()
		})
	}
}

// A row that another record has taken since is not removed where the target knows versions.
func TestRetryRemovesARowAsOfTheChangeThatFailed(t *testing.T) {
	for name, last := range map[string]cdc.Record{"gone": nil, "still there": code("third", 3)} {
		t.Run(name, func(t *testing.T) {
			s, d := newCoded(t)
			s.become("a", code("first", 1))
			d.fail(everything)
			s.become("a", code("second", 2))
			s.become("a", last)
			d.mend()
			s.become("b", code("first", 9))
			s.become("b", code("second", 9))
			s.become("c", code("first", 8))
			s.retry(ledger.Query{})
			s.drain()
			want := map[string]string{"first": "c8", "second": "b9"}
			if last != nil {
				want["third"] = "a3"
			}
			if got := d.table(); !maps.Equal(got, want) {
				t.Errorf("the target has %v, want %v", got, want)
			}
			s.stop()
		})
	}
}

// As long as one of its rows can't be removed, a record's failures stay.
func TestRetryThatCanNotRemoveARowKeepsTheFailures(t *testing.T) {
	s, d := newCoded(t)
	s.become("a", code("first", 1))
	d.fail(everything)
	s.become("a", code("second", 2))
	d.fail(func(d cdc.Delivery) bool { return d.Record == nil })
	s.retry(ledger.Query{})
	s.drain()
	s.expect("a", "2 failed")
	if row := s.rows("a")[0]; row.WillRetry || row.Error != "broken" || row.Attempts != 2 {
		t.Errorf("%+v", row)
	}
	d.mend()
	s.retry(ledger.Query{})
	s.drain()
	s.expect("a", "2 replicated")
	if got := d.table(); !maps.Equal(got, map[string]string{"second": "a2"}) {
		t.Errorf("the target has %v", got)
	}
	s.stop()
}

// What fails while a Retry is on its way, and would have taken away a row of which that
// knows nothing, is not closed by it.
func TestRetryClosesOnlyWhatItHasDealtWith(t *testing.T) {
	s, d := newCoded(t)
	s.become("a", code("first", 1))
	d.fail(everything)
	s.become("a", code("second", 2))
	s.stop()
	s.put("a", code("third", 3))
	s.put("a", code("fourth", 4))
	d.fail(func(d cdc.Delivery) bool { return d.Record.Int("n") == 3 })
	s.retry(ledger.Query{})
	s.start()
	s.drain()
	s.expect("a", "2 replicated", "3 failed")
	d.mend()
	s.retry(ledger.Query{})
	s.drain()
	s.expect("a", "2 replicated", "3 replicated")
	if got := d.table(); !maps.Equal(got, map[string]string{"fourth": "a4"}) {
		t.Errorf("the target has %v", got)
	}
	s.stop()
}

// A lane that a former run's failure closed is open again when that is repeated after a
// crash and accepted, unless another failure of it is left.
func TestARepeatThatIsAcceptedOpensItsLane(t *testing.T) {
	for name, test := range map[string]struct {
		failing []int64 // before the crash
		rule    route.Rule
		want    []string
	}{
		"alone":         {[]int64{1}, route.Rule{}, []string{"1 replicated"}},
		"another fails": {[]int64{1, 2}, route.Rule{}, []string{"1 replicated", "2 held", "3 held"}},
		"of a group":    {[]int64{1}, route.Rule{OrderBy: func(cdc.Change) string { return "all" }}, []string{"1 replicated"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := newPicky(cdc.Limits{Events: true}, everything)
			test.rule.From = "things"
			s := newSite(t, d, func(c *engine.Config) {
				c.Hold = true
				c.Router = route.New([]route.Rule{test.rule}, route.Options{Limits: d.Limits})
			})
			for _, n := range test.failing {
				s.write(cdc.Updated, "a", n)
			}
			s.drain()
			s.stop()
			settled := journal.Cursor{}
			if len(test.failing) > 1 {
				settled.Ranges = []journal.Range{{First: 2, Last: 2}}
			}
			if err := s.journal.SaveCursor("dest", settled); err != nil { // as if the first had not been settled
				t.Fatal(err)
			}
			d.mend()
			s.start()
			s.drain()
			s.write(cdc.Updated, "a", 3)
			s.drain()
			s.expect("a", test.want...)
			if got, open := d.got("a"), len(test.failing) == 1; slices.Contains(got, 3) != open {
				t.Errorf("%v arrived", got)
			}
			s.stop()
		})
	}
}

// killedRetry leaves failures marked of which the journal does not know.
func (s *site) killedRetry() {
	s.t.Helper()
	dying := s.cfg
	dying.Journal, dying.Ledger = full{s.cfg.Journal}, &once{Ledger: s.cfg.Ledger}
	for rows := range s.ledger.Failures(ledger.Query{}, 10) {
		if _, err := engine.New(dying).Retry(s.t.Context(), rows); !errors.Is(err, cdc.ErrJournalFull) {
			s.t.Fatal(err)
		}
		for _, row := range rows {
			if all := s.rows(row.Change.RecordID); !all[0].WillRetry {
				s.t.Fatalf("not marked: %+v", all)
			}
		}
	}
}

// What a Retry had marked when it was killed, and had not sent, goes after the next Start.
func TestWhatAKilledRetryMarkedGoesAfterTheStart(t *testing.T) {
	for _, events := range []bool{true, false} {
		d := newPicky(cdc.Limits{Events: events, Items: 1}, everything)
		s := newSite(t, d, nil)
		s.write(cdc.Updated, "a", 1)
		s.drain()
		s.stop()
		s.killedRetry()
		d.mend()
		settled := make(chan struct{})
		s.cfg.Notify = func(n engine.Notice) {
			if n.Kind == engine.NoteSettled {
				close(settled)
			}
		}
		s.start()
		select {
		case <-settled:
		case <-time.After(time.Minute):
			t.Error("it is not sent")
		}
		s.drain()
		s.expect("a", "1 replicated")
		if row := s.rows("a")[0]; row.WillRetry || row.RetryCount != 1 {
			t.Errorf("%+v", row)
		}
		s.stop()
	}
}

// What can't be sent, since it has no route any more, does not say for ever that it will be.
func TestWhatHasNoRouteIsMarkedNoLonger(t *testing.T) {
	d := newPicky(cdc.Limits{}, everything)
	s := newSite(t, d, nil)
	s.write(cdc.Updated, "a", 1)
	s.drain()
	s.stop()
	s.killedRetry()
	amended := make(chan struct{})
	s.cfg.Ledger = amending{s.ledger, amended}
	s.cfg.Router = route.New([]route.Rule{{From: "others"}}, route.Options{})
	s.start()
	select {
	case <-amended:
	case <-time.After(time.Minute):
		t.Error("nothing was done")
	}
	s.stop()
	if row := s.rows("a")[0]; row.Status != ledger.Failed || row.WillRetry {
		t.Errorf("%+v", row)
	}
}

// amending tells that rows were amended.
type amending struct {
	*ledger.Ledger
	done chan struct{}
}

func (a amending) Amend(rows []ledger.Row, change func(*ledger.Row)) ([]ledger.Row, error) {
	defer close(a.done)
	return a.Ledger.Amend(rows, change)
}
