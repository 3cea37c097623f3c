package ledger_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/s3db-go/replicator/internal/ledger"
)

// BenchmarkQuery reads a log of 100,000 rows, or of REPLICATOR_LEDGER_ROWS: one in
// a thousand failed and may be sent again, of the others half have failed for good, of ten
// resources at four destinations.
func BenchmarkQuery(b *testing.B) {
	total := 100_000
	if n, err := strconv.Atoi(os.Getenv("REPLICATOR_LEDGER_ROWS")); err == nil {
		total = n
	}
	path := filepath.Join(b.TempDir(), "log.db")
	l := open(b, path)
	rows := make([]ledger.Row, 0, 1000)
	for n := range total {
		r := row(n)
		r.Destination, r.Change.Resource = fmt.Sprint("d", n%4), fmt.Sprint("r", n%10)
		r.RetryCount = 3
		switch {
		case n%1000 == 7:
			r.RetryCount = 1
		case n%2 == 0:
			r.Status = ledger.Replicated
		}
		if rows = append(rows, r); len(rows) == cap(rows) {
			put(b, l, rows...)
			rows = rows[:0]
		}
	}
	put(b, l, rows...)
	if info, err := os.Stat(path); err == nil {
		b.Logf("%d rows, %d MB", total, info.Size()>>20)
	}

	end := row(total).Time
	for _, bench := range []struct {
		name string
		q    ledger.Query
	}{
		{"failed since", ledger.Query{Status: ledger.Failed, Since: end.Add(-1000 * 1e9)}},
		{"failed of a resource since", ledger.Query{Resource: "r7", Status: ledger.Failed, Since: end.Add(-10000 * 1e9)}},
		{"failed of a destination since", ledger.Query{Destination: "d3", Status: ledger.Failed, Since: end.Add(-3000 * 1e9)}},
		{"to be sent again", ledger.Query{Status: ledger.Failed, RetryCountBelow: 3}},
		{"newest thousand", ledger.Query{Limit: 1000}},
		{"of a destination, a moment", ledger.Query{Destination: "d2", Since: end.Add(-1000 * 1e9)}},
		{"of a record", ledger.Query{Resource: "r5", RecordID: "u5"}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			found := 0
			for b.Loop() {
				found = len(all(b, l, bench.q))
			}
			b.ReportMetric(float64(found), "rows")
		})
		b.Run("count "+bench.name, func(b *testing.B) {
			for b.Loop() {
				count(b, l, bench.q)
			}
		})
	}
	b.Run("count all", func(b *testing.B) {
		for b.Loop() {
			count(b, l, ledger.Query{})
		}
	})
}

// BenchmarkPut writes batches as an engine does, each with its own sync.
func BenchmarkPut(b *testing.B) {
	for _, size := range []int{1, 100} {
		b.Run(fmt.Sprint(size, " rows"), func(b *testing.B) {
			l, n := fresh(b), 0
			for b.Loop() {
				rows := make([]ledger.Row, size)
				for i := range rows {
					rows[i] = row(n)
					n++
				}
				put(b, l, rows...)
			}
		})
	}
}
