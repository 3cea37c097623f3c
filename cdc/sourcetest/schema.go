package sourcetest

import (
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/s3db-go/replicator/cdc"
)

// schemaChange holds that a new schema is told when Describe gives it, and that no write
// which follows it is announced without that.
func schemaChange(t *testing.T, w *world) {
	d, ok := w.Source.(cdc.Describer)
	if !ok || w.Redefine == nil {
		return
	}
	version := func() int {
		schema, _, err := d.Describe(t.Context(), w.Resource)
		if err != nil {
			t.Fatal(err)
		}
		return schema.Version
	}
	first := version()
	w.insert(t, "before", 1)
	for range 2 {
		if err := w.Redefine(t.Context(), w.Resource); err != nil {
			t.Fatal(err)
		}
	}
	last := version()
	if last <= first {
		t.Fatalf("Redefine led from version %d to %d", first, last)
	}
	w.insert(t, "after", 2)
	told := w.recorder.told()
	if !slices.Contains(told, schemaNote{w.Resource, last, last}) {
		t.Errorf("told %+v, want version %d of %s", told, last, w.Resource)
	}
	for _, note := range told {
		if note.Resource == w.Resource && note.described < note.Version {
			t.Errorf("told version %d while Describe gave %d", note.Version, note.described)
		}
	}
	changes, _ := w.recorder.announced()
	if v := changes[len(changes)-1].change.SchemaVersion; v != last {
		t.Errorf("a write follows version %d after %d was defined", v, last)
	}
}

// await holds that Await waits for a write that is under way, also for one that is not
// wanted.
func await(t *testing.T, w *world) {
	a, ok := w.Source.(cdc.Awaiter)
	if !ok {
		return
	}
	if err := a.Await(t.Context()); err != nil {
		t.Fatalf("without a write: %v", err)
	}
	entered, proceed := make(chan struct{}), make(chan struct{})
	first := sync.OnceFunc(func() { close(entered); <-proceed })
	w.recorder.set(func(r *recorder) {
		r.wants = func(string, cdc.Op) bool { first(); return false }
	})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := w.Insert(t.Context(), w.Resource, "slow", record("slow", 1)); err != nil {
			t.Error(err)
		}
	})
	<-entered
	waited := make(chan struct{})
	wg.Go(func() {
		defer close(waited)
		if err := a.Await(t.Context()); err != nil {
			t.Error(err)
		}
		if w.state(t, w.Resource, "slow") == nil {
			t.Error("Await returned before the write was applied")
		}
	})
	for range 100 { // long enough for an Await that does not wait
		runtime.Gosched()
	}
	select {
	case <-waited:
		t.Error("Await returned while a write was under way")
	default:
	}
	close(proceed)
	wg.Wait()
}
