package ledger_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/ledger"
)

// failing gives a failed row of one of a few records.
func failing(n int, record string) ledger.Row {
	r := row(n)
	r.Status, r.Error, r.Change.RecordID, r.Change.Version = ledger.Failed, "broken", record, uint64(n+1)
	r.RetryCount, r.Attempts = 0, 1
	return r
}

// left gives the failures that a query selects, in the order in which they come: record
// and version.
func left(t testing.TB, l *ledger.Ledger, q ledger.Query, n int) (all []string) {
	t.Helper()
	for rows, err := range l.Failures(q, n) {
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) > n {
			t.Errorf("%d rows at a time", len(rows))
		}
		for _, r := range rows {
			all = append(all, fmt.Sprint(r.Change.RecordID, r.Change.Version))
		}
	}
	return all
}

func settle(t testing.TB, l *ledger.Ledger, ends ...ledger.End) []int {
	t.Helper()
	n, err := l.Settle(ends...)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// end is how a delivery of a record ended.
func end(n int, record string, s ledger.Status) ledger.End {
	e := ledger.End{Row: failing(n, record)}
	if e.Status = s; s == ledger.Replicated {
		e.Error = ""
	}
	return e
}

func TestFailuresComeByRecordAndVersion(t *testing.T) {
	l := fresh(t)
	for _, n := range []int{5, 2, 4, 0, 3, 1} {
		put(t, l, failing(n, []string{"a", "b"}[n%2]))
	}
	done := failing(6, "a")
	done.Status = ledger.Replicated
	held := failing(7, "a")
	held.Status, held.Time = ledger.Held, start.Add(time.Hour)
	put(t, l, done, held)
	for _, chunk := range []int{1, 2, 100} {
		if got := left(t, l, ledger.Query{}, chunk); !slices.Equal(got, []string{"a1", "a3", "a5", "a8", "b2", "b4", "b6"}) {
			t.Errorf("%d at a time: %v", chunk, got)
		}
	}
	for want, q := range map[string]ledger.Query{
		"[b2 b4 b6]":    {RecordID: "b"},
		"[a8]":          {Status: ledger.Held},
		"[]":            {Status: ledger.Replicated},
		"[a5 a8]":       {Limit: 2, RecordID: "a"},
		"[a1 a3 a5 a8]": {Destination: failing(0, "a").Destination, Target: failing(0, "a").Target, Resource: failing(0, "a").Change.Resource, RecordID: "a"},
	} {
		if got := left(t, l, q, 2); fmt.Sprint(got) != want {
			t.Errorf("%+v: %v, want %s", q, got, want)
		}
	}
	var keys []string
	if err := l.EachFailure(failing(0, "a").Destination, func(target string, k cdc.Key) { keys = append(keys, k.RecordID) }); err != nil || len(keys) != 7 {
		t.Errorf("%v (%v)", keys, err)
	}
}

func TestASuccessClosesWhatFailedBefore(t *testing.T) {
	for name, c := range map[string]struct {
		end  ledger.End
		want map[ledger.Status]int
		n    int
	}{
		"its own change":     {end(1, "a", ledger.Replicated), map[ledger.Status]int{ledger.Failed: 2, ledger.Replicated: 1}, -1},
		"of state":           {ledger.End{Row: end(1, "a", ledger.Replicated).Row, Covers: true}, map[ledger.Status]int{ledger.Superseded: 1, ledger.Replicated: 1, ledger.Failed: 1}, -2},
		"a later one":        {ledger.End{Row: end(9, "a", ledger.Replicated).Row, Covers: true}, map[ledger.Status]int{ledger.Superseded: 3}, -3},
		"one of another":     {ledger.End{Row: end(9, "b", ledger.Replicated).Row, Covers: true}, map[ledger.Status]int{ledger.Failed: 3}, 0},
		"a restated one":     {ledger.End{Row: end(9, "a", ledger.Replicated).Row, Covers: true, Restated: true}, map[ledger.Status]int{ledger.Replicated: 3}, -3},
		"kept":               {ledger.End{Row: end(9, "b", ledger.Replicated).Row, Keep: true}, map[ledger.Status]int{ledger.Failed: 3, ledger.Replicated: 1}, 0},
		"a failure":          {end(9, "a", ledger.Failed), map[ledger.Status]int{ledger.Failed: 4}, 1},
		"the same failure":   {end(2, "a", ledger.Failed), map[ledger.Status]int{ledger.Failed: 3}, 0},
		"not wanted anymore": {end(2, "a", ledger.Discarded), map[ledger.Status]int{ledger.Failed: 2, ledger.Discarded: 1}, -1},
	} {
		t.Run(name, func(t *testing.T) {
			l := fresh(t)
			put(t, l, failing(0, "a"), failing(1, "a"), failing(2, "a"))
			if n := settle(t, l, c.end); n[0] != c.n {
				t.Errorf("the failures have changed by %d, want %d", n[0], c.n)
			}
			got := map[ledger.Status]int{}
			for _, r := range all(t, l, ledger.Query{}) {
				got[r.Status]++
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

// A row that ends once more keeps what it was about and adds up; what was discarded stays
// so.
func TestARowThatEndsOnceMoreAddsUp(t *testing.T) {
	l := fresh(t)
	put(t, l, failing(0, "a"))
	marked, err := l.Amend(all(t, l, ledger.Query{}), func(r *ledger.Row) { r.RetryCount++; r.WillRetry = true })
	if err != nil || len(marked) != 1 || !marked[0].WillRetry {
		t.Fatalf("%+v (%v)", marked, err)
	}
	again := end(0, "a", ledger.Failed)
	again.Change.Data, again.Time, again.Error = nil, start.Add(time.Hour), "worse"
	settle(t, l, again)
	r := all(t, l, ledger.Query{})[0]
	if r.Attempts != 2 || r.RetryCount != 1 || r.WillRetry || r.Error != "worse" || r.Change.Data == nil || r.CreatedAt.Equal(r.Time) {
		t.Errorf("%+v", r)
	}
	if _, err := l.Amend([]ledger.Row{r}, func(r *ledger.Row) { r.Discard(start) }); err != nil {
		t.Fatal(err)
	}
	settle(t, l, again)
	if amended, err := l.Amend([]ledger.Row{r}, func(r *ledger.Row) { r.Error = "no" }); err != nil || len(amended) != 0 {
		t.Errorf("what is closed was amended: %v (%v)", amended, err)
	}
	if r := all(t, l, ledger.Query{})[0]; r.Status != ledger.Discarded || len(left(t, l, ledger.Query{}, 10)) != 0 {
		t.Errorf("%+v", r)
	}
}

// A restated record that fails again leaves its rows failed; only what was on the road
// says why.
func TestARestatedFailureIsNoRowOfItsOwn(t *testing.T) {
	l := fresh(t)
	put(t, l, failing(0, "a"), failing(1, "a"))
	if _, err := l.Amend(all(t, l, ledger.Query{Limit: 1}), func(r *ledger.Row) { r.WillRetry = true }); err != nil {
		t.Fatal(err)
	}
	e := end(9, "a", ledger.Failed)
	e.Error, e.Restated, e.Covers, e.Attempts = "again", true, true, 3
	if n := settle(t, l, e); n[0] != 0 {
		t.Errorf("the failures have changed by %d", n[0])
	}
	var got []string
	for _, r := range all(t, l, ledger.Query{}) {
		got = append(got, fmt.Sprint(r.Status, r.Error, r.Attempts, r.WillRetry))
	}
	slices.Sort(got)
	if !slices.Equal(got, []string{"failedagain4 false", "failedbroken1 false"}) {
		t.Errorf("%v", got)
	}
}

// Settling draws from few records, and what counts as failing is always what a scan of
// all rows finds.
func TestFailuresAgreeWithTheRows(t *testing.T) {
	folder, number := t.TempDir(), 0
	rapid.Check(t, func(t *rapid.T) {
		number++
		l, err := ledger.Open(filepath.Join(folder, fmt.Sprint(number)))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		counted := map[string]int{}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			var ends []ledger.End
			for range rapid.IntRange(1, 4).Draw(t, "ends") {
				n := rapid.IntRange(0, 5).Draw(t, "change")
				e := end(n, fmt.Sprint("r", n%2), rapid.SampledFrom([]ledger.Status{ledger.Failed, ledger.Held, ledger.Replicated, ledger.Discarded}).Draw(t, "status"))
				e.Keep, e.Covers, e.Restated = rapid.Bool().Draw(t, "keep"), rapid.Bool().Draw(t, "covers"), rapid.Bool().Draw(t, "restated")
				ends = append(ends, e)
			}
			changed, err := l.Settle(ends...)
			if err != nil {
				t.Fatal(err)
			}
			for i, n := range changed {
				counted[ends[i].Change.RecordID] += n
			}
			if rapid.Bool().Draw(t, "mark") {
				for rows := range l.Failures(ledger.Query{}, 3) {
					if _, err := l.Amend(rows, func(r *ledger.Row) { r.WillRetry = true }); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		var scanned []string
		for r, err := range l.Rows(ledger.Query{}) {
			if err != nil {
				t.Fatal(err)
			}
			if r.Status == ledger.Failed || r.Status == ledger.Held {
				counted[r.Change.RecordID]--
				scanned = append(scanned, fmt.Sprint(r.Change.RecordID, r.Change.Version))
			}
		}
		var found []string
		for rows, err := range l.Failures(ledger.Query{}, 2) {
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rows {
				found = append(found, fmt.Sprint(r.Change.RecordID, r.Change.Version))
			}
		}
		slices.Sort(scanned)
		if !slices.IsSorted(found) || !slices.Equal(found, scanned) {
			t.Fatalf("failures %v, rows %v", found, scanned)
		}
		for record, n := range counted {
			if n != 0 {
				t.Fatalf("%s: %d were counted too many", record, n)
			}
		}
	})
}
