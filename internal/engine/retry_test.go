package engine_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/engine"
	"github.com/s3db-go/replicator/internal/journal"
	"github.com/s3db-go/replicator/internal/ledger"
	"github.com/s3db-go/replicator/internal/route"
)

// site is an engine between a real journal, in memory, and a real ledger. The source is
// a map.
type site struct {
	t       *testing.T
	journal journal.Journal
	ledger  *ledger.Ledger
	engine  *engine.Engine
	cfg     engine.Config

	mu      sync.Mutex // guards what follows
	records map[string]cdc.Record
	notices []engine.Notice
	watch   func(engine.Notice) // nil: nobody
}

func newSite(t *testing.T, d cdc.Driver, change func(*engine.Config)) *site {
	t.Helper()
	l, err := ledger.Open(filepath.Join(t.TempDir(), "log.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s := &site{t: t, journal: journal.NewMemory(journal.MemoryOptions{}), ledger: l, records: map[string]cdc.Record{}}
	var limits func(string) cdc.Limits
	if limited, ok := d.(cdc.Limited); ok {
		limits = limited.Limits
	}
	// Keeps what is settled, for tests that go back.
	if err := s.journal.SaveCursor("other", journal.Cursor{}); err != nil {
		t.Fatal(err)
	}
	s.cfg = engine.Config{
		Name: "dest", Driver: d, Journal: journal.For(s.journal, "dest"), Ledger: l, Read: s.read, Notify: s.note,
		Router: route.New([]route.Rule{{From: "things"}}, route.Options{Destination: "dest", Limits: limits}),
	}
	if change != nil {
		change(&s.cfg)
	}
	s.start()
	return s
}

func (s *site) start() {
	s.t.Helper()
	s.engine = engine.New(s.cfg)
	if err := s.engine.Start(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) stop() {
	s.t.Helper()
	if err := s.engine.Stop(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) note(n engine.Notice) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notices = append(s.notices, n)
	if s.watch != nil {
		s.watch(n)
	}
}

func (s *site) read(_ context.Context, record cdc.Key, then func(cdc.Record, bool) error) error {
	s.mu.Lock()
	r, found := s.records[record.RecordID]
	s.mu.Unlock()
	return then(r.Clone(), found)
}

// write changes a record, or deletes it if there is no n.
func (s *site) write(op cdc.Op, id string, n int64) {
	s.t.Helper()
	c := cdc.Change{Op: op, Resource: "things", RecordID: id, Time: time.Now().UTC().Truncate(time.Microsecond)}
	c.ChangeID = cdc.ID{7: byte(s.journal.Last()), 6: byte(s.journal.Last() >> 8), 15: 1}
	s.mu.Lock()
	if op == cdc.Deleted {
		c.Data = s.records[id]
		delete(s.records, id)
	} else {
		c.Data = cdc.Record{"id": id, "n": n}
		s.records[id] = c.Data
	}
	s.mu.Unlock()
	if err := s.journal.Append(s.t.Context(), []cdc.Change{c}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) drain() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	if err := s.engine.Drain(ctx, s.journal.Last()); err != nil {
		s.t.Fatalf("%v\n%+v", err, s.engine.Stats())
	}
}

func (s *site) retry(q ledger.Query) int {
	s.t.Helper()
	return s.each(q, s.engine.Retry)
}

func (s *site) discard(q ledger.Query) int {
	s.t.Helper()
	return s.each(q, s.engine.Discard)
}

// each does something with the failures.
func (s *site) each(q ledger.Query, do func(context.Context, []ledger.Row) (int, error)) (n int) {
	s.t.Helper()
	for rows, err := range s.ledger.Failures(q, 100) {
		var done int
		if err == nil {
			done, err = do(s.t.Context(), rows)
		}
		if err != nil {
			s.t.Fatal(err)
		}
		n += done
	}
	return n
}

// rows gives the log in the order of the versions: n, status, and how often it was tried
// and put back.
func (s *site) rows(id string) (rows []ledger.Row) {
	s.t.Helper()
	for row, err := range s.ledger.Rows(ledger.Query{RecordID: id}) {
		if err != nil {
			s.t.Fatal(err)
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b ledger.Row) int { return int(a.Change.Version) - int(b.Change.Version) })
	return rows
}

func (s *site) statuses(id string) (all []string) {
	for _, row := range s.rows(id) {
		all = append(all, fmt.Sprint(row.Change.Data["n"], " ", row.Status))
	}
	return all
}

func (s *site) expect(id string, want ...string) {
	s.t.Helper()
	if got := s.statuses(id); !slices.Equal(got, want) {
		s.t.Errorf("the log has %q, want %q", got, want)
	}
}

// picky refuses records while they are bad.
type picky struct {
	*driver
	bad func(d cdc.Delivery) bool // nil: none

	mu sync.Mutex
}

func newPicky(limits cdc.Limits, bad func(cdc.Delivery) bool) *picky {
	p := &picky{driver: &driver{limits: limits}, bad: bad}
	p.apply = func(_ context.Context, d *driver, batch []cdc.Delivery) error {
		answer := &cdc.BatchError{Errs: make([]error, len(batch))}
		p.mu.Lock()
		bad := p.bad
		p.mu.Unlock()
		for i, item := range batch {
			if bad != nil && bad(item) {
				answer.Errs[i] = cdc.Permanent(errBroken)
			} else {
				d.accept(item)
			}
		}
		return answer
	}
	return p
}

func (p *picky) mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bad = nil
}

// got gives the n of what was accepted of a record.
func (p *picky) got(id string) (ns []int64) {
	p.driver.mu.Lock()
	defer p.driver.mu.Unlock()
	for _, d := range p.accepted {
		if d.RecordID == id {
			ns = append(ns, d.Record.Int("n"))
		}
	}
	return ns
}

func everything(cdc.Delivery) bool { return true }

// At an event target each failed change goes once more as it was: with its own id,
// version and time, in order, and its row changes its status.
func TestRetrySendsEventsAgain(t *testing.T) {
	d := newPicky(cdc.Limits{Events: true}, everything)
	s := newSite(t, d, nil)
	for n := range int64(5) {
		s.write(cdc.Updated, "a", n)
		s.write(cdc.Updated, "b", n)
	}
	s.drain()
	before := s.rows("a")
	d.mend()
	s.write(cdc.Updated, "a", 5)
	if n := s.retry(ledger.Query{RecordID: "a"}); n != 5 {
		t.Errorf("%d were put back", n)
	}
	s.drain()
	if got := d.got("a"); !slices.Equal(got, []int64{5, 0, 1, 2, 3, 4}) {
		t.Errorf("%v arrived", got)
	}
	s.expect("a", "0 replicated", "1 replicated", "2 replicated", "3 replicated", "4 replicated")
	s.expect("b", "0 failed", "1 failed", "2 failed", "3 failed", "4 failed")
	after := s.rows("a")
	for i, row := range after {
		if row.RetryCount != 1 || row.WillRetry || row.Attempts != 2 || row.Error != "" || row.Change.Version != before[i].Change.Version {
			t.Errorf("%+v", row)
		}
	}
	d.driver.mu.Lock()
	for _, a := range d.accepted[1:] {
		i := slices.IndexFunc(before, func(r ledger.Row) bool { return r.Change.ChangeID == a.ChangeID })
		if i < 0 || a.Version != before[i].Change.Version || !a.Time.Equal(before[i].Change.Time) || a.Origin != cdc.Replayed {
			t.Errorf("%+v is not as it was", a.Change)
		}
	}
	d.driver.mu.Unlock()
	if st := s.engine.Stats(); st.Wanted != st.Replicated+st.Failed || st.Loaded != 0 {
		t.Errorf("%+v", st)
	}
	s.stop()
}

// At a state target the old change never goes again: the record as it is now does, also
// when it is gone, and closes all of its failures.
func TestRetryRestatesWhatTheRecordIsNow(t *testing.T) {
	d := newPicky(cdc.Limits{Rows: cdc.RowsReplaced, Items: 1}, everything)
	s := newSite(t, d, nil)
	for n := range int64(3) {
		s.write(cdc.Updated, "a", n)
		s.write(cdc.Updated, "gone", n)
		s.drain()
	}
	s.mu.Lock()
	s.records["a"] = cdc.Record{"id": "a", "n": int64(9)} // as after a write that no route carries
	delete(s.records, "gone")
	s.mu.Unlock()
	d.mend()
	if n := s.retry(ledger.Query{}); n != 6 {
		t.Errorf("%d were put back", n)
	}
	s.drain()
	if got := d.got("a"); !slices.Equal(got, []int64{9}) {
		t.Errorf("%v arrived", got)
	}
	if last := d.accepted[len(d.accepted)-1]; len(d.accepted) != 2 || last.RecordID != "gone" && d.accepted[0].RecordID != "gone" {
		t.Errorf("%+v", d.accepted)
	}
	s.expect("a", "0 replicated", "1 replicated", "2 replicated")
	s.expect("gone", "0 replicated", "1 replicated", "2 replicated")
	s.stop()
}

// What fails again keeps its row, says why, and counts.
func TestRetryThatFailsAgainKeepsTheRows(t *testing.T) {
	for _, events := range []bool{true, false} {
		t.Run(fmt.Sprint("events=", events), func(t *testing.T) {
			d := newPicky(cdc.Limits{Events: events, Items: 1}, everything)
			s := newSite(t, d, nil)
			s.write(cdc.Updated, "a", 1)
			s.drain()
			s.write(cdc.Updated, "a", 2)
			s.drain()
			for round := range 3 {
				s.retry(ledger.Query{Status: ledger.Failed})
				s.drain()
				s.expect("a", "1 failed", "2 failed")
				for _, row := range s.rows("a") {
					if row.RetryCount != round+1 || row.WillRetry || row.Attempts != round+2 || row.Error != "broken" {
						t.Errorf("%+v", row)
					}
				}
			}
			s.stop()
		})
	}
}

// A state that was accepted later closes what failed before, by itself and over a
// restart. An event that was does not.
func TestALaterSuccessSupersedes(t *testing.T) {
	for _, events := range []bool{true, false} {
		t.Run(fmt.Sprint("events=", events), func(t *testing.T) {
			d := newPicky(cdc.Limits{Events: events, Items: 1}, func(d cdc.Delivery) bool { return d.Record.Int("n") < 3 })
			s := newSite(t, d, nil)
			for _, id := range []string{"a", "b"} {
				s.write(cdc.Updated, id, 1)
				s.drain()
				s.write(cdc.Updated, id, 2)
				s.drain()
			}
			s.write(cdc.Updated, "a", 3)
			s.drain()
			s.stop()
			s.start()
			s.write(cdc.Updated, "b", 3)
			s.drain()
			for _, id := range []string{"a", "b"} {
				if events {
					s.expect(id, "1 failed", "2 failed")
				} else {
					s.expect(id, "1 superseded", "2 superseded")
				}
			}
			if d.mend(); s.retry(ledger.Query{}) != map[bool]int{true: 4}[events] {
				t.Error("what is superseded was put back")
			}
			s.drain()
			s.stop()
		})
	}
}

// What was given up in the last second before a crash comes again; if it is accepted
// then, its row says so.
func TestARepeatAfterACrashClosesItsFailure(t *testing.T) {
	for _, events := range []bool{true, false} {
		d := newPicky(cdc.Limits{Events: events}, everything)
		s := newSite(t, d, nil)
		s.write(cdc.Updated, "a", 1)
		s.drain()
		s.stop()
		if err := s.journal.SaveCursor("dest", journal.Cursor{}); err != nil { // as if it had not been saved
			t.Fatal(err)
		}
		d.mend()
		s.start()
		s.drain()
		s.expect("a", "1 replicated")
		s.stop()
	}
}

// Without a source that can be read the stored states go, but none over a later one.
func TestRetryWithoutASourceSendsWhatIsStored(t *testing.T) {
	d := newPicky(cdc.Limits{Rows: cdc.RowsReplaced, Items: 1}, func(d cdc.Delivery) bool { return d.Record.Int("n") < 3 })
	s := newSite(t, d, func(c *engine.Config) { c.Read = nil })
	for n := range int64(2) {
		s.write(cdc.Updated, "a", n+1)
		s.write(cdc.Updated, "b", n+1)
		s.drain()
	}
	s.write(cdc.Updated, "b", 3)
	s.drain()
	d.mend()
	if n := s.retry(ledger.Query{}); n != 2 {
		t.Errorf("%d were put back", n)
	}
	s.drain()
	if a, b := d.got("a"), d.got("b"); !slices.Equal(a, []int64{1, 2}) || !slices.Equal(b, []int64{3}) {
		t.Errorf("%v and %v arrived", a, b)
	}
	s.expect("a", "1 replicated", "2 replicated")
	s.expect("b", "1 superseded", "2 superseded")
	s.stop()
}

// A killed process has marked rows and sent nothing, or sent and not settled: the next
// Start, or the journal, gets them there, and no row is doubled.
func TestRetrySurvivesBeingKilled(t *testing.T) {
	for _, events := range []bool{true, false} {
		d := newPicky(cdc.Limits{Events: events, Items: 1}, everything)
		s := newSite(t, d, nil)
		s.write(cdc.Updated, "a", 1)
		s.drain()
		s.write(cdc.Updated, "a", 2)
		s.drain()
		d.mend()
		s.stop()
		s.killedRetry()
		s.expect("a", "1 failed", "2 failed")
		for range 3 {
			if n := s.retry(ledger.Query{}); n != 0 {
				t.Errorf("%d that are marked were put back", n)
			}
		}
		settled := make(chan struct{}, 10)
		s.watch = func(n engine.Notice) {
			if n.Kind == engine.NoteSettled {
				settled <- struct{}{}
			}
		}
		cursor, _ := s.journal.Cursor("dest")
		s.start()
		for range map[bool]int{true: 2, false: 1}[events] {
			<-settled
		}
		s.drain()
		s.stop()
		if err := s.journal.SaveCursor("dest", cursor); err != nil {
			t.Fatal(err)
		}
		s.start()
		s.drain()
		s.stop()
		s.expect("a", "1 replicated", "2 replicated")
		if got := d.got("a"); events && !slices.Equal(got, []int64{1, 2}) || !slices.Contains(got, 2) || got[len(got)-1] != 2 {
			t.Errorf("%v arrived", got)
		}
	}
}

// full is a journal that takes no more.
type full struct{ engine.Journal }

func (full) AppendTo(context.Context, string, []cdc.Change, *journal.Watch) (int, error) {
	return 0, cdc.ErrJournalFull
}

// filling is a journal that takes some more, and then nothing.
type filling struct {
	engine.Journal
	some atomic.Int64
}

func (f *filling) AppendTo(ctx context.Context, to string, changes []cdc.Change, w *journal.Watch) (int, error) {
	if f.some.Add(-1) < 0 {
		return 0, cdc.ErrJournalFull
	}
	return f.Journal.AppendTo(ctx, to, changes, w)
}

// once is a ledger that can be amended once: a process is killed after that.
type once struct {
	engine.Ledger
	amended bool
}

func (o *once) Amend(rows []ledger.Row, change func(*ledger.Row)) ([]ledger.Row, error) {
	if o.amended {
		return nil, errBroken
	}
	o.amended = true
	return o.Ledger.Amend(rows, change)
}

// What is on the road is not sent there again, however often somebody asks, and whether
// the engine runs or not.
func TestRetryLeavesWhatIsOnTheRoad(t *testing.T) {
	for name, c := range map[string]struct{ events, hold bool }{"states": {false, false}, "events": {true, false}, "held": {true, true}} {
		t.Run(name, func(t *testing.T) {
			d := newPicky(cdc.Limits{Events: c.events, Items: 1}, everything)
			s := newSite(t, d, func(cfg *engine.Config) { cfg.Hold = c.hold })
			for n := range int64(3) {
				s.write(cdc.Updated, "a", n)
				s.drain()
			}
			s.stop()
			want := map[bool]int{false: 3, true: 1}[c.hold]
			if n := s.retry(ledger.Query{Status: ledger.Failed}); n != want {
				t.Errorf("%d were put back, want %d", n, want)
			}
			last := s.journal.Last()
			for range 3 {
				if n := s.retry(ledger.Query{Status: ledger.Failed}); n != 0 {
					t.Errorf("%d that are on the road were put back", n)
				}
				s.retry(ledger.Query{})
			}
			if now := s.journal.Last(); now != last {
				t.Errorf("%d frames for what is on the road", now-last)
			}
			for _, row := range s.rows("a") {
				if row.Status == ledger.Failed && (row.RetryCount != 1 || !row.WillRetry) {
					t.Errorf("%+v", row)
				}
			}
			d.mend()
			s.start()
			s.drain()
			s.expect("a", "0 replicated", "1 replicated", "2 replicated")
			if got := d.got("a"); got[len(got)-1] != 2 || c.events && len(got) != 3 {
				t.Errorf("%v arrived", got)
			}
			s.stop()
		})
	}
}

// What the journal does not take is not on the road, and does not count as put there.
func TestRetryThatTheJournalRefuses(t *testing.T) {
	for _, events := range []bool{true, false} {
		t.Run(fmt.Sprint("events=", events), func(t *testing.T) {
			d := newPicky(cdc.Limits{Events: events, Items: 1}, everything)
			s := newSite(t, d, nil)
			for _, id := range []string{"a", "b", "c"} {
				s.write(cdc.Updated, id, 1)
			}
			s.drain()
			s.stop()
			// One frame is taken: of states one record's, of events all three's or none.
			refusing := &filling{Journal: s.cfg.Journal}
			taken := 0
			if !events {
				taken = 1
				refusing.some.Store(1)
			}
			cfg := s.cfg
			cfg.Journal = refusing
			var failed []ledger.Row
			for rows := range s.ledger.Failures(ledger.Query{}, 10) {
				failed = rows
			}
			if n, err := engine.New(cfg).Retry(t.Context(), failed); n != taken || !errors.Is(err, cdc.ErrJournalFull) {
				t.Errorf("%d were put back, want %d (%v)", n, taken, err)
			}
			marked := 0
			for _, row := range append(append(s.rows("a"), s.rows("b")...), s.rows("c")...) {
				if row.WillRetry {
					marked++
				}
				if row.WillRetry != (row.RetryCount == 1) {
					t.Errorf("%+v", row)
				}
			}
			if marked != taken {
				t.Errorf("%d rows are marked, want %d", marked, taken)
			}
			d.mend()
			if n := s.retry(ledger.Query{}); n != 3-taken {
				t.Errorf("%d were put back by the next, want %d", n, 3-taken)
			}
			s.start()
			s.drain()
			for _, id := range []string{"a", "b", "c"} {
				s.expect(id, "1 replicated")
			}
			s.stop()
		})
	}
}

// With Hold, Retry lets a lane's changes go in order, those too that came while it was
// under way, and then the lane is open. What fails again stops the rest once more, until
// it is discarded.
func TestWhatIsHeldGoesInOrder(t *testing.T) {
	var bad atomic.Int64
	d := newPicky(cdc.Limits{Events: true}, func(d cdc.Delivery) bool { return d.Record.Int("n") == bad.Load() })
	s := newSite(t, d, func(c *engine.Config) { c.Hold = true })
	bad.Store(1)
	for n := range int64(4) {
		s.write(cdc.Updated, "a", n)
	}
	s.drain()
	s.expect("a", "1 failed", "2 held", "3 held")
	s.retry(ledger.Query{})
	s.write(cdc.Updated, "a", 4)
	s.drain()
	s.expect("a", "1 failed", "2 held", "3 held", "4 held")
	s.stop()
	s.start()
	bad.Store(3)
	// Put down while changes come in that the engine has not read yet.
	s.write(cdc.Updated, "a", 5)
	s.retry(ledger.Query{Status: ledger.Failed})
	s.write(cdc.Updated, "a", 6)
	s.drain()
	if got := d.got("a"); !slices.Equal(got, []int64{0, 1, 2}) {
		t.Errorf("%v arrived", got)
	}
	s.expect("a", "1 replicated", "2 replicated", "3 failed", "4 held", "5 held", "6 held")
	if n := s.discard(ledger.Query{Status: ledger.Failed}); n != 1 {
		t.Errorf("%d were discarded", n)
	}
	s.write(cdc.Updated, "a", 7)
	s.drain()
	s.write(cdc.Updated, "a", 8)
	s.drain()
	if got := d.got("a"); !slices.Equal(got, []int64{0, 1, 2, 4, 5, 6, 7, 8}) {
		t.Errorf("%v arrived", got)
	}
	if st := s.engine.Stats(); st.Wanted != st.Replicated+st.Failed+st.Skipped || st.Loaded != 0 {
		t.Errorf("%+v", st)
	}
	s.stop()
}

// A group that OrderBy makes is held, and goes, as a whole.
func TestAHeldGroupGoesInOrder(t *testing.T) {
	d := newPicky(cdc.Limits{Events: true}, everything)
	s := newSite(t, d, func(c *engine.Config) {
		c.Hold = true
		c.Router = route.New([]route.Rule{{From: "things", OrderBy: func(cdc.Change) string { return "all" }}}, route.Options{Limits: d.Limits})
	})
	for n := range int64(6) {
		s.write(cdc.Updated, fmt.Sprint("r", n%3), n)
	}
	s.drain()
	d.mend()
	s.retry(ledger.Query{RecordID: "r1"})
	s.drain()
	var got []int64
	for _, a := range d.accepted {
		got = append(got, a.Record.Int("n"))
	}
	if !slices.Equal(got, []int64{0, 1, 2, 3, 4, 5}) {
		t.Errorf("%v arrived", got)
	}
	s.stop()
}

// A mended Transform runs on the raw change; what the routes do not want any more is
// discarded, and says so.
func TestRetryRunsTheRouteAgain(t *testing.T) {
	for _, events := range []bool{true, false} {
		var mended atomic.Bool
		d := newPicky(cdc.Limits{Events: events, Items: 1}, nil)
		s := newSite(t, d, func(c *engine.Config) {
			c.Router = route.New([]route.Rule{{
				From:            "things",
				ShouldReplicate: func(c cdc.Change) bool { return !mended.Load() || c.Data.Int("n") != 2 },
				Transform: func(c cdc.Change) (cdc.Record, error) {
					if !mended.Load() {
						panic("oh")
					}
					return cdc.Record{"id": c.RecordID, "n": c.Data.Int("n") * 10}, nil
				},
			}}, route.Options{Limits: d.Limits})
		})
		s.write(cdc.Updated, "a", 1)
		s.write(cdc.Updated, "b", 2)
		s.drain()
		s.expect("a", "1 failed")
		mended.Store(true)
		s.retry(ledger.Query{})
		s.drain()
		s.expect("a", "1 replicated")
		s.expect("b", "2 discarded")
		if got := d.got("a"); !slices.Equal(got, []int64{10}) {
			t.Errorf("%v arrived", got)
		}
		if row := s.rows("b")[0]; row.Error != route.SkipRule {
			t.Errorf("%+v", row)
		}
		s.stop()
	}
}

// Of several targets a Retry serves that whose delivery failed.
func TestRetryServesOneTargetAlone(t *testing.T) {
	d := newPicky(cdc.Limits{Items: 1}, func(d cdc.Delivery) bool { return d.Target == "left" })
	s := newSite(t, d, func(c *engine.Config) {
		c.Router = route.New([]route.Rule{{From: "things", To: "left"}, {From: "things", To: "right"}}, route.Options{Limits: d.Limits})
	})
	s.write(cdc.Updated, "a", 1)
	s.drain()
	d.mend()
	s.retry(ledger.Query{})
	s.drain()
	var targets []string
	for _, a := range d.accepted {
		targets = append(targets, a.Target)
	}
	if !slices.Equal(targets, []string{"right", "left"}) {
		t.Errorf("%v", targets)
	}
	s.stop()
}

// A query chooses what goes: by time, by number of the newest, by status.
func TestRetryTakesWhatTheQuerySelects(t *testing.T) {
	d := newPicky(cdc.Limits{Events: true}, everything)
	s := newSite(t, d, nil)
	for n := range int64(4) {
		s.write(cdc.Updated, "a", n)
		s.drain()
	}
	d.mend()
	if n := s.retry(ledger.Query{Limit: 2}); n != 2 {
		t.Errorf("%d were put back", n)
	}
	s.drain()
	if got := d.got("a"); !slices.Equal(got, []int64{2, 3}) {
		t.Errorf("%v arrived", got)
	}
	s.discard(ledger.Query{Until: s.rows("a")[1].Time})
	s.expect("a", "0 discarded", "1 failed", "2 replicated", "3 replicated")
	if n := s.retry(ledger.Query{Status: ledger.Replicated}); n != 0 {
		t.Errorf("%d were put back", n)
	}
	s.stop()
}

// What comes behind a restated record keeps a row of its own, however they meet.
func TestARestatedRecordSpeaksForNothingBehindIt(t *testing.T) {
	d := newPicky(cdc.Limits{Rows: cdc.RowsReplaced}, everything)
	s := newSite(t, d, nil)
	s.write(cdc.Updated, "a", 1)
	s.drain()
	s.stop()
	s.retry(ledger.Query{})
	s.write(cdc.Updated, "a", 2)
	s.start()
	s.drain()
	s.expect("a", "1 failed", "2 failed")
	d.mend()
	s.retry(ledger.Query{})
	s.drain()
	s.expect("a", "1 replicated", "2 replicated")
	s.stop()
}
