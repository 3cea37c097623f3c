package replicator_test

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/memory"
	"github.com/s3db-go/replicator/internal/ledger"
)

var logRows = flag.Int("log-rows", 50_000, "how many rows the log has in TestALargeLog; from 1,000,000 on it judges strictly, on a machine of its own")

// What somebody on call asks, who waits for the answer; and what an outcome may wait for
// a log that is trimmed meanwhile.
const (
	queryTime = 50 * time.Millisecond
	trimTime  = 10 * time.Millisecond
)

// leniently is by how much a run beside other work may be slower.
func leniently(d time.Duration) time.Duration {
	if *logRows >= 1_000_000 {
		return d
	}
	return 10 * d
}

// TestALargeLog fills a log with rows of thirty days, asks it the guide's queries, and has
// it trimmed, always while outcomes are written.
func TestALargeLog(t *testing.T) {
	dir := t.TempDir()
	fillLog(t, dir, *logRows)
	t.Run("queries", func(t *testing.T) { askLog(t, dir) })
	t.Run("retention", func(t *testing.T) { trimBesideWork(t, dir) })
}

// What is settled stays for thirty days unless something else is said; what failed stays.
func TestTheLogKeepsThirtyDays(t *testing.T) {
	for name, c := range map[string]struct {
		retention time.Duration
		left      int // when thirty days are over
	}{"by default": {0, 1}, "for ever": {-1, 3}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, d := newShelf(), newSwitched()
				r := start(t, s, replicator.Options{Log: replicator.LogOptions{Successes: true, Retention: c.retention}, Destinations: to(d, "good", "bad")})
				putN(t, s, "good", 2)
				flush(t, r)
				d.answer(replicator.Permanent(errors.New("no")))
				putN(t, s, "bad", 1)
				flush(t, r)
				time.Sleep(30*24*time.Hour - time.Minute)
				if n := logCount(t, r, replicator.Query{}); n != 3 {
					t.Errorf("before thirty days are over there are %d rows, want 3", n)
				}
				time.Sleep(5 * time.Minute)
				if n := logCount(t, r, replicator.Query{}); n != c.left {
					t.Errorf("after thirty days there are %d rows, want %d", n, c.left)
				}
				halt(t, r)
			})
		})
	}
}

// fillLog writes rows of four destinations and ten resources, evenly over the last thirty
// days: half are replicated, one in a thousand has failed and has tries left, and of the
// others the tries are spent.
func fillLog(t *testing.T, dir string, n int) {
	t.Helper()
	l, err := ledger.Open(filepath.Join(dir, "log.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	begun := time.Now().UTC().Add(-30 * 24 * time.Hour)
	rows := make([]ledger.Row, 0, 5000)
	for i := range n {
		var id cdc.ID
		binary.BigEndian.PutUint64(id[:], uint64(i)+1)
		at := begun.Add(time.Duration(float64(30*24*time.Hour) * float64(i) / float64(n))).Truncate(time.Microsecond)
		row := ledger.Row{
			Replicator: "main", Destination: fmt.Sprint("d", i%4), Driver: "memory", Target: "t", Status: ledger.Failed, Time: at, CreatedAt: at,
			Error: "value too long for column note", Attempts: 4, RetryCount: 3, Duration: 20 * time.Millisecond,
			Change: cdc.Change{
				ChangeID: id, Seq: uint64(i) + 1, Version: uint64(i+1) << 16, Op: cdc.Updated, Resource: fmt.Sprint("r", i%10), RecordID: fmt.Sprint("u", i), Time: at,
				Data: cdc.Record{"id": fmt.Sprint("u", i), "total": int64(i), "note": "deliver to the back door, please"}, Before: cdc.Record{"total": 1.5},
			},
		}
		switch {
		case i%1000 == 7:
			row.RetryCount = 1
		case i%2 == 0:
			row.Status, row.Error = ledger.Replicated, ""
		}
		if rows = append(rows, row); len(rows) == cap(rows) || i == n-1 {
			if err := l.Put(rows...); err != nil {
				t.Fatal(err)
			}
			rows = rows[:0]
		}
	}
}

// askLog asks the guide's queries through Log and LogCount.
func askLog(t *testing.T, dir string) {
	r, settled := startBusy(t, dir, replicator.LogOptions{Successes: true, Retention: -1})
	ctx, end := context.WithCancel(t.Context())
	var work sync.WaitGroup
	work.Go(func() { settled(ctx) })
	defer work.Wait()
	defer end()
	ago := func(d time.Duration) time.Time { return time.Now().Add(-d) }
	for _, c := range []struct {
		name string
		q    replicator.Query
	}{
		{"failed in the last hour", replicator.Query{Status: replicator.StatusFailed, Since: ago(time.Hour)}},
		{"failed in the last five minutes", replicator.Query{Status: replicator.StatusFailed, Since: ago(5 * time.Minute)}},
		{"failed of a resource in the last hour", replicator.Query{Status: replicator.StatusFailed, Resource: "r7", Since: ago(time.Hour)}},
		{"failed at a destination in the last hour", replicator.Query{Status: replicator.StatusFailed, Destination: "d3", Since: ago(time.Hour)}},
		{"failed with tries left", replicator.Query{Status: replicator.StatusFailed, RetryCountBelow: 3}},
		{"the newest failures of a resource", replicator.Query{Status: replicator.StatusFailed, Resource: "r7", Limit: 1000}},
	} {
		var reads, counts []time.Duration
		found := 0
		for range 7 {
			begun := time.Now()
			found = 0
			for _, err := range r.Log(t.Context(), c.q) {
				if err != nil {
					t.Fatal(err)
				}
				found++
			}
			reads = append(reads, time.Since(begun))
			begun = time.Now()
			n, err := r.LogCount(t.Context(), c.q)
			if counts = append(counts, time.Since(begun)); err != nil || n != found {
				t.Errorf("%s: LogCount gives %d of %d rows (%v)", c.name, n, found, err)
			}
		}
		slices.Sort(reads)
		slices.Sort(counts)
		middle, last := len(reads)/2, len(reads)-1
		t.Logf("%s: %d rows in %v (worst %v), counted in %v (worst %v)", c.name, found, reads[middle], reads[last], counts[middle], counts[last])
		if found == 0 && *logRows >= 1_000_000 || found > 1000 {
			t.Errorf("%s: %d rows", c.name, found)
		}
		if worst := max(reads[middle], counts[middle]); worst > leniently(queryTime) {
			t.Errorf("%s takes %v", c.name, worst)
		}
	}
}

// trimBesideWork compares how long outcomes take to settle with those of a log that is
// not trimmed, in turns.
func trimBesideWork(t *testing.T, dir string) {
	span, turns := time.Second, 1
	if *logRows >= 1_000_000 {
		span, turns = 5*time.Second, 3
	}
	var kept, trimmed []time.Duration
	for range turns {
		for _, trim := range []bool{false, true} {
			o := replicator.LogOptions{Successes: true, Retention: -1}
			if trim {
				o.Retention = 10 * time.Second // looked after each second
			}
			r, settled := startBusy(t, dir, o)
			until := time.Now().Add(-time.Hour)
			old := func() int {
				n, err := r.LogCount(t.Context(), replicator.Query{Status: replicator.StatusReplicated, Until: until})
				if err != nil {
					t.Fatal(err)
				}
				return n
			}
			before := old()
			ctx, cancel := context.WithTimeout(t.Context(), span+time.Second)
			took := settled(ctx)
			cancel()
			gone := before - old()
			t.Logf("trimmed %v: %d rows went, %d outcomes in %v at p50, %v at p99", trim, gone, len(took), percentile(took, 50), percentile(took, 99))
			if trim != (gone > 0) {
				t.Errorf("of a log that is trimmed: %v, %d rows went", trim, gone)
			}
			if trim {
				trimmed = append(trimmed, took...)
			} else {
				kept = append(kept, took...)
			}
			halt(t, r)
		}
	}
	if more := percentile(trimmed, 99) - percentile(kept, 99); more > leniently(trimTime) {
		t.Errorf("trimming delays an outcome by %v at p99", more)
	}
}

func percentile(of []time.Duration, p int) time.Duration {
	of = slices.Sorted(slices.Values(of))
	return of[(len(of)-1)*p/100]
}

// startBusy starts a replicator on dir. settled writes from eight writers until ctx ends,
// each when its last write has settled, and gives how long that took.
func startBusy(t *testing.T, dir string, o replicator.LogOptions) (r *replicator.Replicator, settled func(ctx context.Context) []time.Duration) {
	t.Helper()
	const writers = 8
	s := newShelf()
	r = start(t, s, replicator.Options{Dir: dir, Log: o, Destinations: []replicator.Destination{
		{Name: "d0", Driver: memory.New(memory.Options{}), Routes: replicator.Routes("busy")},
	}})
	return r, func(ctx context.Context) (took []time.Duration) {
		events, cancel := r.Subscribe(replicator.Replicated)
		arrived := map[string]chan struct{}{}
		for w := range writers {
			arrived[fmt.Sprint(w)] = make(chan struct{}, 1)
		}
		var listener, work sync.WaitGroup
		listener.Go(func() {
			for e := range events {
				arrived[e.RecordID] <- struct{}{}
			}
		})
		var mu sync.Mutex // guards took
		for w := range writers {
			work.Go(func() {
				id := fmt.Sprint(w)
				for n := int64(0); ctx.Err() == nil; n++ {
					if err := s.put(context.WithoutCancel(ctx), "busy", id, replicator.Record{"n": n}); err != nil {
						t.Error(err)
						return
					}
					begun := time.Now()
					<-arrived[id]
					mu.Lock()
					took = append(took, time.Since(begun))
					mu.Unlock()
				}
			})
		}
		work.Wait()
		cancel()
		listener.Wait()
		return took
	}
}
