package replicator_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/memory"
	"github.com/s3db-go/replicator/drivers/s3db"
	"github.com/s3db-go/replicator/drivers/webhook"
)

// TestOptionsFaults: New tells every fault at once, each with its destination and
// field.
func TestOptionsFaults(t *testing.T) {
	shared := memory.New(memory.Options{})
	keep := func(c replicator.Change) (replicator.Record, error) { return c.Data, nil }
	for name, tt := range map[string]struct {
		o    replicator.Options
		want []string // each on a line of its own
	}{
		"nothing": {replicator.Options{}, []string{"Dir is empty", "Destinations is empty"}},
		"numbers": {
			replicator.Options{Dir: "d", MaxRetries: -2, Timeout: -time.Second, Destinations: to(shared, "r")},
			[]string{"MaxRetries is -2", "Timeout is -1s"},
		},
		"destinations": {
			replicator.Options{Dir: "d", Destinations: []replicator.Destination{
				{},
				{Name: "a", Driver: shared},
				{Name: "a", Driver: shared, Routes: replicator.Routes("r")},
				{Name: "b", Driver: (*memory.Driver)(nil), Routes: replicator.Routes("r")},
			}},
			[]string{
				"Destinations[0]: Driver is nil", "Destinations[0]: Routes is empty",
				`destination "a": Routes is empty`,
				`destination "a": Name is used twice, by Destinations[1] and Destinations[2]`, `destination "a": Driver is shared with "a"`,
				`destination "b": Driver is nil`,
			},
		},
		"routes": {
			replicator.Options{Dir: "d", Destinations: []replicator.Destination{{Name: "a", Driver: shared, Routes: []replicator.Route{
				{},
				{From: "r", Actions: 64},
				{From: "s", Key: []string{"", "x", "x"}},
				{From: "t", Schema: &replicator.Schema{}},
				{From: "u", Transform: keep}, {From: "u", To: "u"},
			}}}},
			[]string{
				`destination "a": Routes[0].From is empty`, `Routes[1].Actions has an unknown operation`, "Routes[2].Key[0] is empty",
				`Routes[2].Key names "x" twice`, "Routes[3].Schema is the shape", `Routes[4] and Routes[5] both carry "u" to "u"`,
			},
		},
		"retired": {
			replicator.Options{Dir: "d", Destinations: to(shared, "r"), Retired: []string{"memory"}},
			[]string{`destination "memory": is configured and in Retired`},
		},
		"drivers": {
			replicator.Options{Dir: "d", Destinations: []replicator.Destination{
				{Name: "backup", Driver: s3db.New(s3db.Options{}), Routes: replicator.Routes("r")},
				{Name: "crm", Driver: webhook.New(webhook.Options{}), Routes: replicator.Routes("r")},
			}},
			[]string{`destination "backup": Driver: s3db: ConnectionString`, `destination "crm": Driver: webhook: URL`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := replicator.New(newShelf(), tt.o)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("nothing says %q", want)
				}
			}
			if lines := strings.Split(err.Error(), "\n"); len(lines) < len(tt.want) {
				t.Errorf("%d lines for %d faults", len(lines), len(tt.want))
			}
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if !strings.HasPrefix(line, "replicator: ") {
					t.Errorf("the line %q does not say whose fault it is", line)
				}
			}
			if t.Failed() {
				t.Log(err)
			}
		})
	}
}

func TestSourceFaults(t *testing.T) {
	o := replicator.Options{Dir: "d", Destinations: to(memory.New(memory.Options{}), "r")}
	if _, err := replicator.New(nil, o); err == nil || !strings.Contains(err.Error(), "source is nil") {
		t.Errorf("no source: %v", err)
	}
	_, err := replicator.New(replicator.NewSource(replicator.SourceOptions{SecondLook: -1}), o)
	if err == nil || !strings.Contains(err.Error(), "Get is nil") || !strings.Contains(err.Error(), "SecondLook") {
		t.Errorf("no Get: %v", err)
	}
}

// TestOrphanedCursor: a destination that is taken out of the options is not forgotten
// in silence.
func TestOrphanedCursor(t *testing.T) {
	s, dir := newShelf(), t.TempDir()
	old := memory.New(memory.Options{Before: func(context.Context, []replicator.Delivery) error {
		return replicator.Unavailable(context.DeadlineExceeded)
	}})
	r := start(t, s, replicator.Options{Dir: dir, Destinations: []replicator.Destination{{Name: "old", Driver: old, Routes: replicator.Routes("r")}}})
	for _, id := range []string{"1", "2", "3"} {
		if err := s.put(t.Context(), "r", id, replicator.Record{"v": 1}); err != nil {
			t.Fatal(err)
		}
	}
	halt(t, r)

	o := replicator.Options{Dir: dir, Destinations: to(memory.New(memory.Options{}), "r")}
	r, err := replicator.New(s, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context()); err == nil || !strings.Contains(err.Error(), `"old", for which 3 changes wait`) {
		t.Errorf("Start: %v", err)
	}
	o.Retired = []string{"old"}
	start(t, s, o)
}

// TestOneProcessPerDirectory: the second gets an error that names the directory.
func TestOneProcessPerDirectory(t *testing.T) {
	dir := t.TempDir()
	o := replicator.Options{Dir: dir, Destinations: to(memory.New(memory.Options{}), "r")}
	start(t, newShelf(), o)
	second, err := replicator.New(newShelf(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Start(t.Context()); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("Start: %v", err)
	}
}

// TestLifecycle hammers everything that starts, stops and asks, from many goroutines,
// while writes go on. Nothing deadlocks or leaks, and afterwards nothing is missing.
func TestLifecycle(t *testing.T) {
	s, d := newShelf(), memory.New(memory.Options{})
	r, err := replicator.New(s, replicator.Options{Dir: t.TempDir(), Destinations: to(d, "r")})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if err := r.Stop(ctx); err != nil {
		t.Errorf("Stop before Start: %v", err)
	}
	if err := r.Flush(ctx); err == nil {
		t.Error("Flush before Start is no error")
	}
	if err := r.Start(ctx); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan struct{})
	var wg sync.WaitGroup
	again := func(f func()) {
		wg.Go(func() {
			for {
				select {
				case <-stopped:
					return
				default:
					f()
				}
			}
		})
	}
	for range 2 {
		again(func() {
			short, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
			defer cancel()
			_ = r.Stop(short)
		})
		again(func() {
			if err := r.Start(ctx); err != nil {
				t.Errorf("Start: %v", err)
			}
		})
		again(func() {
			short, cancel := context.WithTimeout(ctx, time.Millisecond)
			defer cancel()
			_ = r.Flush(short)
		})
		again(func() { r.Stats(); r.Health() })
		again(func() {
			_, cancel := r.Subscribe(replicator.AllKinds)
			cancel()
		})
		again(func() {
			for range r.Log(ctx, replicator.Query{}) {
				break
			}
		})
	}
	// Writes that find no replicator running are not captured, by design; those that
	// the journal took are.
	captured := map[string]int64{}
	for n := int64(1); n <= 40; n++ {
		id := string(rune('a' + n%26))
		if err := r.Start(ctx); err != nil {
			t.Fatal(err)
		}
		before := r.Stats().Journal.Last
		if err := s.put(ctx, "r", id, replicator.Record{"n": n}); err != nil {
			t.Fatal(err)
		}
		if r.Stats().Journal.Last > before {
			captured[id] = n
		}
	}
	close(stopped)
	wg.Wait()
	if err := r.Start(ctx); err != nil {
		t.Fatal(err)
	}
	// Each record once more, so that what was written while stopped is there too.
	for id := range captured {
		if err := s.put(ctx, "r", id, replicator.Record{"n": int64(1000)}); err != nil {
			t.Fatal(err)
		}
	}
	flush(t, r)
	if len(captured) == 0 {
		t.Error("no write was captured, nothing was tested")
	}
	for id := range captured {
		if n := d.Records("r")[id].Int("n"); n != 1000 {
			t.Errorf("record %s arrived with n %d", id, n)
		}
	}
	if err := r.Stop(ctx); err != nil {
		t.Errorf("Stop: %v", err)
	}
	if err := r.Stop(ctx); err != nil {
		t.Errorf("a second Stop: %v", err)
	}
}
