package replicator_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/memory"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		switch flag.Parse(); {
		case os.Getenv(childEnv+"_BACKFILL") != "":
			backfillChild(dir)
		case os.Getenv(childEnv+"_LOGCOPY") != "":
			logCopyChild(dir, os.Getenv(childEnv+"_LOGCOPY"))
		default:
			child(dir)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// shelf is a store of a few lines: the least that a program has, made a source with
// NewSource.
type shelf struct {
	*replicator.CustomSource

	mu    sync.Mutex // guards what follows
	items map[string]replicator.Record
	next  error // what the next write gives
	apply bool  // whether it is applied all the same
}

func newShelf() *shelf {
	s := &shelf{items: map[string]replicator.Record{}}
	s.CustomSource = replicator.NewSource(replicator.SourceOptions{Get: s.get})
	return s
}

func (s *shelf) get(_ context.Context, resource, id string) (replicator.Record, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.items[resource+"/"+id]
	return r.Clone(), ok, nil
}

// put inserts or updates a record, and remove deletes it; both give what Write gave.
func (s *shelf) put(ctx context.Context, resource, id string, r replicator.Record) error {
	change := replicator.Change{Op: replicator.Inserted | replicator.Updated, Resource: resource, RecordID: id, Data: r}
	return s.Write(ctx, change, func(context.Context) error {
		return s.set(func() { s.items[resource+"/"+id] = r })
	})
}

func (s *shelf) remove(ctx context.Context, resource, id string) error {
	change := replicator.Change{Op: replicator.Deleted, Resource: resource, RecordID: id}
	return s.Write(ctx, change, func(context.Context) error {
		return s.set(func() { delete(s.items, resource+"/"+id) })
	})
}

// set changes the items, unless this write is to fail.
func (s *shelf) set(change func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.next
	if err == nil || s.apply {
		change()
	}
	s.next = nil
	return err
}

// fail makes the next write give an error, applied or not.
func (s *shelf) fail(err error, applied bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next, s.apply = err, applied
}

// start makes and starts a replicator, and stops it with the test.
func start(t *testing.T, source replicator.Source, o replicator.Options) *replicator.Replicator {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	r, err := replicator.New(source, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { halt(t, r) })
	return r
}

// halt stops a replicator without draining it.
func halt(t *testing.T, r *replicator.Replicator) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = r.Stop(ctx) // what it says of the changes that wait is no fault here
}

func flush(t *testing.T, r *replicator.Replicator) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := r.Flush(ctx); err != nil {
		t.Fatalf("%v\n%s", err, describe(r))
	}
}

// describe prints what somebody would want to know of a test that hangs.
func describe(r *replicator.Replicator) string {
	return fmt.Sprintf("stats: %+v\nhealth: %+v", r.Stats(), r.Health())
}

// failedRows reads the failed deliveries from the log.
func failedRows(t *testing.T, r *replicator.Replicator) []replicator.LogRow {
	t.Helper()
	var rows []replicator.LogRow
	for row, err := range r.Log(t.Context(), replicator.Query{Status: replicator.StatusFailed}) {
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	return rows
}

// countsAddUp checks what must hold of the counters at every moment without work.
func countsAddUp(t *testing.T, r *replicator.Replicator) {
	t.Helper()
	for name, s := range r.Stats().Destinations {
		if s.Wanted != s.Replicated+s.Coalesced+s.Skipped+s.Failed {
			t.Errorf("%s: wanted %d is not replicated %d + coalesced %d + skipped %d + failed %d",
				name, s.Wanted, s.Replicated, s.Coalesced, s.Skipped, s.Failed)
		}
	}
}

// newEvents gives an event destination that accepts everything.
func newEvents() *memory.Driver { return memory.New(memory.Options{Events: true}) }

// to gives one destination with plain routes.
func to(d replicator.Driver, resources ...string) []replicator.Destination {
	return []replicator.Destination{{Driver: d, Routes: replicator.Routes(resources...)}}
}
