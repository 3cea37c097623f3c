package sourcetest

import (
	"context"
	"runtime"
	"sync"
	"testing"

	"github.com/s3db-go/replicator/cdc"
)

// outcome is how an announced change ended.
type outcome string

const (
	open      outcome = "open"
	committed outcome = "committed"
	aborted   outcome = "aborted"
	doubted   outcome = "in doubt"
)

// recorder is a cdc.Recorder that keeps what it is told and checks the protocol.
type recorder struct {
	t      *testing.T
	reader cdc.Reader

	mu     sync.Mutex // guards everything below
	wants  func(resource string, op cdc.Op) bool
	begin  func(changes []cdc.Change) error // called in Begin, before anything counts as announced
	begins int
	order  []*pending // by Begin
	ended  []*pending // by their end
	open   map[cdc.Key]*pending
	notes  []schemaNote
	probes sync.WaitGroup
}

// schemaNote is a call of SchemaChanged, with the version that the source described then.
type schemaNote struct {
	Resource  string
	Version   int
	described int
}

func newRecorder(t *testing.T, reader cdc.Reader) *recorder {
	return &recorder{t: t, reader: reader, open: make(map[cdc.Key]*pending)}
}

// pending is one announced change.
type pending struct {
	recorder *recorder
	change   cdc.Change
	outcome  outcome
}

func (r *recorder) Wants(resource string, op cdc.Op) bool {
	if !op.Single() {
		r.t.Errorf("Wants(%s, %v): not one operation", resource, op)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.wants == nil || r.wants(resource, op)
}

func (r *recorder) Begin(ctx context.Context, changes ...cdc.Change) ([]cdc.Pending, error) {
	if len(changes) == 0 {
		r.t.Error("Begin without a change")
	}
	for _, c := range changes {
		r.check(ctx, c)
	}
	r.mu.Lock()
	hook := r.begin
	r.mu.Unlock()
	if hook != nil {
		if err := hook(changes); err != nil {
			return nil, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begins++
	out := make([]cdc.Pending, len(changes))
	for i, c := range changes {
		if other := r.open[c.RecordKey()]; other != nil {
			r.t.Errorf("%v announced while %v is open", c, other.change)
		}
		p := &pending{recorder: r, change: c, outcome: open}
		r.open[c.RecordKey()] = p
		r.order = append(r.order, p)
		out[i] = p
	}
	return out, nil
}

func (r *recorder) Append(context.Context, ...cdc.Change) error {
	r.t.Error("Append: a source of this kind announces")
	return nil
}

// SchemaChanged implements cdc.SchemaRecorder.
func (r *recorder) SchemaChanged(ctx context.Context, resource string, version int) {
	note := schemaNote{Resource: resource, Version: version}
	if d, ok := r.reader.(cdc.Describer); ok {
		schema, _, err := d.Describe(ctx, resource)
		if err != nil {
			r.t.Errorf("Describe of %s: %v", resource, err)
		}
		note.described = schema.Version
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes = append(r.notes, note)
}

// told gives the schemas that it was told of.
func (r *recorder) told() []schemaNote {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]schemaNote(nil), r.notes...)
}

// check judges an announcement by itself, and against what is stored: the caller
// holds the lock, so nothing can have changed.
func (r *recorder) check(ctx context.Context, c cdc.Change) {
	r.t.Helper()
	if !c.Op.Single() || c.Resource == "" || c.RecordID == "" {
		r.t.Errorf("incomplete announcement: %v", c)
	}
	if c.Seq != 0 || c.Version != 0 || c.Origin != cdc.Live {
		r.t.Errorf("%v: Seq, Version and Origin are not the source's", c)
	}
	for _, image := range []cdc.Record{c.Data, c.Before} {
		if normal, err := cdc.Normalize(image); err != nil || !normal.Equal(image) {
			r.t.Errorf("%v: not normalized: %v (%v)", c, image, err)
		}
	}
	if c.Op == cdc.Inserted && c.Before != nil {
		r.t.Errorf("%v: an insert has no before image, got %v", c, c.Before)
	}
	if c.Op == cdc.Updated && c.Before == nil {
		r.t.Errorf("%v: the before image is missing", c)
	}
	if c.Op != cdc.Deleted && c.Data == nil {
		r.t.Errorf("%v: the after image is missing", c)
	}
	if now, ok := r.read(ctx, c); ok && !now.Equal(before(c)) {
		r.t.Errorf("%v: before image %v, stored was %v", c, before(c), now)
	}
}

// before gives the state before the change. For a delete it may stand in Data alone.
func before(c cdc.Change) cdc.Record {
	if c.Op == cdc.Deleted && c.Before == nil {
		return c.Data
	}
	return c.Before
}

func (r *recorder) read(ctx context.Context, c cdc.Change) (cdc.Record, bool) {
	now, ok, err := r.reader.Read(context.WithoutCancel(ctx), c.Resource, c.RecordID)
	if err != nil {
		r.t.Errorf("%v: Read: %v", c, err)
		return nil, false
	}
	if !ok {
		return nil, true
	}
	return now, true
}

// probe asks for the record's lock while c is open, and finds it closed when it
// gets it.
func (r *recorder) probe(c cdc.Change) {
	r.probes.Go(func() {
		r.reader.WithLock(c.Resource, c.RecordID, func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			if p := r.open[c.RecordKey()]; p != nil {
				r.t.Errorf("%v: the record's lock was free while it was announced", p.change)
			}
		})
	})
	for range 100 { // long enough for one that does not wait
		runtime.Gosched()
	}
}

func (p *pending) Commit()         { p.end(committed) }
func (p *pending) Abort()          { p.end(aborted) }
func (p *pending) Doubt(err error) { p.doubt(err) }

func (p *pending) doubt(err error) {
	if err == nil {
		p.recorder.t.Errorf("%v: Doubt without a reason", p.change)
	}
	p.end(doubted)
}

func (p *pending) end(o outcome) {
	r, c := p.recorder, p.change
	after := c.Data
	if c.Op == cdc.Deleted {
		after = nil
	}
	// The lock is still held, so what is stored is what this change made of it.
	if now, ok := r.read(context.Background(), c); ok {
		if o == committed && !now.Equal(after) {
			r.t.Errorf("%v: after image %v, stored is %v", c, after, now)
		}
		if o == aborted && !now.Equal(before(c)) {
			r.t.Errorf("%v: aborted, but stored is %v in place of %v", c, now, before(c))
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.outcome != open {
		r.t.Errorf("%v: %s, and was %s already", c, o, p.outcome)
		return
	}
	p.outcome = o
	delete(r.open, c.RecordKey())
	r.ended = append(r.ended, p)
}

// finished checks what must hold when no write is under way.
func (r *recorder) finished() {
	r.t.Helper()
	r.probes.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.open {
		r.t.Errorf("%v: never ended", p.change)
	}
}

// set changes what the recorder does, between writes.
func (r *recorder) set(change func(*recorder)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(r)
}

// announced gives the changes in order of Begin, and the number of Begins.
func (r *recorder) announced() (changes []*pending, begins int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*pending(nil), r.order...), r.begins
}

// want checks the operations and outcomes of everything that was announced.
func (r *recorder) want(want ...any) {
	r.t.Helper()
	changes, _ := r.announced()
	var got []any
	for _, p := range changes {
		got = append(got, p.change.Op, p.outcome)
	}
	if len(got) != len(want) {
		r.t.Fatalf("announced %v, want %v", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			r.t.Fatalf("announced %v, want %v", got, want)
		}
	}
}
