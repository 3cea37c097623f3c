package journal_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/disk"
	"github.com/s3db-go/replicator/internal/journal"
	"github.com/s3db-go/replicator/internal/journal/journaltest"
)

// BenchmarkBegin measures what a writer waits for, at several numbers of callers with
// changes of 512 bytes: the announcement, durable. Its end is given at once, so that
// it is in the next group.
func BenchmarkBegin(b *testing.B) {
	for _, callers := range []int{1, 64, 1024} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) {
			fsys, err := disk.OS(b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			defer fsys.Close()
			j, err := journal.Open(fsys, journal.Options{})
			if err != nil {
				b.Fatal(err)
			}
			c := journaltest.Change("a")
			c.Data["pad"] = strings.Repeat("x", 440) // 512 bytes in all
			begin := func() []cdc.Change { return []cdc.Change{c} }
			var left atomic.Int64
			left.Store(int64(b.N))
			var running sync.WaitGroup
			b.ReportAllocs()
			b.ResetTimer()
			for range callers {
				running.Go(func() {
					for left.Add(-1) >= 0 {
						ticket, err := j.Begin(context.Background(), begin())
						if err != nil {
							b.Error(err)
							return
						}
						j.Commit(ticket, 0, nil)
					}
				})
			}
			running.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "begins/s")
			if err := j.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}
