package replicator_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/memory"
	"github.com/s3db-go/replicator/store"
)

// TestAdd: a destination that is added beside writers gets every write that begins after
// Add returned, each once, and stays over Stop and Start. A resource that nobody wanted
// before is captured from then on.
func TestAdd(t *testing.T) {
	s, o, _, _ := pausable(t)
	r := start(t, s, o)
	ctx, stop := context.WithCancel(t.Context())
	var written [4]atomic.Int64
	var writers sync.WaitGroup
	for w := range written {
		writers.Go(func() {
			for i := int64(1); ctx.Err() == nil; i++ {
				if err := s.put(t.Context(), fmt.Sprint("new", w%2), fmt.Sprint(w), replicator.Record{"n": i}); err != nil {
					t.Error(err)
					return
				}
				written[w].Store(i)
			}
		})
	}
	for written[0].Load() < 50 {
		if r.Stats().Journal.Last > 0 {
			t.Fatal("what nobody wants was captured")
		}
	}
	added := newEvents()
	if err := r.Add(t.Context(), replicator.Destination{Name: "added", Driver: added, Routes: replicator.Routes("new0", "new1")}); err != nil {
		t.Fatal(err)
	}
	var from [len(written)]int64
	for w := range written {
		from[w] = written[w].Load() + 2 // one may have been under way
	}
	for written[3].Load() < from[3]+50 {
		r.Stats()
	}
	stop()
	writers.Wait()
	flush(t, r)
	for w := range written {
		last := int64(0)
		for _, e := range added.Events(fmt.Sprint("new", w%2)) {
			if e.RecordID != fmt.Sprint(w) {
				continue
			}
			n := e.Record.Int("n")
			if last == 0 && n > from[w] || last > 0 && n != last+1 {
				t.Fatalf("record %d: %d arrived after %d; Add had returned before %d", w, n, last, from[w])
			}
			last = n
		}
		if last != written[w].Load() {
			t.Errorf("record %d: the last that arrived is %d of %d", w, last, written[w].Load())
		}
	}
	halt(t, r)
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := len(added.Events("new0"))
	if err := s.put(t.Context(), "new0", "0", replicator.Record{"n": int64(0)}); err != nil {
		t.Fatal(err)
	}
	flush(t, r)
	if n := len(added.Events("new0")); n != before+1 {
		t.Errorf("%d deliveries after the restart, want 1", n-before)
	}
	halt(t, r)
	// Another process has to name it.
	other, err := replicator.New(s, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(t.Context()); err == nil || !strings.Contains(err.Error(), `"added", for which nothing waits`) {
		t.Errorf("without it: %v", err)
	}
}

// TestAddFaults: it is judged as by New, beside what is there; what can't be opened is not
// added, and leaves nothing behind.
func TestAddFaults(t *testing.T) {
	s, o, first, _ := pausable(t)
	o.Concurrency = 3
	r := start(t, s, o)
	for want, d := range map[string]replicator.Destination{
		`destination "first": Name is used twice`:                              {Name: "first", Driver: newEvents(), Routes: replicator.Routes("r")},
		`destination "x": Driver is shared with "first"`:                       {Name: "x", Driver: first, Routes: replicator.Routes("r")},
		`destination "x": Routes is empty`:                                     {Name: "x", Driver: newEvents()},
		`destination "x": InitialSync needs a source that can be scanned`:      {Name: "x", Driver: newEvents(), Routes: replicator.Routes("r"), InitialSync: true},
		"replicator: add: x: no such database":                                 {Name: "x", Driver: &refusing{newEvents(), true}, Routes: replicator.Routes("r")},
		`destination "memory": Backfill.ChunkSize is -1; it can't be negative`: {Driver: newEvents(), Routes: replicator.Routes("r"), Backfill: replicator.BackfillOptions{ChunkSize: -1}},
	} {
		if err := r.Add(t.Context(), d); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	well := replicator.Destination{Name: "x", Driver: newEvents(), Routes: replicator.Routes("r")}
	for range 3 { // each place is given back
		if err := r.Add(t.Context(), well); err != nil {
			t.Fatal(err)
		}
		if err := r.Add(t.Context(), replicator.Destination{Name: "y", Driver: newEvents(), Routes: replicator.Routes("r")}); err == nil || !strings.Contains(err.Error(), "Concurrency is 3") {
			t.Errorf("a fourth of three: %v", err)
		}
		if err := r.Remove(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
	}
	if st := r.Stats().Destinations; len(st) != 2 {
		t.Errorf("there are %v", st)
	}
	halt(t, r)
	if err := r.Start(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestAddBesideAnOpenWrite: a write that began before Add, when nobody wanted it, is in
// what InitialSync sends, however long it takes.
func TestAddBesideAnOpenWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o, _, _ := pausable(t)
		s.CustomSource = replicator.NewSource(replicator.SourceOptions{Get: s.get, Scan: s.scan})
		r := start(t, s, o)
		if err := s.put(t.Context(), "things", "1", replicator.Record{"v": "old"}); err != nil {
			t.Fatal(err)
		}
		entered, proceed := make(chan struct{}), make(chan struct{})
		go func() {
			change := replicator.Change{Op: replicator.Updated, Resource: "things", RecordID: "1", Data: replicator.Record{"v": "new"}}
			if err := s.Write(t.Context(), change, func(context.Context) error {
				close(entered)
				<-proceed
				return s.set(func() { s.items["things/1"] = change.Data })
			}); err != nil {
				t.Error(err)
			}
		}()
		<-entered
		d := memory.New(memory.Options{})
		progress, cancel := r.Subscribe(replicator.BackfillProgress)
		defer cancel()
		if err := r.Add(t.Context(), replicator.Destination{Name: "d", Driver: d, Routes: replicator.Routes("things"), InitialSync: true}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		close(proceed)
		for e := range progress {
			if e.Done {
				break
			}
		}
		if v := d.Records("things")["1"].String("v"); v != "new" {
			t.Errorf("the record arrived as %q", v)
		}
		halt(t, r)
	})
}

// TestAddWithInitialSync: beside writers, what is added in the end equals the source.
func TestAddWithInitialSync(t *testing.T) {
	db := stocked(t, 500)
	things := db.Resource("things")
	r := start(t, db, replicator.Options{Destinations: to(newEvents(), "others")})
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := w; ctx.Err() == nil; i += 4 {
				id := fmt.Sprintf("%05d", i*7919%600)
				var err error
				if i%3 == 0 {
					err = things.Delete(t.Context(), id)
				} else {
					_, err = things.Upsert(t.Context(), store.Record{"id": id, "n": i})
				}
				if err != nil && !errors.Is(err, store.ErrNotFound) {
					t.Error(err)
				}
			}
		})
	}
	d := memory.New(memory.Options{})
	if err := r.Add(t.Context(), replicator.Destination{
		Name: "d", Driver: d, Routes: replicator.Routes("*"), InitialSync: true, Backfill: replicator.BackfillOptions{ChunkSize: 20},
	}); err != nil {
		t.Fatal(err)
	}
	backfilled(t, r, "d")
	stop()
	writers.Wait()
	flush(t, r)
	if diff := cmp.Diff(readAllOf(t, db, "things"), d.Records("things")); diff != "" {
		t.Errorf("source (-) and destination (+) differ:\n%s", diff)
	}
}

// TestRemove: what waits is delivered first; then the destination is gone for good, and
// nobody waits for it, or captures for it, any more.
func TestRemove(t *testing.T) {
	s, o, first, second := pausable(t)
	r := start(t, s, o)
	write(t, s, 0, 20)
	if err := r.Remove(t.Context(), "first"); err != nil {
		t.Fatal(err)
	}
	if n := len(first.Events("r")); n != 20 {
		t.Errorf("%d deliveries before it was removed", n)
	}
	write(t, s, 20, 25)
	flush(t, r)
	if err := r.Remove(t.Context(), "second"); err != nil {
		t.Fatal(err)
	}
	last := r.Stats().Journal.Last
	write(t, s, 25, 30)
	if n := r.Stats().Journal.Last - last; n > 0 || len(first.Events("r")) != 20 || len(second.Events("r")) != 25 {
		t.Errorf("%d changes were captured for nobody; %d and %d deliveries", n, len(first.Events("r")), len(second.Events("r")))
	}
	halt(t, r)
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.Add(t.Context(), o.Destinations[0]); err != nil { // the same driver again
		t.Fatal(err)
	}
	write(t, s, 30, 31)
	flush(t, r)
	if n := len(first.Events("r")); n != 21 {
		t.Errorf("%d deliveries after it was added again", n)
	}
}

// TestRemoveGivesUp: what can't be delivered until the context ends is given up, and told;
// of a paused destination all.
func TestRemoveGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o, _, _ := pausable(t)
		o.Destinations[0].Driver = memory.New(memory.Options{Before: func(context.Context, []replicator.Delivery) error {
			return replicator.Unavailable(errors.New("it is down"))
		}})
		r := start(t, s, o)
		if err := r.Pause(t.Context(), "second"); err != nil {
			t.Fatal(err)
		}
		write(t, s, 0, 7)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := r.Remove(ctx, "first"); !errors.Is(err, context.DeadlineExceeded) || err.Error() != "replicator: remove first: 7 changes are given up: context deadline exceeded" {
			t.Errorf("Remove: %v", err)
		}
		if err := r.Remove(t.Context(), "second"); err == nil || err.Error() != "replicator: remove second: 7 changes are given up: it is paused" {
			t.Errorf("Remove of a paused one: %v", err)
		}
		if n := len(r.Stats().Destinations); n != 0 {
			t.Errorf("%d are there", n)
		}
		halt(t, r)
		if err := r.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := r.Add(t.Context(), o.Destinations[1]); err != nil {
			t.Fatal(err)
		}
		if st := r.Stats().Destinations["second"]; st.Paused != nil || st.Waiting != 0 {
			t.Errorf("added again: %+v", st)
		}
		halt(t, r)
	})
}

// TestRemoveLeavesACall: its driver, and its name, are not used again before the call has
// returned.
func TestRemoveLeavesACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, gate := newShelf(), make(chan struct{})
		d := memory.New(memory.Options{Events: true, Before: func(context.Context, []replicator.Delivery) error { <-gate; return nil }})
		o := replicator.Options{Destinations: to(d, "r")}
		r := start(t, s, o)
		write(t, s, 0, 1)
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := r.Remove(ctx, "memory"); err == nil || !strings.Contains(err.Error(), "calls that have not returned: 1") {
			t.Errorf("Remove: %v", err)
		}
		for _, again := range []replicator.Destination{o.Destinations[0], {Name: "other", Driver: d, Routes: replicator.Routes("r")}} {
			if err := r.Add(t.Context(), again); err == nil || !strings.Contains(err.Error(), "a call from before has not returned") {
				t.Errorf("Add beside the call: %v", err)
			}
		}
		close(gate)
		synctest.Wait()
		if err := r.Add(t.Context(), o.Destinations[0]); err != nil {
			t.Error(err)
		}
		halt(t, r)
	})
}

// TestStopEndsOperations: a Remove that drains a dead destination ends with Stop, and has
// given up nothing.
func TestStopEndsOperations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o, _, _ := pausable(t)
		var down atomic.Bool
		down.Store(true)
		d := memory.New(memory.Options{Events: true, Before: func(context.Context, []replicator.Delivery) error {
			if down.Load() {
				return replicator.Unavailable(errors.New("it is down"))
			}
			return nil
		}})
		o.Destinations[0].Driver = d
		r := start(t, s, o)
		write(t, s, 0, 3)
		removed := make(chan error, 1)
		go func() { removed <- r.Remove(t.Context(), "first") }()
		synctest.Wait()
		halt(t, r)
		if err := <-removed; err == nil || err.Error() != "replicator: remove first: replicator: not running" {
			t.Errorf("Remove: %v", err)
		}
		down.Store(false)
		if err := r.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		flush(t, r)
		if n := len(d.Events("r")); n != 3 {
			t.Errorf("%d deliveries", n)
		}
		halt(t, r)
	})
}
