package capture_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/capture"
	"github.com/s3db-go/replicator/internal/disk/faultfs"
	"github.com/s3db-go/replicator/internal/journal"
)

// versioned is a model store with versions of schemas, which outlive a crash.
type versioned struct {
	*model
	mu       sync.Mutex // guards versions
	versions map[string]int
}

func newVersioned() *versioned { return &versioned{model: newModel(0), versions: map[string]int{}} }

func (d *versioned) Describe(_ context.Context, resource string) (cdc.Schema, bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return schemaOf(resource, d.versions[resource]), d.versions[resource] > 0, nil
}

func schemaOf(resource string, version int) cdc.Schema {
	return cdc.Schema{Resource: resource, Version: version, Fields: []cdc.Field{{Name: fmt.Sprint("f", version)}}}
}

func (d *versioned) define(resource string, version int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.versions[resource] = version
}

// life opens a journal and a recorder, for which a route wants only r.
func (d *versioned) life(t *testing.T, fsys *faultfs.FS) *process {
	t.Helper()
	j, err := journal.Open(fsys, journal.Options{Now: time.Now, SegmentBytes: 4 << 10, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		if !fsys.Crashed() {
			t.Fatal(err)
		}
		return nil
	}
	p := &process{fsys, j, capture.New(capture.Options{
		Journal: j, Source: d, FS: fsys, Resources: func() []string { return []string{"r", "unwanted"} },
		Wants: func(resource string, _ cdc.Op) bool { return resource == "r" }, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
	})}
	if err := p.recorder.Recover(t.Context()); err != nil && !fsys.Crashed() {
		t.Fatal(err)
	}
	return p
}

// insert announces and commits a change that follows a version.
func (p *process) insert(t *testing.T, resource, id string, version int) {
	t.Helper()
	pending, err := p.recorder.Begin(t.Context(), cdc.Change{
		Op: cdc.Inserted, Resource: resource, RecordID: id, Data: cdc.Record{"v": int64(1)}, SchemaVersion: version,
	})
	if err != nil {
		if !p.fsys.Crashed() {
			t.Fatal(err)
		}
		return
	}
	pending[0].Commit()
}

// noted gives the schemas that stand in the journal's notes; of those that have none, the
// version alone.
func (p *process) noted(t *testing.T) (all []cdc.Schema) {
	t.Helper()
	reader, err := p.journal.Read(0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	for {
		entries, err := reader.Next(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) == 0 {
			return all
		}
		for _, e := range entries {
			switch {
			case e.Schema != nil:
				all = append(all, *e.Schema)
			case e.Kind == journal.Schema:
				all = append(all, cdc.Schema{Version: e.Change.SchemaVersion})
			}
		}
	}
}

// TestANoteHasTheSchema: the schema stands in the journal as it was when it was noted. Of
// a version that the source does not give yet only the number does; if it gives a later
// one, that is noted.
func TestANoteHasTheSchema(t *testing.T) {
	d, fsys := newVersioned(), faultfs.New()
	d.define("r", 1)
	p := d.life(t, fsys)
	d.define("r", 2)
	p.recorder.SchemaChanged(t.Context(), "r", 2)
	p.insert(t, "r", "a", 3) // the source says nothing
	d.define("r", 5)
	p.insert(t, "r", "b", 4)
	p.insert(t, "r", "c", 5)
	p.stop(t)
	d.define("r", 6)
	p = d.life(t, fsys)
	want := []cdc.Schema{schemaOf("r", 1), schemaOf("r", 2), {Version: 3}, schemaOf("r", 5), schemaOf("r", 6)}
	if diff := cmp.Diff(want, p.noted(t)); diff != "" {
		t.Error(diff)
	}
	p.stop(t)
}

// story gives what the journal holds in order: "r2" is a note of version 2, a change is
// its record's id.
func (p *process) story(t *testing.T) (out []string) {
	t.Helper()
	reader, err := p.journal.Read(0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	for seq := uint64(0); seq < p.journal.Last(); {
		<-reader.More()
		entries, err := reader.Next(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if seq = e.Change.Seq; e.Kind == journal.Schema {
				out = append(out, e.Change.Resource+string(rune('0'+e.Change.SchemaVersion)))
			} else {
				out = append(out, e.Change.RecordID)
			}
		}
	}
	return out
}

// TestSchemaIsNotedInOrder: a version that is told, or comes with a change, or came while
// nobody captured, stands in the journal once, before the first change that follows it,
// that which a first start finds among them. What nobody wants gets no note.
func TestSchemaIsNotedInOrder(t *testing.T) {
	d, fsys := newVersioned(), faultfs.New()
	d.define("r", 1)
	p := d.life(t, fsys)
	p.insert(t, "r", "a", 1)
	p.recorder.SchemaChanged(t.Context(), "r", 2)
	p.recorder.SchemaChanged(t.Context(), "r", 2)
	p.recorder.SchemaChanged(t.Context(), "unwanted", 2)
	p.insert(t, "r", "b", 2)
	p.insert(t, "r", "c", 3) // the source says nothing
	p.insert(t, "unwanted", "x", 3)
	p.insert(t, "r", "d", 2) // was under way
	d.define("r", 3)
	p.stop(t)
	p = d.life(t, fsys)
	p.stop(t)
	d.define("r", 4)
	p = d.life(t, fsys)
	if story := p.story(t); story[len(story)-1] != "r4" {
		t.Errorf("a start after the definition left the journal at %v", story)
	}
	p.insert(t, "r", "e", 4)
	want := []string{"r1", "a", "r2", "b", "r3", "c", "d", "r4", "e"}
	if got := p.story(t); !slices.Equal(got, want) {
		t.Errorf("the journal holds %v, want %v", got, want)
	}
	p.stop(t)
}

// TestSchemaIsNotedAfterACrash: wherever the power goes after a definition is durable,
// the note stands before the first change that follows it, and the next start finds what
// has none.
func TestSchemaIsNotedAfterACrash(t *testing.T) {
	for at := 1; ; at++ {
		d, fsys := newVersioned(), faultfs.New()
		d.define("r", 1)
		p := d.life(t, fsys)
		p.insert(t, "r", "a", 1)
		d.define("r", 2)
		fsys.CrashAt(at)
		p.recorder.SchemaChanged(t.Context(), "r", 2)
		p.insert(t, "r", "b", 2)
		finished := !fsys.Crashed()
		p.recorder.Stop()
		_ = p.journal.Close()
		if finished {
			if at < 5 {
				t.Errorf("nothing was tested: %d operations", at)
			}
			return
		}
		p = d.life(t, fsys.Crash(uint64(at)))
		p.insert(t, "r", "c", 2)
		story := p.story(t)
		note := slices.Index(story, "r2")
		for _, id := range []string{"b", "c"} {
			if i := slices.Index(story, id); note < 0 || i >= 0 && i < note {
				t.Errorf("after a crash at operation %d the journal holds %v", at, story)
			}
		}
		p.stop(t)
	}
}

// TestSchemaIsNotedAnewForWhoIsNew: behind the place of a destination that comes while
// writes go on stands a note of every schema, before the first change that follows it,
// also wherever the power goes.
func TestSchemaIsNotedAnewForWhoIsNew(t *testing.T) {
	// admit has a destination admitted, and reports whether the power stayed.
	admit := func(d *versioned, fsys *faultfs.FS, crashAt int) (stayed bool) {
		p := d.life(t, fsys)
		p.insert(t, "r", "a", 1)
		fsys.CrashAt(crashAt)
		place := func() error { return p.journal.SaveCursor("new", journal.Cursor{Low: p.journal.Last()}) }
		if err := p.recorder.Admit(t.Context(), place); err == nil {
			p.insert(t, "r", "b", 1)
		}
		stayed = !fsys.Crashed()
		p.recorder.Stop()
		_ = p.journal.Close()
		return stayed
	}
	const never = 1 << 30
	for at := never; ; at++ {
		d, fsys := newVersioned(), faultfs.New()
		d.define("r", 1)
		stayed := admit(d, fsys, at)
		if at == never {
			at = 0
		} else {
			fsys = fsys.Crash(uint64(at))
		}
		p := d.life(t, fsys)
		p.insert(t, "r", "c", 1)
		story := p.story(t)
		c, placed := p.journal.Cursor("new")
		if placed && story[c.Low] != "r1" {
			t.Errorf("after a crash at operation %d the destination stands before %d of %v", at, c.Low, story)
		}
		if at == 0 && !slices.Equal(story, []string{"r1", "a", "r1", "b", "c"}) {
			t.Errorf("without a crash the journal holds %v", story)
		}
		p.stop(t)
		if stayed && at > 0 {
			if at < 5 {
				t.Errorf("nothing was tested: %d operations", at)
			}
			return
		}
	}
}

// failing is a journal that takes no notes for a time.
type failing struct {
	journal.Journal
	err *error
}

func (f failing) AppendSchema(ctx context.Context, resource string, version int, schema *cdc.Schema) error {
	if *f.err != nil {
		return *f.err
	}
	return f.Journal.AppendSchema(ctx, resource, version, schema)
}

// TestSchemaThatCantBeNoted: writes go on, and tell their version themselves.
func TestSchemaThatCantBeNoted(t *testing.T) {
	d, j := newVersioned(), journal.NewMemory(journal.MemoryOptions{})
	defer j.Close()
	r := capture.New(capture.Options{
		Journal: failing{j, new(errors.New("broken"))}, Source: d, Wants: func(string, cdc.Op) bool { return true }, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
	})
	defer r.Stop()
	r.SchemaChanged(t.Context(), "r", 2)
	pending, err := r.Begin(t.Context(), cdc.Change{Op: cdc.Inserted, Resource: "r", RecordID: "a", SchemaVersion: 2, Data: cdc.Record{}})
	if err != nil {
		t.Fatal(err)
	}
	pending[0].Commit()
	if j.Last() != 1 {
		t.Errorf("%d changes", j.Last())
	}
}

// TestStartWithAFullJournal: what changed while nobody captured is noted when there is room
// again, which a Start that fails could not bring.
func TestStartWithAFullJournal(t *testing.T) {
	d, fsys := newVersioned(), faultfs.New()
	d.define("r", 1)
	d.life(t, fsys).stop(t)
	d.define("r", 2)
	j, err := journal.Open(fsys, journal.Options{Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	refusal := fmt.Errorf("%w: by 88 bytes", cdc.ErrJournalFull)
	p := &process{fsys, j, capture.New(capture.Options{
		Journal: failing{j, &refusal}, Source: d, FS: fsys, Resources: func() []string { return []string{"r"} },
		Wants: func(string, cdc.Op) bool { return true }, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
	})}
	defer p.stop(t)
	if err := p.recorder.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	refusal = nil
	p.insert(t, "r", "a", 2)
	if got, want := p.story(t), []string{"r1", "r2", "a"}; !slices.Equal(got, want) {
		t.Errorf("the journal holds %v, want %v", got, want)
	}
	broken := errors.New("the disk is broken")
	d.define("r", 3)
	refusal = broken
	if err := p.recorder.Recover(t.Context()); !errors.Is(err, broken) {
		t.Errorf("a journal that takes nothing at all: %v", err)
	}
}
