package replicator_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/memory"
	"github.com/s3db-go/replicator/store"
)

// stocked gives a store with n things in it.
func stocked(t *testing.T, n int) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), "memory://stocked")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	_, err = db.CreateResource(t.Context(), store.Definition{Name: "things", Attributes: store.Attributes{"n": "number|integer"}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if _, err := db.Resource("things").Insert(t.Context(), store.Record{"id": fmt.Sprintf("%05d", i), "n": i}); err != nil {
			t.Fatal(err)
		}
	}
	return db
}

// backfilled waits for a backfill.
func backfilled(t *testing.T, r *replicator.Replicator, destination string, resources ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := r.Backfill(ctx, destination, resources...); err != nil {
		t.Fatalf("%v\n%s", err, describe(r))
	}
}

// TestBackfillBesideWriters: a destination that is new gets what was there before,
// while eight writers insert, update and delete, and over five restarts in the middle of
// it. In the end it equals the source, and deleted records stay deleted.
func TestBackfillBesideWriters(t *testing.T) {
	const records = 2000
	db, d := stocked(t, records), memory.New(memory.Options{})
	things := db.Resource("things")
	var open sync.RWMutex // writers hold it for a write, since nothing is captured while stopped
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	work := func() {
		for w := range 8 {
			writers.Go(func() {
				random := rand.New(rand.NewPCG(2, uint64(w)))
				for i := 0; ctx.Err() == nil; i++ {
					open.RLock()
					id := fmt.Sprintf("%05d", random.IntN(records*5/4))
					var err error
					if random.IntN(3) == 0 {
						err = things.Delete(t.Context(), id)
					} else {
						_, err = things.Upsert(t.Context(), store.Record{"id": id, "n": w<<32 | i})
					}
					if err != nil && !errors.Is(err, store.ErrNotFound) {
						t.Error(err)
					}
					open.RUnlock()
				}
			})
		}
	}
	options := replicator.Options{Dir: t.TempDir(), Destinations: []replicator.Destination{{
		Driver: d, Routes: replicator.Routes("*"), InitialSync: true, Backfill: replicator.BackfillOptions{ChunkSize: 50},
	}}}
	var sent uint64
	for round := range 5 {
		r, err := replicator.New(db, options)
		if err != nil {
			t.Fatal(err)
		}
		progress, cancel := r.Subscribe(replicator.BackfillProgress)
		if err := r.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if round == 0 {
			work()
		} else {
			open.Unlock()
		}
		for range 3 {
			e := <-progress
			if e.Destination != "memory" || e.Resource != "things" || e.Done || e.Err != nil || e.Read <= sent || e.Sent > e.Read {
				t.Errorf("after %d: %+v", sent, e)
			}
			sent = e.Read
		}
		cancel()
		open.Lock()
		halt(t, r)
	}
	r := start(t, db, options)
	open.Unlock()
	backfilled(t, r, "memory")
	stop()
	writers.Wait()
	flush(t, r)
	want := map[string]replicator.Record{}
	for rec, err := range things.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		want[rec.String("id")] = rec
	}
	if diff := cmp.Diff(want, d.Records("things")); diff != "" {
		t.Errorf("source (-) and destination (+) differ:\n%s", diff)
	}
	if rows := failedRows(t, r); len(rows) > 0 {
		t.Errorf("%d deliveries failed, the first: %s", len(rows), rows[0].Error)
	}
	countsAddUp(t, r)
}

// refusing is a driver that can't be opened at first.
type refusing struct {
	*memory.Driver
	refuse bool
}

func (r *refusing) Open(context.Context) error {
	if r.refuse {
		return replicator.Permanent(errors.New("no such database"))
	}
	return nil
}

// TestInitialSync: a destination is backfilled when it is new and never again; one
// without the option begins with what is written from then on. A Start that fails leaves
// it new.
func TestInitialSync(t *testing.T) {
	db := stocked(t, 25)
	late, live := &refusing{newEvents(), true}, newEvents()
	options := replicator.Options{Dir: t.TempDir(), Destinations: []replicator.Destination{
		{Name: "live", Driver: live, Routes: replicator.Routes("things")},
		{Name: "late", Driver: late, Routes: replicator.Routes("things", "others"), InitialSync: true, Backfill: replicator.BackfillOptions{ChunkSize: 10}},
	}}
	r, err := replicator.New(db, options)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context()); err == nil {
		t.Fatal("a driver that refuses to open was started")
	}
	late.refuse = false
	for range 3 {
		r := start(t, db, options)
		arrives(t, late.Driver, 25)
		halt(t, r)
	}
	ids := map[replicator.ID]bool{}
	for _, e := range late.Events("things") {
		ids[e.ChangeID] = true
		if e.Op != replicator.Inserted || e.Origin != replicator.OriginSnapshot {
			t.Errorf("arrived: %v, %v", e.Change, e.Origin)
		}
	}
	if n := len(late.Events("things")); n != 25 || len(ids) != 25 {
		t.Errorf("%d deliveries with %d ids, want 25", n, len(ids))
	}
	if n := len(live.Events("things")); n != 0 {
		t.Errorf("the other destination got %d deliveries", n)
	}
}

// TestBackfillRouting: a present record is an insert. It goes through Actions, filters
// and Transform like any other.
func TestBackfillRouting(t *testing.T) {
	db, d := stocked(t, 6), newEvents()
	even := func(c replicator.Change) bool { return c.Data.Int("n")%2 == 0 }
	r := start(t, db, replicator.Options{Dir: t.TempDir(), Destinations: []replicator.Destination{{
		Name: "d", Driver: d,
		Backfill: replicator.BackfillOptions{Filter: func(c replicator.Change) bool {
			return c.Op == replicator.Inserted && c.Origin == replicator.OriginSnapshot && c.RecordID != "00000"
		}},
		Routes: []replicator.Route{
			{From: "things", To: "all"},
			{From: "things", To: "upserts", Actions: replicator.Inserted | replicator.Updated},
			{From: "things", To: "updates", Actions: replicator.Updated},
			{From: "things", To: "deletes", Actions: replicator.Deleted},
			{From: "things", To: "even", ShouldReplicate: even},
			{From: "things", To: "shaped", Transform: func(c replicator.Change) (replicator.Record, error) {
				return replicator.Record{"id": c.RecordID, "double": 2 * c.Data.Int("n")}, nil
			}},
		},
	}}})
	backfilled(t, r, "d", "things")
	got := map[string]int{}
	for _, target := range []string{"all", "upserts", "updates", "deletes", "even", "shaped"} {
		got[target] = len(d.Events(target))
	}
	if want := map[string]int{"all": 5, "upserts": 5, "updates": 0, "deletes": 0, "even": 2, "shaped": 5}; !maps.Equal(got, want) {
		t.Errorf("arrived: %v, want %v", got, want)
	}
	for _, e := range d.Events("shaped") {
		if e.Record.Int("double") == 0 {
			t.Errorf("not transformed: %v", e.Record)
		}
	}
	// Once more is another backfill, with other ids.
	backfilled(t, r, "d")
	events := d.Events("all")
	if len(events) != 10 || events[0].ChangeID == events[5].ChangeID {
		t.Errorf("after a second backfill there are %d deliveries", len(events))
	}
}

// TestBackfillOfAnUnreachableDestination: the caller's patience ends before the
// destination is back. The error says how far it is; the next Start goes on, and repeats
// nothing.
func TestBackfillOfAnUnreachableDestination(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := stocked(t, 100)
		var mu sync.Mutex
		down := true
		d := memory.New(memory.Options{Events: true, Before: func(context.Context, []replicator.Delivery) error {
			mu.Lock()
			defer mu.Unlock()
			if down {
				return replicator.Unavailable(errors.New("away"))
			}
			return nil
		}})
		options := replicator.Options{Dir: t.TempDir(), Destinations: []replicator.Destination{{
			Name: "d", Driver: d, Routes: replicator.Routes("things"), Backfill: replicator.BackfillOptions{ChunkSize: 10},
		}}}
		r := start(t, db, options)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := r.Backfill(ctx, "d", "things")
		if !errors.Is(err, context.DeadlineExceeded) || err.Error() != "replicator: backfill: d: things: 30 records read, 30 sent: context deadline exceeded" {
			t.Errorf("gave %v", err)
		}
		stopped := make(chan error, 1)
		go func() { stopped <- r.Backfill(t.Context(), "d", "things") }()
		synctest.Wait()
		halt(t, r)
		if err := <-stopped; err == nil || !strings.HasPrefix(err.Error(), "replicator: backfill: d: things: 30 records read, 30 sent: ") {
			t.Errorf("at Stop it gave %v", err)
		}
		mu.Lock()
		down = false
		mu.Unlock()
		r = start(t, db, options)
		done, unsubscribe := r.Subscribe(replicator.BackfillProgress)
		defer unsubscribe()
		for e := range done {
			if e.Done {
				if text, err := json.Marshal(e); err != nil || !strings.Contains(string(text), `"kind":"backfill-progress"`) || !strings.Contains(string(text), `"read":100,"sent":100,"done":true`) {
					t.Errorf("the event is %s, %v", text, err)
				}
				break
			}
		}
		ids := map[string]bool{}
		for _, e := range d.Events("things") {
			ids[e.RecordID] = true
		}
		if n := len(d.Events("things")); n != 100 || len(ids) != 100 {
			t.Errorf("%d deliveries of %d records, want 100", n, len(ids))
		}
		halt(t, r)
	})
}

// hooked is a source that shows what runs beside its Capture.
type hooked struct {
	*store.DB
	t        *testing.T
	captured bool
}

func (h *hooked) Capture(rec cdc.Recorder) (func(), error) {
	synctest.Wait() // all that was started has come as far as it can
	h.captured = true
	return h.DB.Capture(rec)
}

func (h *hooked) Scan(ctx context.Context, resource, after string, limit int) ([]replicator.Row, error) {
	if !h.captured {
		h.t.Error("read before the source was captured: a write of now is seen by nobody")
	}
	return h.DB.Scan(ctx, resource, after, limit)
}

// TestBackfillAfterCapture: nothing is read before every write is seen.
func TestBackfillAfterCapture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newEvents()
		r := start(t, &hooked{DB: stocked(t, 5), t: t}, replicator.Options{Dir: t.TempDir(), Destinations: []replicator.Destination{{
			Name: "d", Driver: d, Routes: replicator.Routes("things"), InitialSync: true,
		}}})
		backfilled(t, r, "d")
		if n := len(d.Events("things")); n != 5 {
			t.Errorf("%d deliveries, want 5", n)
		}
		halt(t, r)
	})
}

// TestBackfillRetired: a destination that is given up takes its backfill along. Under
// the same name it is new again.
func TestBackfillRetired(t *testing.T) {
	db := stocked(t, 30)
	stuck := memory.New(memory.Options{Before: func(context.Context, []replicator.Delivery) error {
		return replicator.Unavailable(errors.New("away"))
	}})
	dir, kept := t.TempDir(), newEvents()
	begin := func(d replicator.Driver, retired ...string) *replicator.Replicator {
		o := replicator.Options{Dir: dir, Retired: retired, Destinations: to(kept, "things")}
		if d != nil {
			o.Destinations = append(o.Destinations, replicator.Destination{
				Name: "d", Driver: d, Routes: replicator.Routes("things"), InitialSync: true, Backfill: replicator.BackfillOptions{ChunkSize: 5},
			})
		}
		return start(t, db, o)
	}
	r := begin(stuck)
	progress, cancel := r.Subscribe(replicator.BackfillProgress)
	<-progress
	cancel()
	halt(t, r)
	halt(t, begin(nil, "d"))
	fresh := newEvents()
	begin(fresh)
	arrives(t, fresh, 30)
}

// TestBackfillOfALostJournal: how far a backfill got counts for nothing without the
// journal that holds what it sent.
func TestBackfillOfALostJournal(t *testing.T) {
	db, dir := stocked(t, 30), t.TempDir()
	begin := func(d replicator.Driver) *replicator.Replicator {
		return start(t, db, replicator.Options{Dir: dir, Destinations: []replicator.Destination{{
			Name: "d", Driver: d, Routes: replicator.Routes("things"), InitialSync: true, Backfill: replicator.BackfillOptions{ChunkSize: 5},
		}}})
	}
	r := begin(memory.New(memory.Options{Before: func(context.Context, []replicator.Delivery) error {
		return replicator.Unavailable(errors.New("away"))
	}}))
	progress, cancel := r.Subscribe(replicator.BackfillProgress)
	<-progress
	cancel()
	halt(t, r)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "backfills" {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				t.Fatal(err)
			}
		}
	}
	d := newEvents()
	begin(d)
	arrives(t, d, 30)
}

// arrives waits until so many different things have arrived.
func arrives(t *testing.T, d *memory.Driver, want int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; runtime.Gosched() {
		ids := map[string]bool{}
		for _, e := range d.Events("things") {
			ids[e.RecordID] = true
		}
		if len(ids) == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d records arrived, want %d", len(ids), want)
		}
	}
}

// TestBackfillFaults: what can't be backfilled is said, with the names.
func TestBackfillFaults(t *testing.T) {
	s := newShelf()
	o := replicator.Options{Dir: t.TempDir(), Destinations: []replicator.Destination{{
		Name: "d", Driver: newEvents(), Routes: []replicator.Route{{From: "things"}, {From: "gone", Actions: replicator.Deleted}},
	}}}
	r, err := replicator.New(s, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Backfill(t.Context(), "d"); err == nil || err.Error() != "replicator: not running" {
		t.Errorf("before Start: %v", err)
	}
	r = start(t, s, o)
	if err := r.Backfill(t.Context(), "d"); err == nil || err.Error() != "replicator: backfill: d: the source can't be scanned" {
		t.Errorf("without Scan: %v", err)
	}
	halt(t, r)
	r = start(t, stocked(t, 1), o)
	for want, ask := range map[string][]string{
		`replicator: backfill: there is no destination "x"`: {"x", "things"},
		"d: gone: no route carries its inserts":             {"d", "gone", "things"},
		"d: others: no route carries its inserts":           {"d", "others"},
	} {
		if err := r.Backfill(t.Context(), ask[0], ask[1:]...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	halt(t, r)

	o.Destinations[0].InitialSync = true
	o.Destinations[0].Backfill = replicator.BackfillOptions{ChunkSize: -1, Rate: -1}
	_, err = replicator.New(s, o)
	for _, want := range []string{
		`destination "d": InitialSync needs a source that can be scanned`,
		`destination "d": Backfill.ChunkSize is -1; it can't be negative`,
		`destination "d": Backfill.Rate is -1; it can't be negative`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
	o.Destinations[0] = replicator.Destination{Driver: newEvents(), Routes: replicator.Routes("*"), InitialSync: true}
	s.CustomSource = replicator.NewSource(replicator.SourceOptions{Get: s.get, Scan: s.scan})
	if _, err := replicator.New(s, o); err == nil || !strings.Contains(err.Error(), `InitialSync of "*" needs a source that lists its resources`) {
		t.Errorf("got %v", err)
	}
}

// TestBackfillOfACustomSource: what is behind NewSource may be scanned, too.
func TestBackfillOfACustomSource(t *testing.T) {
	s, d := newShelf(), newEvents()
	s.CustomSource = replicator.NewSource(replicator.SourceOptions{
		Get: s.get, Scan: s.scan, Resources: func() []string { return []string{"s", "r", "plg_own"} },
	})
	for _, key := range []string{"r/1", "r/2", "s/1", "plg_own/1"} {
		s.items[key] = replicator.Record{"v": 1} // an int, which is normalized
	}
	r := start(t, s, replicator.Options{Destinations: []replicator.Destination{{
		Name: "d", Driver: d, Routes: replicator.Routes("*"), Backfill: replicator.BackfillOptions{ChunkSize: 1},
	}}})
	backfilled(t, r, "d")
	if len(d.Events("r")) != 2 || len(d.Events("s")) != 1 || len(d.Events("plg_own")) != 0 || d.Events("r")[0].Record["v"] != int64(1) {
		t.Errorf("arrived: %v, %v, %v", d.Events("r"), d.Events("s"), d.Events("plg_own"))
	}
}

// scan implements SourceOptions.Scan.
func (s *shelf) scan(_ context.Context, resource, after string, limit int) ([]replicator.Row, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var rows []replicator.Row
	for _, key := range slices.Sorted(maps.Keys(s.items)) {
		if id, mine := strings.CutPrefix(key, resource+"/"); mine && id > after && len(rows) < limit {
			rows = append(rows, replicator.Row{RecordID: id, Data: s.items[key].Clone()})
		}
	}
	return rows, nil
}
