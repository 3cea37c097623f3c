package ledger_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/ledger"
)

// TestQueriesAgreeWithAModel draws rows and replacements from few names and times,
// so that they collide, and compares every query with a plain scan.
func TestQueriesAgreeWithAModel(t *testing.T) {
	type identity struct {
		destination, target string
		change              cdc.ID
	}
	folder, number := t.TempDir(), 0
	rapid.Check(t, func(t *rapid.T) {
		number++
		l, err := ledger.Open(filepath.Join(folder, fmt.Sprint(number)))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		name := func(kind string) string { return rapid.SampledFrom([]string{"a", "b"}).Draw(t, kind) }
		model := map[identity]ledger.Row{}
		for range rapid.IntRange(1, 4).Draw(t, "puts") {
			var rows []ledger.Row
			for range rapid.IntRange(0, 12).Draw(t, "rows") {
				r := row(rapid.IntRange(0, 9).Draw(t, "change"))
				r.Destination, r.Target, r.Change.Resource, r.Change.RecordID = name("destination"), name("target"), name("resource"), name("record")
				r.Status = rapid.SampledFrom([]ledger.Status{ledger.Failed, ledger.Replicated}).Draw(t, "status")
				r.Time = start.Add(time.Duration(rapid.IntRange(-2, 2).Draw(t, "second")) * time.Second)
				r.CreatedAt = r.Time
				r.RetryCount, r.WillRetry = rapid.IntRange(0, 3).Draw(t, "retries"), rapid.Bool().Draw(t, "road")
				rows = append(rows, r)
			}
			if err := l.Put(rows...); err != nil {
				t.Fatal(err)
			}
			for _, r := range rows {
				key := identity{r.Destination, r.Target, r.Change.ChangeID}
				if old, ok := model[key]; ok {
					r.CreatedAt = old.CreatedAt
				}
				model[key] = r
			}
		}
		// Every filter is absent more often than not, so that most queries find something.
		maybe := func(kind string) string {
			return rapid.SampledFrom([]string{"", "", "", "", "a", "b", "c"}).Draw(t, "query "+kind)
		}
		moment := func(kind string) time.Time {
			return rapid.SampledFrom([]time.Time{{}, {}, {}, start.Add(-time.Second), start, start.Add(time.Second)}).Draw(t, kind)
		}
		q := ledger.Query{
			Destination: maybe("destination"), Target: maybe("target"), Resource: maybe("resource"), RecordID: maybe("record"),
			Status: ledger.Status(rapid.SampledFrom([]string{"", "", "failed", "replicated"}).Draw(t, "query status")),
			Since:  moment("since"), Until: moment("until"), Limit: rapid.SampledFrom([]int{0, 1, 5}).Draw(t, "limit"),
			RetryCountBelow: rapid.SampledFrom([]int{0, 0, 0, 1, 3}).Draw(t, "retried"), GivenUp: rapid.IntRange(0, 3).Draw(t, "given up") == 0,
		}
		want := map[identity]ledger.Row{}
		for key, r := range model {
			if matches(q, r) {
				want[key] = r
			}
		}
		wanted := len(want)
		if q.Limit > 0 {
			wanted = min(wanted, q.Limit)
		}
		var got []ledger.Row
		for r, err := range l.Rows(q) {
			if err != nil {
				t.Fatal(err)
			}
			key := identity{r.Destination, r.Target, r.Change.ChangeID}
			r.ID = ""
			if diff := cmp.Diff(want[key], r); diff != "" {
				t.Fatalf("not selected, given twice, or changed: %s", diff)
			}
			delete(want, key)
			got = append(got, r)
		}
		if n, err := l.Count(q); err != nil || n != wanted || len(got) != wanted {
			t.Fatalf("%d rows, count %d (%v), want %d", len(got), n, err, wanted)
		}
		var least time.Time
		for _, r := range model {
			if matches(q, r) && (least.IsZero() || r.Time.Before(least)) {
				least = r.Time
			}
		}
		if oldest, err := l.Oldest(q); err != nil || !oldest.Equal(least) {
			t.Fatalf("the oldest is of %v (%v), want %v", oldest, err, least)
		}
		if !slices.IsSortedFunc(got, func(a, b ledger.Row) int { return b.Time.Compare(a.Time) }) {
			t.Fatal("not newest first")
		}
		for _, left := range want {
			if len(got) > 0 && left.Time.After(got[len(got)-1].Time) {
				t.Fatal("the limit kept an older row and left a newer one")
			}
		}
	})
}

func matches(q ledger.Query, r ledger.Row) bool {
	same := func(want, have string) bool { return want == "" || want == have }
	return same(q.Destination, r.Destination) && same(q.Target, r.Target) && same(q.Resource, r.Change.Resource) &&
		same(q.RecordID, r.Change.RecordID) && same(string(q.Status), string(r.Status)) &&
		!r.Time.Before(q.Since) && (q.Until.IsZero() || r.Time.Before(q.Until)) &&
		(q.RetryCountBelow == 0 || r.RetryCount < q.RetryCountBelow) && (!q.GivenUp || !r.WillRetry && (r.Status == ledger.Failed || r.Status == ledger.Held))
}
