package replicator_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/memory"
)

// TestPromise01NothingIsLost: a delivery that can't be made stands in the log with all
// that is needed to make it; what the process left undone, the next one does. The
// deaths themselves are in TestKill, full disks in budget_test.go, sending again in
// retry_test.go, a loss of power under the whole in internal/sim/whole.
func TestPromise01NothingIsLost(t *testing.T) {
	s, dir := newShelf(), t.TempDir()
	refuse := errors.New("refused")
	var down atomic.Bool
	d := memory.New(memory.Options{Events: true, Before: func(_ context.Context, batch []replicator.Delivery) error {
		errs := make([]error, len(batch))
		for i, item := range batch {
			switch {
			case down.Load():
				errs[i] = replicator.Unavailable(refuse)
			case item.RecordID == "bad":
				errs[i] = replicator.Permanent(refuse)
			}
		}
		return &replicator.BatchError{Errs: errs}
	}})
	r := start(t, s, replicator.Options{Dir: dir, Destinations: to(d, "users")})
	for _, id := range []string{"a", "bad", "b"} {
		if err := s.put(t.Context(), "users", id, replicator.Record{"id": id, "name": "Ann"}); err != nil {
			t.Fatal(err)
		}
	}
	flush(t, r)
	rows := failedRows(t, r)
	if len(rows) != 1 || rows[0].RecordID != "bad" || rows[0].Data.String("name") != "Ann" || !strings.Contains(rows[0].Error, "refused") {
		t.Errorf("the log holds %+v, want the refused record with its data and reason", rows)
	}

	// The destination goes away, changes come, the process ends.
	down.Store(true)
	for i := range 20 {
		if err := s.put(t.Context(), "users", "a", replicator.Record{"id": "a", "n": i}); err != nil {
			t.Fatal(err)
		}
	}
	halt(t, r)
	down.Store(false)
	r = start(t, s, replicator.Options{Dir: dir, Destinations: to(d, "users")})
	flush(t, r)
	seen := map[int64]bool{}
	for _, e := range d.Events("users") {
		if e.RecordID == "a" && e.Record.Has("n") {
			seen[e.Record.Int("n")] = true
		}
	}
	if len(seen) != 20 {
		t.Errorf("%d of 20 changes of the outage arrived", len(seen))
	}
	if rows := failedRows(t, r); len(rows) != 1 {
		t.Errorf("%d failed rows after the restart, want the one from before", len(rows))
	}
}

// TestPromise02OrderPerRecord: 64 writers on 100 records, against destinations that
// fail, overrun their time, answer in part and lose answers at random. Ordering keys of
// the user's own and replays are in internal/sim/whole, holding a record's successors back
// is in TestHoldAndRemove.
func TestPromise02OrderPerRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const writers, records, writes = 64, 100, 40
		s := newShelf()
		rng := &chance{r: rand.New(rand.NewPCG(1, 2))}
		events := memory.New(memory.Options{Events: true, Items: 20, Before: rng.trouble})
		state := memory.New(memory.Options{Items: 20, Before: rng.trouble})
		versions := &lastVersions{seen: map[string]uint64{}}
		r := start(t, s, replicator.Options{
			MaxRetries: 1000, // so that nothing is given up: chance is not the record's fault
			Timeout:    time.Second,
			Destinations: []replicator.Destination{
				{Name: "events", Driver: events, Routes: replicator.Routes("r")},
				{Name: "state", Driver: &observed{state, versions.check}, Routes: replicator.Routes("r")},
			},
		})

		var written [records]int // by record, each guarded by the record's lock
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				pick := rand.New(rand.NewPCG(uint64(w), 0))
				for range writes {
					n := pick.IntN(records)
					err := s.Write(t.Context(), replicator.Change{
						Op: replicator.Updated, Resource: "r", RecordID: fmt.Sprint(n), Data: replicator.Record{"by": w}, Before: replicator.Record{},
					}, func(context.Context) error {
						written[n]++
						return nil
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour) // virtual
		defer cancel()
		if err := r.Flush(ctx); err != nil {
			t.Fatalf("%v\n%s", err, describe(r))
		}

		last := map[string]uint64{}
		arrived := map[string]int{}
		for _, e := range events.Events("r") {
			// Nothing is lost on the way back here, so nothing comes twice either.
			if e.Version <= last[e.RecordID] {
				t.Errorf("record %s: version %d after %d", e.RecordID, e.Version, last[e.RecordID])
			}
			arrived[e.RecordID]++
			last[e.RecordID] = e.Version
		}
		for n, times := range written {
			if id := fmt.Sprint(n); arrived[id] != times {
				t.Errorf("record %s: %d of %d changes arrived", id, arrived[id], times)
			}
		}
		if n := r.Stats().Destinations["events"]; n.Failed+n.Coalesced+n.Skipped != 0 || n.Retried == 0 {
			t.Errorf("events: %+v; want every change replicated, and some of them not at once", n)
		}
		for id, v := range last {
			if got := state.Version("r", id); got != v {
				t.Errorf("record %s: the state destination ended at version %d, want %d", id, got, v)
			}
		}
		if err := versions.err(); err != nil {
			t.Error(err)
		}
		countsAddUp(t, r)
		halt(t, r)
	})
}

// chance makes a destination troublesome, always in the same way for one seed and
// one order of calls.
type chance struct {
	mu sync.Mutex // guards r
	r  *rand.Rand
}

func (c *chance) n(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.r.IntN(n)
}

func (c *chance) trouble(ctx context.Context, batch []replicator.Delivery) error {
	switch c.n(10) {
	case 0:
		return errors.New("reset by peer")
	case 1: // overruns its time, and is not quick to notice
		<-ctx.Done()
		return ctx.Err()
	case 2:
		return replicator.Unavailable(errors.New("busy"))
	case 3, 4, 5:
		errs := make([]error, len(batch))
		for i := range errs {
			if c.n(3) == 0 {
				errs[i] = errors.New("not this one")
			}
		}
		return &replicator.BatchError{Errs: errs}
	}
	return nil
}

// observed is a memory destination whose batches are looked at as they come.
type observed struct {
	*memory.Driver
	look func([]replicator.Delivery)
}

func (o *observed) Apply(ctx context.Context, batch []replicator.Delivery) error {
	o.look(batch)
	return o.Driver.Apply(ctx, batch)
}

// lastVersions holds the highest version that each record was sent in.
type lastVersions struct {
	mu    sync.Mutex // guards what follows
	seen  map[string]uint64
	wrong []string
}

func (l *lastVersions) check(batch []replicator.Delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range batch {
		if d.Version < l.seen[d.RecordID] {
			l.wrong = append(l.wrong, fmt.Sprintf("record %s: version %d was sent after %d", d.RecordID, d.Version, l.seen[d.RecordID]))
		}
		l.seen[d.RecordID] = d.Version
	}
}

func (l *lastVersions) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.wrong) > 0 {
		return errors.New(strings.Join(l.wrong, "\n"))
	}
	return nil
}

// TestPromise03AtLeastOnce: a change keeps its id and version over repeats and
// restarts, and versions grow also when the journal was lost. The ids of a backfill are
// in TestBackfillKill.
func TestPromise03AtLeastOnce(t *testing.T) {
	s, dir := newShelf(), t.TempDir()
	var lose atomic.Bool
	lose.Store(true)
	d := &forgetful{Driver: memory.New(memory.Options{Events: true}), lose: &lose}
	state := memory.New(memory.Options{})
	o := replicator.Options{Dir: dir, Destinations: []replicator.Destination{
		{Name: "events", Driver: d, Routes: replicator.Routes("r")},
		{Name: "state", Driver: state, Routes: replicator.Routes("r")},
	}}
	r := start(t, s, o)
	if err := s.put(t.Context(), "r", "1", replicator.Record{"v": 1}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, r, func() bool { return len(d.Events("r")) > 0 })
	halt(t, r)
	lose.Store(false)
	r = start(t, s, o)
	if err := s.put(t.Context(), "r", "1", replicator.Record{"v": 2}); err != nil {
		t.Fatal(err)
	}
	flush(t, r)
	got := d.Events("r")
	ids, versions := map[replicator.ID]uint64{}, []uint64{}
	for _, e := range got {
		if v, known := ids[e.ChangeID]; known && v != e.Version {
			t.Errorf("change %s came with version %d and %d", e.ChangeID, v, e.Version)
		} else if !known {
			ids[e.ChangeID] = e.Version
			versions = append(versions, e.Version)
		}
	}
	if len(ids) != 2 || len(got) < 3 || !slices.IsSorted(versions) {
		t.Errorf("%d deliveries of %d changes in versions %v; want two changes, the first repeated after its answer was lost", len(got), len(ids), versions)
	}
	if rec := state.Records("r")["1"]; rec.Int("v") != 2 {
		t.Errorf("the state destination holds %v", rec)
	}

	// The journal is lost with its directory: versions still grow.
	halt(t, r)
	o.Dir = t.TempDir()
	r = start(t, s, o)
	if err := s.put(t.Context(), "r", "1", replicator.Record{"v": 3}); err != nil {
		t.Fatal(err)
	}
	flush(t, r)
	all := d.Events("r")
	if last := all[len(all)-1].Version; last <= versions[1] {
		t.Errorf("after the journal was lost the version is %d, not above %d", last, versions[1])
	}
	if rec := state.Records("r")["1"]; rec.Int("v") != 3 {
		t.Errorf("the state destination holds %v", rec)
	}
}

// forgetful applies what it is given and loses the answer.
type forgetful struct {
	*memory.Driver
	lose *atomic.Bool
}

func (f *forgetful) Apply(ctx context.Context, batch []replicator.Delivery) error {
	err := f.Driver.Apply(ctx, batch)
	if f.lose.Load() {
		return replicator.Unavailable(errors.New("connection lost before the answer"))
	}
	return err
}

// waitFor waits for a condition, woken by the replicator's events.
func waitFor(t *testing.T, r *replicator.Replicator, done func() bool) {
	t.Helper()
	events, cancel := r.Subscribe(replicator.AllKinds)
	defer cancel()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-events:
		case <-tick.C: // the condition may not come with an event
		case <-deadline:
			t.Fatal("waited in vain\n", describe(r))
		}
	}
}

// TestPromise04NoSilentSuccess: only what the destination accepted, item by item,
// counts as delivered.
func TestPromise04NoSilentSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		var calls atomic.Int64
		d := memory.New(memory.Options{Events: true, Items: 10, Before: func(_ context.Context, batch []replicator.Delivery) error {
			errs := make([]error, len(batch))
			switch calls.Add(1) {
			case 1, 2:
				return &replicator.BatchError{Errs: errs[:len(batch)-1]} // says nothing about the last
			case 3:
				errs = append(errs, nil) // speaks of one that was not sent
			default:
				for i, item := range batch {
					if item.RecordID == "3" || item.RecordID == "7" {
						errs[i] = replicator.Permanent(errors.New("no"))
					}
				}
			}
			return &replicator.BatchError{Errs: errs}
		}})
		r := start(t, s, replicator.Options{Destinations: to(d, "r")})
		events, cancel := r.Subscribe(replicator.Replicated | replicator.Failed)
		defer cancel()
		for i := range 10 {
			if err := s.put(t.Context(), "r", fmt.Sprint(i), replicator.Record{"v": i}); err != nil {
				t.Fatal(err)
			}
		}
		flush(t, r)
		arrived := map[string]bool{}
		for _, e := range d.Events("r") {
			arrived[e.RecordID] = true
		}
		for _, e := range heard(t, events, 10) {
			if accepted := arrived[e.RecordID]; accepted != (e.Kind == replicator.Replicated) {
				t.Errorf("record %s was told to be %v, and accepted is %v", e.RecordID, e.Kind, accepted)
			}
		}
		if st := r.Stats().Destinations["memory"]; st.Replicated != 8 || st.Failed != 2 || len(arrived) != 8 {
			t.Errorf("%d arrived, stats %+v; want 8 and 2 failed", len(arrived), st)
		}
		if rows := failedRows(t, r); len(rows) != 2 {
			t.Errorf("%d failed rows, want 2", len(rows))
		}
		halt(t, r)
	})
}

// heard gives what a subscription tells up to the n-th end of a delivery.
func heard(t *testing.T, events <-chan replicator.Event, n int) (all []replicator.Event) {
	t.Helper()
	const ends = replicator.Replicated | replicator.Coalesced | replicator.Skipped | replicator.Failed
	patience := time.After(time.Minute)
	for n > 0 {
		select {
		case e := <-events:
			if all = append(all, e); e.Kind&ends != 0 {
				n--
			}
		case <-patience:
			t.Fatalf("%d ends of deliveries were never told", n)
		}
	}
	return all
}

// TestPromise05Independence: beside one destination that never answers, one that
// refuses everything and one whose user code is broken, a fourth gets every change;
// and a record that can't be delivered stops no other. The disk budget, which all
// share, is in budget_test.go.
func TestPromise05Independence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		never := memory.New(memory.Options{Before: func(ctx context.Context, _ []replicator.Delivery) error {
			<-ctx.Done()
			return ctx.Err()
		}})
		down := memory.New(memory.Options{Before: func(context.Context, []replicator.Delivery) error {
			return replicator.Unavailable(errors.New("connection refused"))
		}})
		broken, healthy := memory.New(memory.Options{}), memory.New(memory.Options{Events: true, Items: 1, Before: poison("13")})
		r := start(t, s, replicator.Options{Destinations: []replicator.Destination{
			{Name: "never", Driver: never, Routes: replicator.Routes("r")},
			{Name: "down", Driver: down, Routes: replicator.Routes("r")},
			{Name: "broken", Driver: broken, Routes: []replicator.Route{{From: "r", Transform: func(replicator.Change) (replicator.Record, error) {
				panic("a mistake")
			}}}},
			{Name: "healthy", Driver: healthy, Routes: replicator.Routes("r")},
		}})
		begin := time.Now()
		for i := range 200 {
			if err := s.put(t.Context(), "r", fmt.Sprint(i%50), replicator.Record{"v": i}); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(begin); took > 0 { // virtual time passes only where something waits for it
			t.Errorf("the writes took %v", took)
		}
		// Record 13 fails for as long as its attempts last; nobody else waits for it.
		synctest.Wait()
		if n := len(healthy.Events("r")); n != 196 {
			t.Errorf("%d of the 196 changes of the other records arrived at once", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		if err := r.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "healthy") {
			t.Errorf("Flush: %v, want that only the dead destinations are waited for", err)
		}
		st := r.Stats().Destinations
		if h := st["healthy"]; h.Replicated != 196 || h.Failed != 4 || h.Lag != 0 || h.Waiting != 0 {
			t.Errorf("healthy: %+v", h)
		}
		if b := st["broken"]; b.Failed != 200 {
			t.Errorf("broken: %+v", b)
		}
		if d := st["down"]; d.Failed != 0 || !d.BreakerOpen || d.Waiting != 200 {
			t.Errorf("down: %+v, want everything waiting behind an open breaker", d)
		}
		halt(t, r)
	})
}

// poison refuses one record each time it comes.
func poison(id string) func(context.Context, []replicator.Delivery) error {
	return func(_ context.Context, batch []replicator.Delivery) error {
		errs := make([]error, len(batch))
		for i, item := range batch {
			if item.RecordID == id {
				errs[i] = errors.New("this one again")
			}
		}
		return &replicator.BatchError{Errs: errs}
	}
}

// TestPromise06Bounded: memory does not grow with what waits, while running or at a
// start. Very many waiting changes of one lane are in the tests of internal/engine.
func TestPromise06Bounded(t *testing.T) {
	dir := t.TempDir()
	source := &pourer{}
	d := memory.New(memory.Options{Before: func(context.Context, []replicator.Delivery) error {
		return replicator.Unavailable(errors.New("connection refused"))
	}})
	o := replicator.Options{Dir: dir, Destinations: to(d, "r")}
	r := start(t, source, o)
	const batch, size = 250, 4 << 10
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	source.pour(t, 40*batch, size) // 40 MiB: more than the window and the journal's tail together
	before := heap()
	source.pour(t, 40*batch, size)
	if grown := heap() - before; grown > 4<<20 {
		t.Errorf("40 MiB more that wait take %d KiB more of memory", grown>>10)
	}
	if waiting := r.Stats().Destinations["memory"].Waiting; waiting != 80*batch {
		t.Errorf("%d changes wait, want %d", waiting, 80*batch)
	}
	halt(t, r)
	empty := heap()
	r = start(t, source, o)
	if grown := heap() - empty; grown > 48<<20 { // window and tail, 16 MiB each, and what they are made of
		t.Errorf("starting with 80 MiB that wait takes %d KiB", grown>>10)
	}
	if waiting := r.Stats().Destinations["memory"].Waiting; waiting != 80*batch {
		t.Errorf("%d changes wait after the start, want %d", waiting, 80*batch)
	}
}

// pourer is a source that appends in bulk, for a journal full of changes.
type pourer struct {
	rec cdc.Recorder
	n   int
}

func (p *pourer) Capture(rec cdc.Recorder) (func(), error) { p.rec = rec; return func() {}, nil }

func (p *pourer) pour(t *testing.T, n, size int) {
	t.Helper()
	for len, text := 0, strings.Repeat("x", size); len < n; len += 250 {
		changes := make([]replicator.Change, 250)
		for i := range changes {
			p.n++
			changes[i] = replicator.Change{Op: replicator.Inserted, Resource: "r", RecordID: fmt.Sprint(p.n), Data: replicator.Record{"text": text}}
		}
		if err := p.rec.Append(t.Context(), changes...); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPromise07TruthAtAGlance: lag is zero when idle and the age of the oldest change
// otherwise; health follows it; a slow listener is told exactly what it missed and the
// log misses none. A destination whose own work stands still, and the health endpoint, are in
// monitor_test.go.
func TestPromise07TruthAtAGlance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		var down atomic.Bool
		d := memory.New(memory.Options{Before: func(context.Context, []replicator.Delivery) error {
			if down.Load() {
				return replicator.Unavailable(errors.New("connection refused"))
			}
			return nil
		}})
		r := start(t, s, replicator.Options{Log: replicator.LogOptions{Successes: true}, Destinations: to(d, "r")})
		slow, cancel := r.Subscribe(replicator.Replicated)
		lag := func() time.Duration { return r.Stats().Destinations["memory"].Lag }
		const many = 3000
		for i := range many {
			if err := s.put(t.Context(), "r", fmt.Sprint(i), replicator.Record{"v": i}); err != nil {
				t.Fatal(err)
			}
		}
		flush(t, r)
		time.Sleep(5 * time.Hour) // virtual
		if h := r.Health(); lag() != 0 || h.Status != replicator.HealthHealthy {
			t.Errorf("idle for five hours: lag %v, health %+v", lag(), h)
		}

		down.Store(true)
		if err := s.put(t.Context(), "r", "x", replicator.Record{"v": 1}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if h := r.Health(); lag() != time.Minute || h.Status != replicator.HealthDegraded || !strings.Contains(h.Reason, "connection refused") {
			t.Errorf("a minute into an outage: lag %v, health %+v", lag(), h)
		}
		time.Sleep(5 * time.Minute)
		if h := r.Health(); lag() != 6*time.Minute || h.Status != replicator.HealthUnhealthy {
			t.Errorf("six minutes into an outage: lag %v, health %+v", lag(), h)
		}
		down.Store(false)
		flush(t, r)
		if h := r.Health(); lag() != 0 || h.Status != replicator.HealthHealthy {
			t.Errorf("after an outage: lag %v, health %+v", lag(), h)
		}

		seen, missed := 0, 0
		synctest.Wait()
		for seen+missed < many+1 {
			if e := <-slow; e.Kind == replicator.Missed {
				missed += e.Missed
			} else {
				seen++
			}
		}
		cancel()
		if missed == 0 || seen+missed != many+1 {
			t.Errorf("a listener that slept saw %d and was told of %d missed; want %d in all", seen, missed, many+1)
		}
		rows := 0
		for _, err := range r.Log(t.Context(), replicator.Query{Status: replicator.StatusReplicated}) {
			if err != nil {
				t.Fatal(err)
			}
			rows++
		}
		if rows != many+1 {
			t.Errorf("the log holds %d rows, want %d", rows, many+1)
		}
		countsAddUp(t, r)
		halt(t, r)
	})
}

// TestPromise08TheCallerPaysLittle: a write returns while filters, transforms, drivers
// and listeners all hang, and one that no route wants does not touch the journal. What a
// write costs, in figures, is measured in benchmarks.
func TestPromise08TheCallerPaysLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		hang := make(chan struct{})
		plain := memory.New(memory.Options{Before: func(context.Context, []replicator.Delivery) error { <-hang; return nil }})
		r := start(t, s, replicator.Options{Destinations: []replicator.Destination{
			{Name: "filter", Driver: memory.New(memory.Options{}), Routes: replicator.Routes("r"), ShouldReplicate: func(replicator.Change) bool { <-hang; return true }},
			{Name: "transform", Driver: memory.New(memory.Options{}), Routes: []replicator.Route{{From: "r", Transform: func(c replicator.Change) (replicator.Record, error) {
				<-hang
				return c.Data, nil
			}}}},
			{Name: "driver", Driver: plain, Routes: replicator.Routes("r")},
		}})
		_, cancel := r.Subscribe(replicator.AllKinds) // never read
		defer cancel()
		begin := time.Now()
		for i := range 100 {
			if err := s.put(t.Context(), "r", fmt.Sprint(i), replicator.Record{"v": i}); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(begin); took > 0 {
			t.Errorf("the writes waited for %v", took)
		}
		journaled := r.Stats().Journal.Last
		if journaled != 100 {
			t.Errorf("%d changes journaled, want 100", journaled)
		}
		if err := s.put(t.Context(), "nobody wants this", "1", replicator.Record{"v": 1}); err != nil {
			t.Fatal(err)
		}
		if last := r.Stats().Journal.Last; last != journaled {
			t.Errorf("a write that no route wants was journaled")
		}
		close(hang)
		flush(t, r)
		halt(t, r)
	})
}

// TestPromise09BadInput: panics of user code are a record's failure. The faults of
// options are in TestOptionsFaults, those of records in package store.
func TestPromise09BadInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		boom := func(c replicator.Change) bool { return c.RecordID == "boom" }
		d := memory.New(memory.Options{Items: 1, Before: func(_ context.Context, batch []replicator.Delivery) error {
			if boom(batch[0].Change) {
				panic("in the driver")
			}
			return nil
		}})
		r := start(t, s, replicator.Options{Destinations: []replicator.Destination{
			{Name: "filter", Driver: memory.New(memory.Options{}), Routes: []replicator.Route{{From: "r", ShouldReplicate: func(c replicator.Change) bool {
				return !boom(c) || c.Data["absent"].(bool) // panics
			}}}},
			{Name: "transform", Driver: memory.New(memory.Options{}), Routes: []replicator.Route{{From: "r", Transform: func(c replicator.Change) (replicator.Record, error) {
				if boom(c) {
					panic("in the transform")
				}
				return c.Data, nil
			}}}},
			{Name: "driver", Driver: d, Routes: replicator.Routes("r")},
		}})
		events, cancel := r.Subscribe(replicator.Failed)
		defer cancel()
		for _, id := range []string{"a", "boom", "b"} {
			if err := s.put(t.Context(), "r", id, replicator.Record{"v": 1}); err != nil {
				t.Fatal(err)
			}
		}
		flush(t, r)
		for name, st := range r.Stats().Destinations {
			if st.Replicated != 2 || st.Failed != 1 {
				t.Errorf("%s: %+v, want two replicated and one failed", name, st)
			}
		}
		rows := failedRows(t, r)
		if len(rows) != 3 {
			t.Errorf("%d failed rows, want one for each destination", len(rows))
		}
		for _, row := range rows {
			if row.RecordID != "boom" || row.Resource != "r" || row.Error == "" {
				t.Errorf("row %+v", row)
			}
		}
		for _, e := range heard(t, events, 3) { // one for each destination
			for _, want := range []string{e.Destination, "r", "boom"} {
				if !strings.Contains(e.Err.Error(), want) {
					t.Errorf("the error %q does not name %q", e.Err, want)
				}
			}
		}
		halt(t, r)
	})
}

// TestPromise10SecretsStaySecret is in secrets_test.go, with the store's secret
// attributes. Here: what is on disk is its owner's only.
func TestFilesArePrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // which has no such bits
	}
	s, dir := newShelf(), t.TempDir()
	r := start(t, s, replicator.Options{Dir: filepath.Join(dir, "replicator"), Destinations: to(memory.New(memory.Options{}), "r")})
	if err := s.put(t.Context(), "r", "1", replicator.Record{"v": 1}); err != nil {
		t.Fatal(err)
	}
	flush(t, r)
	halt(t, r)
	files := 0
	err := filepath.WalkDir(filepath.Join(dir, "replicator"), func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		files++
		return err
	})
	if err != nil || files < 4 {
		t.Errorf("%d files, %v", files, err)
	}
}
