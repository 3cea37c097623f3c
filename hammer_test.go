package replicator_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/cdc"
)

// noted is a shelf that notes which of its writes were captured: announced, and ended by a
// commit.
type noted struct {
	*shelf

	mu       sync.Mutex // guards captured
	captured map[string][]int64
}

func (n *noted) Capture(rec cdc.Recorder) (func(), error) { return n.shelf.Capture(notes{rec, n}) }

type notes struct {
	cdc.Recorder
	*noted
}

func (n notes) Begin(ctx context.Context, changes ...cdc.Change) ([]cdc.Pending, error) {
	pending, err := n.Recorder.Begin(ctx, changes...)
	for i := range pending {
		pending[i] = note{pending[i], n.noted, changes[i]}
	}
	return pending, err
}

type note struct {
	cdc.Pending
	*noted
	change cdc.Change
}

func (n note) Commit() {
	n.Pending.Commit()
	n.mu.Lock()
	defer n.mu.Unlock()
	id := n.change.RecordID
	n.captured[id] = append(n.captured[id], n.change.Data.Int("n"))
}

// TestHammer calls everything that starts, stops and changes destinations from more than
// ten goroutines at once, while writes go on. Nothing deadlocks or leaks; what was
// captured arrives at the destination that was paused and resumed all the while, and at
// the one that was rewound, each change at least once and in order.
func TestHammer(t *testing.T) {
	s := &noted{shelf: newShelf(), captured: map[string][]int64{}}
	kept, rewound, guest := newEvents(), newEvents(), newEvents()
	r, err := replicator.New(s, replicator.Options{Dir: t.TempDir(), Concurrency: 4, Retain: replicator.Retain{Age: time.Hour}, Destinations: []replicator.Destination{
		{Name: "kept", Driver: kept, Routes: replicator.Routes("r")},
		{Name: "rewound", Driver: rewound, Routes: replicator.Routes("r")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	stopped, beat := make(chan struct{}), make(chan struct{})
	var done [8]atomic.Int64 // how often each succeeded
	var wg sync.WaitGroup
	// What may be said while everything happens at once, of what was done all the same, and
	// of what was not.
	carried := []string{"changes are given up", "change is given up", "changes wait in the journal", "change waits in the journal"}
	passing := []string{`there is no destination "guest"`, "Name is used twice"}
	says := func(err error, texts []string) bool {
		return slices.ContainsFunc(texts, func(text string) bool { return err != nil && strings.Contains(err.Error(), text) })
	}
	again := func(what int, patience time.Duration, do func(context.Context) error) {
		wg.Go(func() {
			for {
				select {
				case <-stopped:
					return
				case <-beat: // all at the pace of the writes, so that none starves the others
				}
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				err := do(ctx)
				cancel()
				switch {
				case err == nil, says(err, carried):
					done[what].Add(1)
				case !errors.Is(err, cdc.ErrStopped) && !errors.Is(err, context.DeadlineExceeded) && !says(err, passing):
					t.Errorf("%d: %v", what, err)
				}
			}
		})
	}
	const short, long = 20 * time.Millisecond, time.Minute
	guestOf := replicator.Destination{Name: "guest", Driver: guest, Routes: replicator.Routes("r")}
	for range 2 {
		again(0, long, r.Start)
		again(1, short, func(ctx context.Context) error { return r.Remove(ctx, "guest") })
		again(2, long, func(ctx context.Context) error { return r.Add(ctx, guestOf) })
		again(3, short, func(ctx context.Context) error { return r.Pause(ctx, "kept") })
		again(4, long, func(ctx context.Context) error { return r.Resume(ctx, "kept") })
	}
	again(5, short, func(ctx context.Context) error { return r.Rewind(ctx, "rewound", time.Now().Add(-50*time.Millisecond)) })
	again(6, 50*time.Millisecond, func(ctx context.Context) error {
		<-ctx.Done() // leaves the others a moment
		return r.Stop(ctx)
	})
	again(7, short, func(ctx context.Context) error {
		r.Stats()
		r.Health()
		_, cancel := r.Subscribe(replicator.AllKinds)
		cancel()
		return r.Flush(ctx)
	})
	// Enough of everything, and of writes.
	for i := int64(0); ; i++ {
		if err := s.put(t.Context(), "r", fmt.Sprint(i%7), replicator.Record{"n": i}); err != nil && !errors.Is(err, cdc.ErrStopped) {
			t.Error(err)
		}
		enough := i > 1000
		for what := range done {
			select {
			case beat <- struct{}{}:
			default:
			}
			enough = enough && done[what].Load() >= 10
		}
		if enough || t.Failed() {
			break
		}
	}
	close(stopped)
	wg.Wait()
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer halt(t, r)
	if err := r.Resume(t.Context(), "kept"); err != nil {
		t.Fatal(err)
	}
	flush(t, r)
	if len(s.captured) != 7 {
		t.Errorf("of %d records something was captured", len(s.captured))
	}
	for name, events := range map[string][]replicator.Delivery{"kept": kept.Events("r"), "rewound": rewound.Events("r")} {
		arrived := map[string][]int64{} // each change when it arrived first
		seen := map[replicator.ID]bool{}
		for _, e := range events {
			if !seen[e.ChangeID] {
				seen[e.ChangeID] = true
				arrived[e.RecordID] = append(arrived[e.RecordID], e.Record.Int("n"))
			}
		}
		for id, want := range s.captured {
			if fmt.Sprint(arrived[id]) != fmt.Sprint(want) {
				t.Errorf("%s: of record %s arrived %v, captured were %v", name, id, arrived[id], want)
			}
		}
	}
}
