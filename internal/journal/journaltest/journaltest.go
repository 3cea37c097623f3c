// Package journaltest is the contract of journals as tests: whatever implements
// journal.Journal passes Run.
package journaltest

import (
	"testing"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/journal"
)

// Harness makes the journal under test.
type Harness struct {
	// Open opens the journal: a new one at first, the same one after its Close. Its
	// hot tail, if it has one, should be small, so that both ways of reading are
	// taken.
	Open func() (journal.Journal, error)
	// Forgets says that nothing of the journal outlives Close. What the suite then
	// leaves out is that it does.
	Forgets bool
}

// Run runs the suite. Every test gets a harness of its own.
func Run(t *testing.T, harness func(t *testing.T) Harness) {
	type test struct {
		name string
		run  func(t *testing.T, s *suite)
	}
	tests := []test{
		{"committed changes are read as announced", testCommit},
		{"aborted changes are never read", testAbort},
		{"a change is committed as what was found in its place", testCommitAs},
		{"the first end of an announcement counts", testEndOnce},
		{"Seq is dense and Version grows, in order of commit", testOrder},
		{"appended changes are durable and in order", testAppend},
		{"what is for one destination is foreign to the others", testAppendTo},
		{"a schema stands in order with the changes", testSchema},
		{"what was changed since the watch is not appended", testWatch},
		{"a watch that remembers too much says so", testWatchFull},
		{"the slice of an Append is not kept", testCopied},
		{"large changes", testLarge},
		{"a change that is too large is refused", testTooLarge},
		{"what can't be encoded is refused", testUnencodable},
		{"a cancelled Begin leaves nothing open", testCancelled},
		{"reading starts anywhere", testReadAnywhere},
		{"what lies before is passed over", testSkip},
		{"a position beyond the end is damage", testBeyondEnd},
		{"Next keeps to its bytes", testMaxBytes},
		{"More loses no wake-up", testMore},
		{"cursors are kept with their ranges", testCursors},
		{"cursors that make no sense are refused", testBadCursors},
		{"a closed journal takes nothing", testClosed},
		{"concurrent writers and readers", testConcurrent},
	}
	lasting := []test{
		{"reopening keeps everything", testReopen},
		{"open announcements outlive the process", testUnresolved},
		{"many changes in one announcement", testMany},
	}
	if !harness(t).Forgets {
		tests = append(tests, lasting...)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &suite{t: t, harness: harness(t)}
			s.open()
			tt.run(t, s)
			if err := s.Close(); err != nil {
				t.Fatal("Close:", err)
			}
		})
	}
}

// suite is a test's open journal.
type suite struct {
	t       *testing.T
	harness Harness
	journal.Journal
}

func (s *suite) open() {
	s.t.Helper()
	j, err := s.harness.Open()
	if err != nil {
		s.t.Fatal("Open:", err)
	}
	s.Journal = j
}

// reopen closes and opens the journal, if it outlives that.
func (s *suite) reopen() {
	s.t.Helper()
	if s.harness.Forgets {
		return
	}
	if err := s.Close(); err != nil {
		s.t.Fatal("Close:", err)
	}
	s.open()
}

func (s *suite) begin(changes ...cdc.Change) journal.Ticket {
	s.t.Helper()
	ticket, err := s.Begin(s.t.Context(), changes)
	if err != nil {
		s.t.Fatal("Begin:", err)
	}
	return ticket
}

// insert begins and commits.
func (s *suite) insert(ids ...string) {
	s.t.Helper()
	for _, id := range ids {
		s.Commit(s.begin(Change(id)), 0, nil)
	}
}

func (s *suite) read(after uint64) journal.Reader {
	s.t.Helper()
	r, err := s.Read(after)
	if err != nil {
		s.t.Fatal("Read:", err)
	}
	s.t.Cleanup(func() { r.Close() })
	return r
}

// collect reads n changes.
func (s *suite) collect(r journal.Reader, n int) []cdc.Change {
	s.t.Helper()
	var out []cdc.Change
	for len(out) < n {
		entries, err := r.Next(1 << 20)
		if err != nil {
			s.t.Fatal("Next:", err)
		}
		for _, e := range entries {
			out = append(out, *e.Change)
		}
		if len(entries) == 0 {
			s.await(r)
		}
	}
	if len(out) > n {
		s.t.Fatalf("read %d changes, want %d", len(out), n)
	}
	return out
}

// await waits until there is more to read.
func (s *suite) await(r journal.Reader) {
	s.t.Helper()
	select {
	case <-r.More():
	case <-time.After(20 * time.Second):
		s.t.Fatal("More was not closed in 20 s")
	}
}

// Change gives an announced insert.
func Change(id string) cdc.Change {
	var changeID cdc.ID
	copy(changeID[:], id)
	return cdc.Change{
		ChangeID: changeID,
		Op:       cdc.Inserted,
		Resource: "users",
		RecordID: id,
		Data:     cdc.Record{"id": id, "name": "name of " + id},
		Time:     time.UnixMicro(1_700_000_000_000_000).UTC(),
	}
}

func ids(changes []cdc.Change) []string {
	out := make([]string, len(changes))
	for i, c := range changes {
		out[i] = c.RecordID
	}
	return out
}

// check fails if the numbers do not go on behind a Seq and a Version.
func check(t *testing.T, changes []cdc.Change, seq, version uint64) {
	t.Helper()
	for _, c := range changes {
		if c.Seq != seq+1 || c.Version <= version {
			t.Fatalf("%s with version %d follows seq %d, version %d", c, c.Version, seq, version)
		}
		seq, version = c.Seq, c.Version
	}
}
