// Package sourcetest holds the contract of sources as tests. Every source passes
// them:
//
//	func TestSource(t *testing.T) {
//		sourcetest.Run(t, func(t *testing.T) sourcetest.Harness { … })
//	}
//
// They run against a recorder that checks the protocol: that an announcement is
// complete, that a record has one at a time, that each is ended once and under the
// record's lock, and that what was announced is what is stored afterwards.
package sourcetest

import (
	"context"
	"testing"

	"github.com/s3db-go/replicator/cdc"
)

// Harness is a source with nothing in it, and the ways to move it. The records of
// the tests have the fields "name", a string, and "n", an int64.
//
// Functions that are nil are abilities that the source does not have; their tests
// don't run. Insert, Delete, FailNext and DoubtNext must be there.
type Harness struct {
	// Source is the source under test. It must be a [cdc.Reader] too.
	Source cdc.Source
	// Resource exists already. Create makes another one.
	Resource string
	Create   func(ctx context.Context, resource string) error

	// Redefine changes the schema of a resource: each call to another one.
	Redefine func(ctx context.Context, resource string) error

	// Insert writes a record that is not there yet. InsertMany writes several in one
	// announcement; ids[i] goes with recs[i].
	Insert     func(ctx context.Context, resource, id string, rec cdc.Record) error
	InsertMany func(ctx context.Context, resource string, ids []string, recs []cdc.Record) error
	// Update writes the given fields of a record that is there, or all of it.
	Update func(ctx context.Context, resource, id string, rec cdc.Record) error
	// Delete removes a record that is there.
	Delete func(ctx context.Context, resource, id string) error
	// Refuse tries a write that the source itself finds not valid.
	Refuse func(ctx context.Context, resource string) error

	// FailNext makes the next write to the store under the source fail, certainly
	// without effect.
	FailNext func()
	// DoubtNext makes the next write to the store under the source fail in a way that
	// does not tell whether it was applied, and says whether it is.
	DoubtNext func(applied bool)
}

// Run runs the tests, each on a harness of its own.
func Run(t *testing.T, harness func(t *testing.T) Harness) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, *world)
	}{
		{"Announces", announces},
		{"NotWanted", notWanted},
		{"BeginRefused", beginRefused},
		{"RefusedBySource", refusedBySource},
		{"CancelledBefore", cancelledBefore},
		{"CancelledAfterBegin", cancelledAfterBegin},
		{"Abort", abort},
		{"Doubt", doubt},
		{"Many", many},
		{"ManyOneFails", manyOneFails},
		{"ManyRefused", manyRefused},
		{"CreatedLater", createdLater},
		{"LockSpansBeginToEnd", lockSpansBeginToEnd},
		{"ConcurrentWriters", concurrentWriters},
		{"Release", release},
		{"ReleaseWaits", releaseWaits},
		{"CaptureAgain", captureAgain},
		{"Scan", scan},
		{"ScanBesideWriters", scanBesideWriters},
		{"Lists", lists},
		{"SchemaChange", schemaChange},
		{"Await", await},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := harness(t)
			reader, ok := h.Source.(cdc.Reader)
			if !ok {
				t.Fatal("the source is not a cdc.Reader")
			}
			w := &world{Harness: h, reader: reader, recorder: newRecorder(t, reader)}
			release, err := h.Source.Capture(w.recorder)
			if err != nil {
				t.Fatalf("Capture: %v", err)
			}
			w.release = release
			test.run(t, w)
			release()
			w.recorder.finished()
		})
	}
}

// world is a harness with a recorder hooked in.
type world struct {
	Harness
	reader   cdc.Reader
	recorder *recorder
	release  func()
}

// state gives a record's present state, nil if it is absent.
func (w *world) state(t *testing.T, resource, id string) cdc.Record {
	t.Helper()
	rec, ok, err := w.reader.Read(t.Context(), resource, id)
	if err != nil {
		t.Fatalf("Read %s/%s: %v", resource, id, err)
	}
	if !ok {
		return nil
	}
	return rec
}

// insert writes a record outside of what the test is about.
func (w *world) insert(t *testing.T, id string, n int64) {
	t.Helper()
	if err := w.Insert(t.Context(), w.Resource, id, record("first", n)); err != nil {
		t.Fatalf("insert %s: %v", id, err)
	}
}

func record(name string, n int64) cdc.Record { return cdc.Record{"name": name, "n": n} }
