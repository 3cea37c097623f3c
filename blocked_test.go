package replicator_test

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/memory"
)

// blockedRounds makes TestBlockedDestination exact: with 100 it takes about a minute on a
// machine that does nothing else, and judges by the promise.
var blockedRounds = flag.Int("blocked-rounds", 0, "how many rounds TestBlockedDestination measures; 0 for a short run that judges loosely")

// beside is a replicator under measurement: with a destination that takes everything, and
// perhaps one that never answers.
type beside struct {
	store *shelf
	r     *replicator.Replicator

	mu      sync.Mutex // guards what follows
	began   map[string]time.Time
	lags    []time.Duration
	inserts []time.Duration
}

func newBeside(t *testing.T, blocked bool) *beside {
	b := &beside{store: newShelf(), began: map[string]time.Time{}}
	alive := memory.New(memory.Options{Events: true, Before: func(_ context.Context, batch []replicator.Delivery) error {
		now := time.Now()
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, d := range batch {
			b.lags = append(b.lags, now.Sub(b.began[d.RecordID]))
		}
		return nil
	}})
	o := replicator.Options{Destinations: []replicator.Destination{{Name: "alive", Driver: alive, Routes: replicator.Routes("r")}}}
	if blocked {
		o.Destinations = append(o.Destinations, replicator.Destination{
			Name: "blocked", Routes: replicator.Routes("r"),
			Driver: memory.New(memory.Options{Before: func(ctx context.Context, _ []replicator.Delivery) error { <-ctx.Done(); return ctx.Err() }}),
		})
	}
	b.r = start(t, b.store, o)
	return b
}

// insert measures n inserts, one after the other.
func (b *beside) insert(t *testing.T, n int) {
	t.Helper()
	for range n {
		id := fmt.Sprint(len(b.inserts))
		began := time.Now()
		b.mu.Lock()
		b.began[id] = began
		b.mu.Unlock()
		if err := b.store.put(t.Context(), "r", id, replicator.Record{"n": int64(n), "name": "Ann"}); err != nil {
			t.Fatal(err)
		}
		b.inserts = append(b.inserts, time.Since(began))
	}
}

// medians gives those of the inserts and of the lags at the destination that is alive.
func (b *beside) medians(t *testing.T, n int) (insert, lag time.Duration) {
	t.Helper()
	waitFor(t, b.r, func() bool { return b.r.Stats().Destinations["alive"].Replicated == uint64(n) })
	b.mu.Lock()
	defer b.mu.Unlock()
	return median(b.inserts), median(b.lags)
}

func median(d []time.Duration) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return d[len(d)/2]
}

// TestBlockedDestination: a destination that answers nothing costs neither the writer nor
// the other destinations anything. Compared with two runs without it, in turns; what these
// differ by is what the machine adds.
func TestBlockedDestination(t *testing.T) {
	rounds, bound := *blockedRounds, 1.1
	if rounds == 0 {
		// Waiting for the other one would cost seconds, so that this shows it, too.
		rounds, bound = 6, 10
	}
	const each = 50
	runs := []*beside{newBeside(t, false), newBeside(t, true), newBeside(t, false)}
	for round := range rounds {
		for i := range runs {
			runs[(round+i)%len(runs)].insert(t, each)
		}
	}
	var inserts, lags [3]time.Duration
	for i, b := range runs {
		inserts[i], lags[i] = b.medians(t, rounds*each)
	}
	for what, m := range map[string][3]time.Duration{"insert": inserts, "lag": lags} {
		without, with, again := float64(m[0]), float64(m[1]), float64(m[2])
		spread := max(without, again) / min(without, again)
		ratio := with / ((without + again) / 2)
		t.Logf("%s p50: %v without, %v with, %v without; ratio %.3f, A/A %.3f", what, m[0], m[1], m[2], ratio, spread)
		if ratio > max(bound, spread) {
			t.Errorf("%s: %.3f of a run without the blocked destination, more than %.3f", what, ratio, max(bound, spread))
		}
	}
	if runs[1].r.Stats().Destinations["blocked"].Replicated > 0 {
		t.Error("nothing was blocked")
	}
}
