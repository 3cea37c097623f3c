package ledger_test

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/s3db-go/replicator/internal/ledger"
)

func follow(t *testing.T, l *ledger.Ledger, name string) {
	t.Helper()
	if err := l.Follow(name); err != nil {
		t.Fatal(err)
	}
}

// follower keeps what it is given of a ledger, by the rows' ids.
type follower map[string]ledger.Status

// catchUp takes all changes over, some at a time, and passes them unless it crashes.
func (f follower) catchUp(t *testing.T, l *ledger.Ledger, crash bool) (given int) {
	t.Helper()
	for {
		c, err := l.Changed(3)
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Rows)+len(c.Gone) == 0 {
			return given
		}
		given += len(c.Rows) + len(c.Gone)
		for _, row := range c.Rows {
			f[row.ID] = row.Status
		}
		for _, id := range c.Gone {
			delete(f, id)
		}
		if crash {
			return given
		}
		if err := l.Pass(c); err != nil {
			t.Fatal(err)
		}
	}
}

// same holds the follower against the ledger.
func (f follower) same(t *testing.T, l *ledger.Ledger, what string) {
	t.Helper()
	want := follower{}
	for _, row := range all(t, l, ledger.Query{}) {
		want[row.ID] = row.Status
	}
	if !maps.Equal(f, want) {
		t.Errorf("%s: the follower has %v, the ledger %v", what, f, want)
	}
}

func TestAFollowerGetsEveryChange(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.db")
	l := open(t, path)
	for n := range 10 {
		put(t, l, row(n))
	}
	f := follower{}
	if given := f.catchUp(t, l, false); given != 0 {
		t.Errorf("nobody follows, and %d rows are given", given)
	}
	follow(t, l, "copy")
	changed := row(2)
	changed.Status = ledger.Replicated
	put(t, l, changed, row(10))
	if n, since, err := l.Behind(); n != 2 || time.Since(since) > time.Minute || err != nil {
		t.Errorf("%d changes wait since %v (%v), want 2", n, since, err)
	}
	f.catchUp(t, l, true)
	f.catchUp(t, l, false)
	f.same(t, l, "after the rows that were there")
	if given := f.catchUp(t, l, false); given != 0 {
		t.Errorf("%d rows are given once more", given)
	}

	put(t, l, row(12), row(13))
	if given := f.catchUp(t, l, false); given != 2 {
		t.Errorf("%d rows are given of 2 new ones", given)
	}
	f.same(t, l, "after new rows")

	// It goes on where it was.
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, path)
	follow(t, l, "copy")
	if _, err := l.Settle(ledger.End{Row: status(row(3), ledger.Replicated)}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Amend([]ledger.Row{row(4)}, func(r *ledger.Row) { r.Discard(start) }); err != nil {
		t.Fatal(err)
	}
	if n, err := l.Purge(start.Add(time.Second), 10); n != 1 || err != nil {
		t.Fatalf("purged %d, %v", n, err)
	}
	if given := f.catchUp(t, l, false); given != 2 {
		t.Errorf("%d rows are given, want that which changed and that which went", given)
	}
	f.same(t, l, "after changes")
	if n, err := l.Purge(start.Add(2500*time.Millisecond), 10); n != 1 || err != nil {
		t.Fatalf("purged %d, %v", n, err)
	}
	f.catchUp(t, l, false)
	f.same(t, l, "after a row went that had been taken over")
	if n, _, err := l.Behind(); n != 0 || err != nil {
		t.Errorf("%d changes wait (%v)", n, err)
	}

	// Another follower begins anew.
	follow(t, l, "other")
	f = follower{}
	f.catchUp(t, l, false)
	f.same(t, l, "anew")
	follow(t, l, "")
	put(t, l, row(11))
	if given := f.catchUp(t, l, false); given != 0 {
		t.Errorf("nobody follows any more, and %d rows are given", given)
	}
}

func status(r ledger.Row, s ledger.Status) ledger.Row {
	r.Status = s
	return r
}

func TestWhatIsShownEnds(t *testing.T) {
	l := fresh(t)
	follow(t, l, "copy")
	rows := []ledger.Row{row(0), row(1), row(2)}
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = ledger.RowID(r.Destination, r.Target, r.Change.ChangeID)
	}
	if err := l.Show(rows); err != nil {
		t.Fatal(err)
	}
	put(t, l, rows[1]) // failed for good
	check := func(what string, wantEnded, wantGone []string) (ended []string) {
		t.Helper()
		ended, gone, err := l.Gone(func(id string) bool { return id == ids[0] })
		slices.Sort(ended)
		slices.Sort(wantEnded)
		if err != nil || !slices.Equal(ended, wantEnded) || !slices.Equal(gone, wantGone) {
			t.Errorf("%s: ended %v, gone %v (%v)", what, ended, gone, err)
		}
		return ended
	}
	ended := check("before", []string{ids[1], ids[2]}, []string{ids[2]})
	if err := l.Hide(ended); err != nil {
		t.Fatal(err)
	}
	check("after", nil, nil)
}

func TestPurgeTakesTheOldestOfWhatIsSettled(t *testing.T) {
	l := fresh(t)
	var rows []ledger.Row
	for n := range 100 {
		r := row(n)
		r.Destination = fmt.Sprint("d", n%3)
		if n%10 != 0 {
			r.Status = []ledger.Status{ledger.Replicated, ledger.Superseded, ledger.Discarded}[n%3]
		}
		rows = append(rows, r)
	}
	put(t, l, rows...)
	limit := row(50).Time
	found, turns := 0, 0
	for {
		n, err := l.Purge(limit, 20)
		if err != nil {
			t.Fatal(err)
		}
		found += n
		if turns++; n < 20 {
			break
		}
	}
	if found != 45 || turns != 3 {
		t.Errorf("%d rows went in %d turns, want 45 in 3", found, turns)
	}
	left := all(t, l, ledger.Query{})
	if len(left) != 55 || count(t, l, ledger.Query{Until: limit}) != 5 || count(t, l, ledger.Query{Status: ledger.Failed}) != 10 {
		t.Errorf("%d rows are left, %d of them old", len(left), count(t, l, ledger.Query{Until: limit}))
	}
	put(t, l, rows[1]) // and comes again
	if n := count(t, l, ledger.Query{}); n != 56 {
		t.Errorf("there are %d rows then", n)
	}
}

// BenchmarkSettleUnderPurge tells what a settling outcome pays while old rows are
// removed as the retention does.
func BenchmarkSettleUnderPurge(b *testing.B) {
	for _, purging := range []bool{false, true, false, true} {
		b.Run(fmt.Sprint("purging=", purging), func(b *testing.B) {
			l := fresh(b)
			rows := make([]ledger.Row, 0, 1000)
			for n := range 200_000 {
				if rows = append(rows, status(row(n), ledger.Replicated)); len(rows) == cap(rows) {
					put(b, l, rows...)
					rows = rows[:0]
				}
			}
			stop, done := make(chan struct{}), make(chan int)
			go func() {
				removed := 0
				defer func() { done <- removed }()
				for purging {
					began := time.Now()
					n, err := l.Purge(row(1_000_000).Time, 128)
					if err != nil {
						b.Error(err)
						return
					}
					removed += n
					select {
					case <-time.After(9 * time.Since(began)):
					case <-stop:
						return
					}
				}
			}()
			var took []time.Duration
			for n := 0; b.Loop(); n++ {
				r := row(2_000_000 + n)
				began := time.Now()
				if _, err := l.Settle(ledger.End{Row: r}); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(began))
			}
			close(stop)
			removed := <-done
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1e3, "p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1e3, "p99-ms")
			b.ReportMetric(float64(removed), "purged")
		})
	}
}
