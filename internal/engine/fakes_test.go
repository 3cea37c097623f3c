package engine_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/engine"
	"github.com/s3db-go/replicator/internal/journal"
	"github.com/s3db-go/replicator/internal/ledger"
	"github.com/s3db-go/replicator/internal/route"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a journal without a disk.
type memory struct {
	mu      sync.Mutex
	changes []*cdc.Change
	more    chan struct{}
	cursors map[string]journal.Cursor
	saves   int
	schema  int // version of the changes
	short   int // if above 0, how many changes the next load gives
}

func newMemory() *memory {
	return &memory{more: make(chan struct{}), cursors: map[string]journal.Cursor{}, schema: 1}
}

// put journals an upsert, or a delete if there is no record.
func (m *memory) put(op cdc.Op, id string, record cdc.Record) uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	seq := uint64(len(m.changes) + 1)
	c := &cdc.Change{Seq: seq, Version: seq, Op: op, Resource: "things", RecordID: id, Data: record, Time: time.Now(), SchemaVersion: m.schema}
	c.ChangeID[8], c.ChangeID[9], c.ChangeID[10] = byte(seq>>16), byte(seq>>8), byte(seq)
	m.changes = append(m.changes, c)
	close(m.more)
	m.more = make(chan struct{})
	return seq
}

func (m *memory) update(id string) uint64 {
	return m.put(cdc.Updated, id, cdc.Record{"id": id})
}

func (m *memory) Last() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return uint64(len(m.changes))
}

func (m *memory) Cursor(name string) (journal.Cursor, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := m.cursors[name]
	return c, ok
}

func (m *memory) SaveCursor(name string, c journal.Cursor) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cursors[name] = c
	m.saves++
	return nil
}

func (m *memory) AppendTo(context.Context, string, []cdc.Change, *journal.Watch) (int, error) {
	return 0, errors.New("not of this journal")
}

func (m *memory) Read(after uint64) (journal.Reader, error) {
	return &reader{journal: m, at: after}, nil
}

type reader struct {
	journal *memory
	at      uint64
	entries []journal.Entry
}

func (r *reader) Next(maxBytes int) ([]journal.Entry, error) {
	r.journal.mu.Lock()
	defer r.journal.mu.Unlock()
	const size = 500
	r.entries = r.entries[:0]
	switch short := r.journal.short; {
	case short > 0:
		maxBytes, r.journal.short = size*short, -1
	case short < 0: // this ends the load
		r.journal.short = 0
		return nil, nil
	}
	for n := size; r.at < uint64(len(r.journal.changes)) && (n <= maxBytes || n == size); n += size {
		r.entries = append(r.entries, journal.Entry{Change: r.journal.changes[r.at], Bytes: size})
		r.at++
	}
	return r.entries, nil
}

func (r *reader) Skip(to uint64) { r.at = max(r.at, to-1) }

func (r *reader) More() <-chan struct{} {
	r.journal.mu.Lock()
	defer r.journal.mu.Unlock()
	if r.at < uint64(len(r.journal.changes)) {
		now := make(chan struct{})
		close(now)
		return now
	}
	return r.journal.more
}

func (r *reader) Close() error { return nil }

// book is a ledger without a disk.
type book struct {
	mu   sync.Mutex
	err  error
	rows []ledger.Row
}

func (b *book) Settle(ends ...ledger.End) ([]int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range ends {
		if e := &ends[i]; b.err == nil && (e.Status != ledger.Replicated || e.Keep) {
			b.rows = append(b.rows, e.Row)
		}
	}
	return make([]int, len(ends)), b.err
}

// Failures gives one row for each delivery, as the ledger does.
func (b *book) Failures(q ledger.Query, n int) iter.Seq2[[]ledger.Row, error] {
	b.mu.Lock()
	defer b.mu.Unlock()
	rows := slices.Clone(b.rows)
	return func(yield func([]ledger.Row, error) bool) {
		for i, row := range rows {
			later := func(o ledger.Row) bool { return o.Change.ChangeID == row.Change.ChangeID && o.Target == row.Target }
			if row.Status == ledger.Replicated || slices.ContainsFunc(rows[i+1:], later) {
				continue
			}
			if !yield([]ledger.Row{row}, nil) {
				return
			}
		}
	}
}

func (b *book) EachFailure(string, func(string, cdc.Key)) error { return nil }

func (b *book) Amend([]ledger.Row, func(*ledger.Row)) ([]ledger.Row, error) { return nil, nil }

func (b *book) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
}

// driver is a destination that a test steers by its apply; it keeps what that
// accepted.
type driver struct {
	limits cdc.Limits
	apply  func(ctx context.Context, d *driver, batch []cdc.Delivery) error

	mu       sync.Mutex
	accepted []cdc.Delivery
	calls    int
}

func (d *driver) Name() string             { return "fake" }
func (d *driver) Limits(string) cdc.Limits { return d.limits }

func (d *driver) Apply(ctx context.Context, batch []cdc.Delivery) error {
	d.mu.Lock()
	d.calls++
	d.mu.Unlock()
	if d.apply != nil {
		return d.apply(ctx, d, batch)
	}
	d.accept(batch...)
	return nil
}

func (d *driver) accept(batch ...cdc.Delivery) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.accepted = append(d.accepted, batch...)
}

func (d *driver) called() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls
}

// seen gives the Seqs that were accepted of a record, in order; of all for "".
func (d *driver) seen(id string) (seqs []uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, a := range d.accepted {
		if id == "" || a.RecordID == id {
			seqs = append(seqs, a.Seq)
		}
	}
	return seqs
}

// world is one engine with what is around it.
type world struct {
	t       *testing.T
	journal *memory
	ledger  *book
	engine  *engine.Engine
	cfg     engine.Config

	mu      sync.Mutex
	notices []engine.Notice
}

// start makes and starts an engine for the driver. Its cursor is at the journal's
// beginning.
func start(t *testing.T, d cdc.Driver, change func(*engine.Config)) *world {
	t.Helper()
	w := prepare(t, d, change)
	if err := w.engine.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

func prepare(t *testing.T, d cdc.Driver, change func(*engine.Config)) *world {
	w := &world{t: t, journal: newMemory(), ledger: &book{}}
	w.cfg = engine.Config{
		Name: "dest", Driver: d, Journal: w.journal, Ledger: w.ledger, Notify: w.note,
		Router: route.New([]route.Rule{{From: "things"}}, route.Options{
			Destination: "dest",
			Schema: func(resource string, version int) (cdc.Schema, bool, error) {
				return cdc.Schema{Version: version}, true, nil
			},
		}),
	}
	if change != nil {
		change(&w.cfg)
	}
	w.engine = engine.New(w.cfg)
	return w
}

func (w *world) note(n engine.Notice) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notices = append(w.notices, n)
}

func (w *world) noted(match func(engine.Notice) bool) (found []engine.Notice) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range w.notices {
		if match(n) {
			found = append(found, n)
		}
	}
	return found
}

func ofKind(k engine.Kind) func(engine.Notice) bool {
	return func(n engine.Notice) bool { return n.Kind == k }
}

// drain waits until all that is journaled is settled.
func (w *world) drain() {
	w.t.Helper()
	if err := w.engine.Drain(w.t.Context(), w.journal.Last()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) stop() {
	w.t.Helper()
	if err := w.engine.Stop(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// expect compares the counts at rest.
func (w *world) expect(replicated, coalesced, skipped, failed uint64) engine.Stats {
	w.t.Helper()
	s := w.engine.Stats()
	got := fmt.Sprint(s.Wanted, s.Replicated, s.Coalesced, s.Skipped, s.Failed)
	want := fmt.Sprint(replicated+coalesced+skipped+failed, replicated, coalesced, skipped, failed)
	if got != want {
		w.t.Errorf("wanted, replicated, coalesced, skipped, failed are %s, want %s", got, want)
	}
	return s
}

var errBroken = errors.New("broken")
