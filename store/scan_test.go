package store_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/s3db-go/replicator/store"
)

// TestScanIsBounded: large records come in smaller chunks.
func TestScanIsBounded(t *testing.T) {
	db := open(t, "memory://bounded")
	docs := create(t, db, "docs", store.Attributes{"body": "string"})
	for i := range 3 {
		if _, err := docs.Insert(t.Context(), store.Record{"id": fmt.Sprint(i), "body": strings.Repeat("x", 2<<20)}); err != nil {
			t.Fatal(err)
		}
	}
	for after, want := range map[string]int{"": 2, "1": 1, "2": 0} {
		if rows, err := db.Scan(t.Context(), "docs", after, 100); err != nil || len(rows) != want {
			t.Errorf("after %q it gives %d records of 2 MiB, %v; want %d", after, len(rows), err, want)
		}
	}
}

// TestScanOfAKilledProcessSurvivesPowerLoss kills a writer at every operation. What
// the next process scans, no loss of power takes back.
func TestScanOfAKilledProcessSurvivesPowerLoss(t *testing.T) {
	const forEver = 1 << 20
	for _, c := range crashCases() {
		t.Run(c.name, func(t *testing.T) {
			for n := 1; ; n++ {
				fsys, db, _ := c.prepare(t)
				fsys.Fail(n, forEver)
				err := c.write(t, db.Resource("r"), c.new)
				fsys.Fail(0, 0)
				if err == nil {
					return
				}
				next, err := store.OpenFS(t.Context(), fsys, false, "")
				if err != nil {
					t.Fatal(err)
				}
				rows, err := next.Scan(t.Context(), "r", "", 10)
				if err != nil {
					t.Fatal(err)
				}
				var now store.Record
				if len(rows) > 0 {
					now = rows[0].Data
				}
				wantAfterPowerLoss(t, fmt.Sprintf("killed at operation %d", n), fsys, now)
			}
		})
	}
}

// TestScanTellsWhatItCannotMakeSure lets every operation of Scan fail, the flush that
// makes durable what it gives among them.
func TestScanTellsWhatItCannotMakeSure(t *testing.T) {
	fsys, db, _ := crashCases()[2].prepare(t)
	points := 0
	for n := 1; ; n++ {
		before := fsys.Ops()
		fsys.Fail(n, n)
		rows, err := db.Scan(t.Context(), "r", "", 10)
		if fsys.Ops()-before < n {
			break
		}
		points++
		if err == nil || rows != nil {
			t.Errorf("operation %d failed, and Scan gives %v, %v", n, rows, err)
		}
	}
	if points < 3 {
		t.Errorf("only %d operations: the list, a record and the flush are more", points)
	}
}
