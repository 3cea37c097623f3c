package replicator_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/cdc/sourcetest"
)

// TestSourceContract: a store of a few lines, made a source by NewSource, keeps the
// contract of sources.
func TestSourceContract(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T) sourcetest.Harness {
		s := newShelf()
		return sourcetest.Harness{
			Source:   s,
			Resource: "things",
			Create:   func(context.Context, string) error { return nil },
			Insert:   s.put,
			Update:   s.put,
			Delete:   s.remove,
			Refuse: func(ctx context.Context, resource string) error {
				return s.put(ctx, resource, "x", replicator.Record{"f": func() {}})
			},
			FailNext:  func() { s.fail(replicator.NotApplied(errors.New("disk full")), false) },
			DoubtNext: func(applied bool) { s.fail(errors.New("timeout"), applied) },
		}
	})
}

// TestWritePanics: a write that panics leaves its record in doubt, not the program.
func TestWritePanics(t *testing.T) {
	s := newShelf()
	d := newEvents()
	r := start(t, s, replicator.Options{Destinations: to(d, "r")})
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_ = s.Write(t.Context(), replicator.Change{Op: replicator.Inserted, Resource: "r", RecordID: "1", Data: replicator.Record{"v": 1}},
			func(context.Context) error { panic("half way") })
	}()
	if err := s.put(t.Context(), "r", "1", replicator.Record{"v": 2}); err != nil {
		t.Fatal(err)
	}
	flush(t, r)
	if got := d.Events("r"); len(got) != 1 || got[0].Record.Int("v") != 2 {
		t.Errorf("arrived: %v, want only the write that was applied", got)
	}
}

// TestLateWrite: a remote store applies a write two seconds after its client gave up.
// The next write of the record waits until that is known, and is made of what is there
// then.
func TestLateWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := newShelf(), newEvents()
		s.CustomSource = replicator.NewSource(replicator.SourceOptions{Get: s.get, SecondLook: 5 * time.Second})
		r := start(t, s, replicator.Options{Destinations: to(d, "r")})
		late := make(chan struct{})
		err := s.Write(t.Context(), replicator.Change{Op: replicator.Inserted, Resource: "r", RecordID: "1", Data: replicator.Record{"v": 1}},
			func(context.Context) error {
				go func() {
					defer close(late)
					time.Sleep(2 * time.Second) // virtual
					_ = s.set(func() { s.items["r/1"] = replicator.Record{"v": int64(1)} })
				}()
				return context.DeadlineExceeded
			})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if n := r.Stats().InDoubt; n != 1 {
			t.Errorf("%d records in doubt, want 1", n)
		}
		if err := s.put(t.Context(), "r", "1", replicator.Record{"v": 2}); err != nil {
			t.Fatal(err)
		}
		<-late
		flush(t, r)
		got := d.Events("r")
		if len(got) != 2 || got[0].Op != replicator.Inserted || got[0].Record.Int("v") != 1 ||
			got[1].Op != replicator.Updated || got[1].Before.Int("v") != 1 || got[1].Record.Int("v") != 2 {
			t.Errorf("arrived: %v", got)
		}
		halt(t, r)
	})
}
