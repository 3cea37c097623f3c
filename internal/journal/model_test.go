package journal_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/disk"
	"github.com/s3db-go/replicator/internal/journal"
	"github.com/s3db-go/replicator/internal/journal/journaltest"
)

// tiny makes the script below roll several times and read mostly from files.
var tiny = journal.Options{SegmentBytes: 4 << 10, TailBytes: 600}

// model runs a script on a journal and knows what must be true of it, whatever
// happened to the file system.
type model struct {
	t    *testing.T
	opts journal.Options
	// weak: power was lost, and what was not flushed may be.
	weak bool
	// check checks the journal before it is opened.
	check bool
	journal.Journal
	serial    int
	changes   map[string]cdc.Change // whatever was handed over, by record id
	open      []*announced
	committed []string // in order of Seq, durable or not
	durable   uint64   // at least so much was seen to be durable
	version   uint64   // the highest that a reader saw
	cursors   map[string]journal.Cursor
	attempted map[string]journal.Cursor // the save that failed last
}

// announced is a change that was announced.
type announced struct {
	id     string
	ticket journal.Ticket
	index  int
	acked  bool // Begin returned nil
	ended  bool // by an abort
}

func newModel(t *testing.T) *model {
	return &model{
		t: t, opts: tiny, changes: map[string]cdc.Change{},
		cursors: map[string]journal.Cursor{}, attempted: map[string]journal.Cursor{},
	}
}

// clone gives a model for one more future of the same past.
func (m *model) clone() *model {
	c := *m
	c.Journal = nil
	c.changes, c.cursors, c.attempted = maps.Clone(m.changes), maps.Clone(m.cursors), maps.Clone(m.attempted)
	c.committed = slices.Clone(m.committed)
	c.open = nil
	for _, a := range m.open {
		c.open = append(c.open, new(*a))
	}
	return &c
}

// attach opens a journal and checks it.
func (m *model) attach(fsys disk.FS) error {
	if m.check {
		if _, err := journal.Check(fsys, m.opts.Encryption); err != nil {
			return fmt.Errorf("check: %w", err)
		}
	}
	j, err := journal.Open(fsys, m.opts)
	if err != nil {
		return err
	}
	m.Journal = j
	return m.verify()
}

func (m *model) newChanges(n int) []cdc.Change {
	out := make([]cdc.Change, n)
	for i := range out {
		m.serial++
		out[i] = journaltest.Change(fmt.Sprintf("r%04d", m.serial))
		out[i].Data["pad"] = strings.Repeat("x", m.serial*37%300)
		m.changes[out[i].RecordID] = out[i]
	}
	return out
}

// begin announces n changes.
func (m *model) begin(n int) error {
	changes := m.newChanges(n)
	ticket, err := m.Begin(context.Background(), changes)
	for i, c := range changes {
		m.open = append(m.open, &announced{id: c.RecordID, ticket: ticket, index: i, acked: err == nil})
	}
	return err
}

// commit ends the i-th open announcement.
func (m *model) commit(i int) {
	a := m.acked()[i]
	before := m.Last()
	m.Commit(a.ticket, a.index, nil)
	if m.Last() > before {
		m.committed = append(m.committed, a.id)
		m.open = slices.DeleteFunc(m.open, func(b *announced) bool { return a == b })
	}
}

func (m *model) abort(i int) {
	a := m.acked()[i]
	m.Abort(a.ticket, a.index)
	a.ended = true
}

// acked gives the announcements that a source would go on with.
func (m *model) acked() (out []*announced) {
	for _, a := range m.open {
		if a.acked && !a.ended {
			out = append(out, a)
		}
	}
	return out
}

func (m *model) append(n int) error {
	changes := m.newChanges(n)
	before := m.Last()
	err := m.Append(context.Background(), changes)
	if m.Last() > before {
		for _, c := range changes {
			m.committed = append(m.committed, c.RecordID)
		}
	}
	if err == nil && n > 0 {
		m.durable = uint64(len(m.committed))
	}
	return err
}

// appendTo commits changes for one destination, and schema notes a schema.
func (m *model) appendTo(n int) error {
	changes := m.newChanges(n)
	w := m.Watch()
	defer w.Close()
	before := m.Last()
	_, err := m.AppendTo(context.Background(), "a", changes, w)
	if m.Last() > before {
		for _, c := range changes {
			m.committed = append(m.committed, c.RecordID)
		}
	}
	if err == nil {
		m.durable = uint64(len(m.committed))
	}
	return err
}

func (m *model) schema() error {
	m.serial++
	id := fmt.Sprintf("s%04d", m.serial)
	m.changes[id] = cdc.Change{Resource: "users", SchemaVersion: m.serial}
	before := m.Last()
	err := m.AppendSchema(context.Background(), "users", m.serial, nil)
	if m.Last() > before {
		m.committed = append(m.committed, id)
	}
	if err == nil {
		m.durable = uint64(len(m.committed))
	}
	return err
}

func (m *model) save(name string, low uint64) error {
	c := journal.Cursor{Low: low}
	if last := m.Last(); low+2 < last {
		c.Ranges = []journal.Range{{First: low + 2, Last: last}}
	}
	err := m.SaveCursor(name, c)
	if err != nil {
		m.attempted[name] = c
		return err
	}
	m.cursors[name] = c
	m.durable = max(m.durable, low)
	return nil
}

// script is a bit of everything. It ends at the first error, as a source would.
func (m *model) script(fsys disk.FS) error {
	for round := range 3 {
		for i := range 6 {
			for range 2 {
				if err := m.begin(1 + i%3); err != nil {
					return err
				}
			}
			// The oldest stays open for long and is carried from segment to segment.
			for n := len(m.acked()); n > 3; n = len(m.acked()) {
				if err := m.Stats().Err; err != nil {
					return err // ends are ignored from now on
				}
				if i == 2 {
					m.abort(n - 1)
				} else {
					m.commit(1 + (n-1)/2)
				}
			}
			if err := m.append(i % 3); err != nil {
				return err
			}
			if i == 4 {
				if err := errors.Join(m.appendTo(2), m.schema()); err != nil {
					return err
				}
			}
			if i%2 == 1 && m.Last() > 0 {
				if err := m.save("a", m.Last()-1); err != nil {
					return err
				}
				if err := m.save("b", max(m.Last()/2, m.Stats().First)-1); err != nil {
					return err
				}
			}
		}
		m.durable = max(m.durable, m.Stats().Durable)
		if round == 1 {
			m.commit(0)
			if err := m.DropCursor("b"); err != nil {
				m.attempted["b"] = journal.Cursor{Low: none}
				return err
			}
			delete(m.cursors, "b")
		}
		if err := m.Close(); err != nil {
			return err
		}
		m.durable = uint64(len(m.committed))
		if err := m.attach(fsys); err != nil {
			return err
		}
	}
	return m.Close()
}

// none stands for a cursor that may have been dropped.
const none = ^uint64(0)

// verify compares a freshly opened journal with what was promised, and takes over
// what was left to chance.
func (m *model) verify() error {
	m.t.Helper()
	stats := m.Stats()
	if m.weak {
		m.durable, m.version = 0, 0
		for _, a := range m.open {
			a.acked = false
		}
		m.weak = false
	}
	if stats.Last > uint64(len(m.committed)) || stats.Last < m.durable {
		return fmt.Errorf("it ends at %d; %d were committed, %d durably", stats.Last, len(m.committed), m.durable)
	}
	if err := m.verifyCursors(stats); err != nil {
		return err
	}
	if err := m.verifyRead(stats); err != nil {
		return err
	}
	// What was committed and is not is open again.
	undone := m.committed[stats.Last:]
	m.committed = m.committed[:stats.Last:stats.Last]
	m.durable = stats.Last

	unresolved := map[string]journal.Announced{}
	for _, a := range m.Unresolved() {
		id := a.Change.RecordID
		if _, twice := unresolved[id]; twice || slices.Contains(m.committed, id) {
			return fmt.Errorf("%s is open and was ended", id)
		}
		if diff := cmp.Diff(m.changes[id], a.Change); diff != "" {
			return fmt.Errorf("%s is open and is another: %s", id, diff)
		}
		unresolved[id] = a
	}
	for _, a := range m.open {
		if _, open := unresolved[a.id]; a.acked && !a.ended && !open {
			return fmt.Errorf("%s was announced and is forgotten", a.id)
		}
	}
	known := map[string]bool{}
	for _, a := range m.open {
		known[a.id] = true
	}
	for _, id := range undone {
		known[id] = true
	}
	m.open = nil
	for _, a := range m.Unresolved() {
		if !known[a.Change.RecordID] {
			return fmt.Errorf("%s is open and was not announced", a.Change.RecordID)
		}
		m.open = append(m.open, &announced{id: a.Change.RecordID, ticket: a.Ticket, index: a.Index, acked: true})
	}
	return nil
}

func (m *model) verifyCursors(stats journal.Stats) error {
	for _, name := range []string{"a", "b"} {
		got, ok := m.Cursor(name)
		want, saved := m.cursors[name]
		maybe, tried := m.attempted[name]
		dropped := tried && maybe.Low == none && !ok
		if (ok != saved || !cmp.Equal(got, want)) && !(tried && ok && cmp.Equal(got, maybe)) && !dropped {
			return fmt.Errorf("cursor %s is %v %v; saved %v %v, perhaps %v", name, ok, got, saved, want, maybe)
		}
		if ok && (got.Low > stats.Last || stats.First > 0 && got.Low+1 < stats.First) {
			return fmt.Errorf("cursor %s is %v in a journal from %d to %d", name, got, stats.First, stats.Last)
		}
		if delete(m.cursors, name); ok {
			m.cursors[name] = got
		}
		delete(m.attempted, name)
	}
	return nil
}

func (m *model) verifyRead(stats journal.Stats) error {
	if stats.First == 0 {
		return nil
	}
	r, err := m.Read(stats.First - 1)
	if err != nil {
		return err
	}
	defer r.Close()
	seq, version := stats.First-1, uint64(0)
	for seq < stats.Last {
		entries, err := r.Next(700)
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			return fmt.Errorf("after seq %d nothing more is to be read", seq)
		}
		for _, e := range entries {
			c := *e.Change
			if c.Seq != seq+1 || c.Version <= version {
				return fmt.Errorf("seq %d version %d follows %d, %d", c.Seq, c.Version, seq, version)
			}
			seq, version = c.Seq, c.Version
			c.Seq, c.Version = 0, 0
			if diff := cmp.Diff(m.changes[m.committed[seq-1]], c); diff != "" {
				return fmt.Errorf("seq %d is another change: %s", seq, diff)
			}
		}
	}
	if version < m.version {
		return fmt.Errorf("version %d was seen and the newest is %d", m.version, version)
	}
	m.version = version
	return nil
}
