package main

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/examples/internal/compare"
	"github.com/s3db-go/replicator/store"
)

var (
	strictLag = flag.Bool("lag", false, "hold the others' lag to 1.5 of an undisturbed run; for a quiet machine")
	phase     = flag.Duration("phase", time.Second, "how long each destination is dead, and how long a phase without a fault takes")
)

func TestDestinations(t *testing.T) {
	w := newWorld(t)
	var out strings.Builder
	if err := run(t.Context(), &out, t.TempDir(), w.places); err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(w.kills)) {
		if !strings.Contains(out.String(), name) || strings.Count(out.String(), " 0 failed\n") != len(w.kills) {
			t.Errorf("it prints\n%s", out.String())
		}
	}
	if totals := slices.Collect(maps.Values(w.totals())); !slices.Equal(totals, []float64{199.99}) {
		t.Errorf("the reports have %v", totals)
	}
	if events := w.messages(); len(events) != 2 || events[0].Op != replicator.Inserted || events[1].Op != replicator.Updated {
		t.Errorf("the queue has %v", events)
	}
	if len(w.crm.users) != 1 {
		t.Errorf("the CRM has %v", w.crm.users)
	}
}

// With nothing installed, all four are within the process, or in a directory.
func TestDestinationsAlone(t *testing.T) {
	var out strings.Builder
	at := places{backup: "file:///" + filepath.ToSlash(t.TempDir())}
	if err := run(t.Context(), &out, t.TempDir(), at); err != nil || strings.Count(out.String(), " 0 failed\n") != 4 {
		t.Errorf("it prints\n%s%v", out.String(), err)
	}
}

// traffic writes at a steady pace until it is stopped: new users and orders, and changes
// of orders.
type traffic struct {
	db   *store.DB
	stop chan struct{}
	work sync.WaitGroup

	mu      sync.Mutex
	users   int
	changes int // of orders
}

const writers = 4

func (tr *traffic) start(t *testing.T) {
	for n := range writers {
		tr.work.Go(func() {
			dice := rand.New(rand.NewPCG(11, uint64(n)))
			pace := time.NewTicker(8 * time.Millisecond)
			defer pace.Stop()
			for i := 0; ; i++ {
				select {
				case <-tr.stop:
					return
				case <-pace.C:
				}
				var err error
				user, order := i%5 == 0, false
				switch {
				case user:
					_, err = tr.db.Resource("users").Insert(t.Context(), store.Record{"id": fmt.Sprintf("u%d-%d", n, i), "name": "User", "email": "user@example.com"})
				default:
					order = true
					_, err = tr.db.Resource("orders").Upsert(t.Context(), store.Record{"id": fmt.Sprintf("o%d-%d", n, dice.IntN(20)), "userId": "u", "total": float64(i)})
				}
				if err != nil {
					t.Error(err)
					return
				}
				tr.mu.Lock()
				if user {
					tr.users++
				}
				if order {
					tr.changes++
				}
				tr.mu.Unlock()
			}
		})
	}
}

// lags samples every destination's lag for a while and gives the mean of each.
func lags(ctx context.Context, r *replicator.Replicator, d time.Duration) map[string]time.Duration {
	sums, n := map[string]time.Duration{}, time.Duration(0)
	sample := time.NewTicker(5 * time.Millisecond)
	defer sample.Stop()
	for end := time.Now().Add(d); time.Now().Before(end); n++ {
		select {
		case <-sample.C:
		case <-ctx.Done():
			return sums
		}
		for name, s := range r.Stats().Destinations {
			sums[name] += s.Lag
		}
	}
	for name := range sums {
		sums[name] /= n
	}
	return sums
}

// recovered waits until a destination has caught up.
func recovered(t *testing.T, r *replicator.Replicator, name string) {
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for r.Stats().Destinations[name].Lag > time.Second {
		select {
		case <-look.C:
		case <-t.Context().Done():
			t.Fatalf("%s does not recover: %+v", name, r.Stats().Destinations[name])
		}
	}
}

// TestEachInTurnIsKilled kills one destination after the other under load and brings it
// back: each ends complete and in order, and the others go on as if nothing was.
func TestEachInTurnIsKilled(t *testing.T) {
	w := newWorld(t)
	db, r, err := open(t.Context(), t.TempDir(), w.places)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	defer r.Stop(context.WithoutCancel(t.Context()))
	tr := &traffic{db: db, stop: make(chan struct{})}
	tr.start(t)
	lags(t.Context(), r, *phase/2) // warm up
	for _, name := range slices.Sorted(maps.Keys(w.kills)) {
		quiet := lags(t.Context(), r, *phase) // just before: the machine is not the same all the time
		restart := w.kills[name]()
		before := r.Stats().Destinations
		during := lags(t.Context(), r, *phase)
		for other, s := range r.Stats().Destinations {
			if other == name {
				if during[name] < *phase/4 {
					t.Errorf("%s was dead for %v, and its lag was %v", name, *phase, during[name])
				}
				continue
			}
			t.Logf("while %s is dead, %s has a lag of %v; undisturbed %v", name, other, during[other], quiet[other])
			if s.Replicated == before[other].Replicated {
				t.Errorf("while %s is dead, %s stands still", name, other)
			}
			if *strictLag && during[other] > quiet[other]*3/2 {
				t.Errorf("while %s is dead, %s has a lag of %v; undisturbed it was %v", name, other, during[other], quiet[other])
			}
		}
		restart()
		recovered(t, r, name)
	}
	close(tr.stop)
	tr.work.Wait()
	if err := r.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, s := range r.Stats().Destinations {
		if s.Failed > 0 {
			t.Errorf("%s: %d deliveries failed: %s", name, s.Failed, s.Err)
		}
	}
	w.complete(t, tr)
}

// complete reads everything back.
func (w *world) complete(t *testing.T, tr *traffic) {
	copied, err := store.Open(t.Context(), w.backup)
	if err != nil {
		t.Fatal(err)
	}
	defer copied.Close()
	verdict, err := compare.Stores(t.Context(), tr.db, copied, "users", "orders")
	if err != nil || verdict.Err() != nil {
		t.Errorf("backup: %v, %v", verdict, err)
	}

	want := map[string]float64{}
	for order, err := range tr.db.Resource("orders").List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		want[order.String("id")] = order.Float("total")
	}
	if got := w.totals(); !maps.Equal(got, want) {
		t.Errorf("analytics has %d orders, want %d, or other totals", len(got), len(want))
	}

	seen, newest, last := map[string]bool{}, map[string]uint64{}, map[string]float64{}
	for _, d := range w.messages() {
		if id := d.ChangeID.String(); !seen[id] {
			seen[id] = true
			if d.Version <= newest[d.RecordID] {
				t.Errorf("events of %s are out of order", d.RecordID)
			}
			newest[d.RecordID], last[d.RecordID] = d.Version, d.Record.Float("total")
		}
	}
	if len(seen) != tr.changes || !maps.Equal(last, want) {
		t.Errorf("the queue had %d changes of orders, want %d, or the last of each is another", len(seen), tr.changes)
	}

	if len(w.crm.users) != tr.users {
		t.Errorf("the CRM has %d users, want %d", len(w.crm.users), tr.users)
	}
	for user, times := range w.crm.users {
		if times != 1 {
			t.Errorf("the CRM got %s %d times", user, times)
		}
	}
	t.Logf("%d users, %d changes of %d orders", tr.users, tr.changes, len(want))
}
