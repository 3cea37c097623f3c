// Package journaltest is the contract of journals as tests: whatever implements
// journal.Journal passes Run.
package journaltest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/journal"
)

// Harness makes the journal under test.
type Harness struct {
	// Open opens the journal: a new one at first, the same one after its Close. Its
	// hot tail, if it has one, should be small, so that both ways of reading are
	// taken.
	Open func() (journal.Journal, error)
}

// Run runs the suite. Every test gets a harness of its own.
func Run(t *testing.T, harness func(t *testing.T) Harness) {
	tests := []struct {
		name string
		run  func(t *testing.T, s *suite)
	}{
		{"committed changes are read as announced", testCommit},
		{"aborted changes are never read", testAbort},
		{"a change is committed as what was found in its place", testCommitAs},
		{"the first end of an announcement counts", testEndOnce},
		{"Seq is dense and Version grows, in order of commit", testOrder},
		{"appended changes are durable and in order", testAppend},
		{"the caller's slice is not kept", testCopied},
		{"many changes in one announcement", testMany},
		{"large changes", testLarge},
		{"a change that is too large is refused", testTooLarge},
		{"what can't be encoded is refused", testUnencodable},
		{"a cancelled Begin leaves nothing open", testCancelled},
		{"reading starts anywhere", testReadAnywhere},
		{"a position beyond the end is damage", testBeyondEnd},
		{"Next keeps to its bytes", testMaxBytes},
		{"More loses no wake-up", testMore},
		{"reopening keeps everything", testReopen},
		{"open announcements outlive the process", testUnresolved},
		{"cursors are kept with their ranges", testCursors},
		{"cursors that make no sense are refused", testBadCursors},
		{"a closed journal takes nothing", testClosed},
		{"concurrent writers and readers", testConcurrent},
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

func (s *suite) reopen() {
	s.t.Helper()
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

func testCommit(t *testing.T, s *suite) {
	want := Change("a")
	want.Op, want.Before = cdc.Updated, cdc.Record{"id": "a"}
	want.SchemaVersion, want.Trace = 3, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	want.Data["n"], want.Data["list"] = int64(1)<<60, []any{true, nil, 1.5}
	ticket := s.begin(want)
	r := s.read(0)
	if got, err := r.Next(1 << 20); err != nil || len(got) != 0 {
		t.Fatalf("an announcement is read before its commit: %v, %v", got, err)
	}
	s.Commit(ticket, 0, nil)
	got := s.collect(r, 1)[0]
	if got.Seq != 1 || got.Version == 0 || s.Last() != 1 {
		t.Fatalf("seq %d, version %d, Last %d", got.Seq, got.Version, s.Last())
	}
	want.Seq, want.Version = got.Seq, got.Version
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	s.reopen()
	if diff := cmp.Diff(want, s.collect(s.read(0), 1)[0]); diff != "" {
		t.Fatal("after reopening:", diff)
	}
}

func testAbort(t *testing.T, s *suite) {
	ticket := s.begin(Change("a"))
	s.Abort(ticket, 0)
	s.insert("b")
	if got := s.collect(s.read(0), 1)[0]; got.RecordID != "b" || got.Seq != 1 {
		t.Fatal(got)
	}
	if s.Stats().Open != 0 {
		t.Fatal("the announcement is still open")
	}
	s.reopen()
	if n := len(s.Unresolved()); n != 0 {
		t.Fatal(n, "unresolved")
	}
}

func testCommitAs(t *testing.T, s *suite) {
	a := Change("a")
	as := cdc.Change{Op: cdc.Deleted, Data: cdc.Record{"id": "a", "name": "foreign"}, Before: cdc.Record{"x": "y"}, Origin: cdc.Resolved}
	s.Commit(s.begin(a), 0, &as)
	a.Op, a.Data, a.Before, a.Origin, a.Seq = as.Op, as.Data, as.Before, as.Origin, 1
	for range 2 {
		got := s.collect(s.read(0), 1)[0]
		a.Version = got.Version
		if diff := cmp.Diff(a, got); diff != "" {
			t.Fatal(diff)
		}
		s.reopen()
	}
}

func testEndOnce(t *testing.T, s *suite) {
	committed, aborted := s.begin(Change("a")), s.begin(Change("b"))
	s.Commit(committed, 0, nil)
	s.Commit(committed, 0, nil)
	s.Abort(committed, 0)
	s.Abort(aborted, 0)
	s.Commit(aborted, 0, nil)
	s.Commit(aborted, 7, nil)
	s.insert("c")
	if got := ids(s.collect(s.read(0), 2)); !slices.Equal(got, []string{"a", "c"}) {
		t.Fatal(got)
	}
}

func testOrder(t *testing.T, s *suite) {
	var tickets []journal.Ticket
	var want []string
	for i := range 20 {
		tickets = append(tickets, s.begin(Change(fmt.Sprint(i))))
	}
	for i := range 20 {
		i = (i * 7) % 20
		want = append(want, fmt.Sprint(i))
		s.Commit(tickets[i], 0, nil)
	}
	got := s.collect(s.read(0), 20)
	check(t, got, 0, 0)
	if !slices.Equal(ids(got), want) {
		t.Fatal(ids(got))
	}
}

func testAppend(t *testing.T, s *suite) {
	s.insert("a")
	if err := s.Append(t.Context(), []cdc.Change{Change("b"), Change("c"), Change("d")}); err != nil {
		t.Fatal(err)
	}
	if got := s.Stats(); got.Durable != 4 || got.Last != 4 || got.Open != 0 {
		t.Fatalf("%+v", got)
	}
	s.insert("e")
	for range 2 {
		got := s.collect(s.read(0), 5)
		check(t, got, 0, 0)
		if !slices.Equal(ids(got), []string{"a", "b", "c", "d", "e"}) {
			t.Fatal(ids(got))
		}
		s.reopen()
	}
	if err := s.Append(t.Context(), nil); err != nil || s.Last() != 5 {
		t.Fatal("appending nothing:", err, s.Last())
	}
}

func testCopied(t *testing.T, s *suite) {
	changes := []cdc.Change{Change("a")}
	ticket, err := s.Begin(t.Context(), changes)
	if err != nil {
		t.Fatal(err)
	}
	changes[0].RecordID = "changed"
	s.Commit(ticket, 0, nil)
	got := s.collect(s.read(0), 1)[0]
	if got.RecordID != "a" || changes[0].Seq != 0 {
		t.Fatal(got, changes[0])
	}
}

func testMany(t *testing.T, s *suite) {
	const n = 3000
	changes := make([]cdc.Change, n)
	for i := range changes {
		changes[i] = Change(fmt.Sprint(i))
		changes[i].Data["pad"] = strings.Repeat("x", 1000) // 3 MB in all
	}
	ticket := s.begin(changes...)
	if got := s.Stats().Open; got != n {
		t.Fatal(got, "open")
	}
	for i := range n / 3 {
		s.Commit(ticket, 3*i, nil)
		s.Abort(ticket, 3*i+1)
	}
	s.reopen()
	left := s.Unresolved()
	if len(left) != n/3 {
		t.Fatal(len(left), "unresolved")
	}
	for i, a := range left {
		if a.Ticket != ticket || a.Index != 3*i+2 || a.Change.RecordID != fmt.Sprint(3*i+2) {
			t.Fatal(i, a.Ticket, a.Index, a.Change)
		}
		s.Commit(a.Ticket, a.Index, nil)
	}
	got := s.collect(s.read(0), 2*n/3)
	check(t, got, 0, 0)
	for i, c := range got {
		want := fmt.Sprint(3 * i)
		if i >= n/3 {
			want = fmt.Sprint(3*(i-n/3) + 2)
		}
		if c.RecordID != want {
			t.Fatalf("%d is %s, want %s", i, c.RecordID, want)
		}
	}
}

func testLarge(t *testing.T, s *suite) {
	var want []string
	for i := range 4 {
		c := Change(fmt.Sprint(i))
		c.Data["body"] = strings.Repeat(fmt.Sprint(i), 1<<20)
		want = append(want, c.RecordID)
		s.Commit(s.begin(c), 0, nil)
	}
	for range 2 {
		r := s.read(0)
		var got []string
		for len(got) < 4 {
			entries, err := r.Next(1)
			if err != nil {
				t.Fatal(err)
			}
			if len(entries) == 0 {
				s.await(r)
				continue
			}
			if len(entries) != 1 || entries[0].Bytes < 1<<20 {
				t.Fatal(len(entries), "entries")
			}
			c := entries[0].Change
			if c.Data["body"] != strings.Repeat(c.RecordID, 1<<20) {
				t.Fatal("another body")
			}
			got = append(got, c.RecordID)
		}
		if !slices.Equal(got, want) {
			t.Fatal(got)
		}
		s.reopen()
	}
}

func testTooLarge(t *testing.T, s *suite) {
	s.insert("a")
	before := s.Stats()
	c := Change("big")
	c.Data["body"] = strings.Repeat("x", 32<<20)
	if _, err := s.Begin(t.Context(), []cdc.Change{Change("small"), c}); !errors.Is(err, cdc.ErrTooLarge) {
		t.Fatal("Begin:", err)
	}
	if err := s.Append(t.Context(), []cdc.Change{Change("small"), c}); !errors.Is(err, cdc.ErrTooLarge) {
		t.Fatal("Append:", err)
	}
	if after := s.Stats(); after.Last != before.Last || after.Open != 0 {
		t.Fatalf("%+v", after)
	}
}

func testUnencodable(t *testing.T, s *suite) {
	c := Change("a")
	c.Data["x"] = struct{}{}
	if _, err := s.Begin(t.Context(), []cdc.Change{c}); err == nil {
		t.Fatal("Begin took a value that does not travel")
	}
	s.insert("b")
	s.reopen()
	if got := ids(s.collect(s.read(0), 1)); got[0] != "b" || len(s.Unresolved()) != 0 {
		t.Fatal(got)
	}
}

func testCancelled(t *testing.T, s *suite) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Begin(ctx, []cdc.Change{Change("a")}); !errors.Is(err, context.Canceled) {
		t.Fatal("Begin:", err)
	}
	if err := s.Append(ctx, []cdc.Change{Change("a")}); !errors.Is(err, context.Canceled) {
		t.Fatal("Append:", err)
	}
	// Cancelled while it waits: either it is announced, or nothing is left open.
	announced := 0
	for i := range 200 {
		ctx, cancel := context.WithCancel(t.Context())
		var canceller sync.WaitGroup
		canceller.Go(func() {
			for range i * 20 {
				_ = ctx.Err()
			}
			cancel()
		})
		ticket, err := s.Begin(ctx, []cdc.Change{Change("a"), Change("b")})
		canceller.Wait()
		switch {
		case err == nil:
			s.Commit(ticket, 0, nil)
			s.Commit(ticket, 1, nil)
			announced++
		case !errors.Is(err, context.Canceled):
			t.Fatal(err)
		}
	}
	if got := s.Stats(); got.Open != 0 || got.Last != uint64(2*announced) {
		t.Fatalf("%d were announced: %+v", announced, got)
	}
	s.reopen()
	if left := s.Unresolved(); len(left) != 0 || s.Last() != uint64(2*announced) {
		t.Fatal(left, s.Last())
	}
}

func testReadAnywhere(t *testing.T, s *suite) {
	for i := range 30 {
		s.insert(fmt.Sprint(i))
	}
	s.collect(s.read(0), 30)
	for range 2 {
		for after := range uint64(31) {
			got := s.collect(s.read(after), int(30-after))
			check(t, got, after, 0)
			if len(got) > 0 && got[0].RecordID != fmt.Sprint(after) {
				t.Fatal(after, got[0])
			}
		}
		s.reopen()
	}
}

func testBeyondEnd(t *testing.T, s *suite) {
	s.insert("a", "b")
	for range 2 {
		if _, err := s.Read(3); !errors.Is(err, journal.ErrCorrupt) {
			t.Fatal(err)
		}
		s.read(2)
		s.reopen()
	}
}

func testMaxBytes(t *testing.T, s *suite) {
	for i := range 50 {
		s.insert(fmt.Sprintf("%02d", i))
	}
	all := s.read(0)
	s.collect(all, 50)
	for range 2 {
		r := s.read(0)
		var got []cdc.Change
		for len(got) < 50 {
			entries, err := r.Next(1000)
			if err != nil || len(entries) == 0 {
				t.Fatal(len(got), err)
			}
			size := 0
			for _, e := range entries {
				size += e.Bytes
				got = append(got, *e.Change)
			}
			if size > 1000 {
				t.Fatal(size, "bytes")
			}
			if left := 50 - len(got); left > 0 && size+2*entries[0].Bytes < 1000 {
				t.Fatal("only", size, "bytes, and", left, "changes are left")
			}
		}
		check(t, got, 0, 0)
		s.reopen()
	}
}

func testMore(t *testing.T, s *suite) {
	const n = 300
	r := s.read(0)
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := range n {
			ticket, err := s.Begin(t.Context(), []cdc.Change{Change(fmt.Sprint(i))})
			if err != nil {
				t.Error(err)
				return
			}
			s.Commit(ticket, 0, nil)
		}
	})
	check(t, s.collect(r, n), 0, 0)
	writer.Wait()
	more := r.More()
	select {
	case <-more:
		t.Fatal("More is closed although nothing is left")
	default:
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s.await(r)
	if _, err := r.Next(1); !errors.Is(err, cdc.ErrStopped) {
		t.Fatal("Next after Close of the journal:", err)
	}
	<-more
}

func testReopen(t *testing.T, s *suite) {
	var version uint64
	for i := range 10 {
		s.insert(fmt.Sprint(i), fmt.Sprint(i, "b"))
		got := s.collect(s.read(0), 2*(i+1))
		check(t, got, 0, 0)
		if got[len(got)-1].Version <= version {
			t.Fatal("Version did not grow across a restart")
		}
		version = got[len(got)-1].Version
		s.reopen()
		st := s.Stats()
		if st.First != 1 || st.Last != uint64(2*(i+1)) || st.Durable != st.Last || st.Err != nil || st.Bytes == 0 {
			t.Fatalf("%+v", st)
		}
	}
}

func testUnresolved(t *testing.T, s *suite) {
	tickets := []journal.Ticket{s.begin(Change("a"), Change("b")), s.begin(Change("c")), s.begin(Change("d"))}
	s.Commit(tickets[0], 1, nil)
	s.reopen()
	for range 2 {
		left := s.Unresolved()
		var got []string
		for _, a := range left {
			got = append(got, fmt.Sprint(a.Ticket, a.Index, a.Change.RecordID))
		}
		want := []string{fmt.Sprint(tickets[0], 0, "a"), fmt.Sprint(tickets[1], 0, "c"), fmt.Sprint(tickets[2], 0, "d")}
		if !slices.Equal(got, want) {
			t.Fatal(got, want)
		}
		if diff := cmp.Diff(Change("c"), left[1].Change); diff != "" {
			t.Fatal(diff)
		}
		s.insert("x") // tickets are not given twice
		s.reopen()
	}
	s.Commit(tickets[1], 0, nil)
	s.Abort(tickets[0], 0)
	if left := s.Unresolved(); len(left) != 1 || left[0].Change.RecordID != "d" {
		t.Fatal(left)
	}
	s.Commit(tickets[2], 0, nil)
	s.reopen()
	if left := s.Unresolved(); len(left) != 0 {
		t.Fatal(left)
	}
	got := s.collect(s.read(0), 5)
	check(t, got, 0, 0)
	if !slices.Equal(ids(got), []string{"b", "x", "x", "c", "d"}) {
		t.Fatal(ids(got))
	}
}

func testCursors(t *testing.T, s *suite) {
	for i := range 20 {
		s.insert(fmt.Sprint(i))
	}
	want := map[string]journal.Cursor{
		"backup":            {Low: 20},
		"Backup":            {Low: 3, Ranges: []journal.Range{{First: 5, Last: 5}, {First: 7, Last: 20}}},
		"../a b/ü%\x00":     {},
		"con":               {Low: 1},
		"":                  {Low: 2},
		"backup%41":         {Low: 4},
		"cursor-cursor.tmp": {Low: 5},
	}
	for name, c := range want {
		if _, ok := s.Cursor(name); ok {
			t.Fatal(name, "is there already")
		}
		// Right after the commit: the cursor waits until it is durable.
		if err := s.SaveCursor(name, c); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if len(s.Cursors()) != len(want) || !slices.IsSorted(s.Cursors()) {
			t.Fatal(s.Cursors())
		}
		for name, c := range want {
			got, ok := s.Cursor(name)
			if diff := cmp.Diff(c, got); !ok || diff != "" {
				t.Fatal(name, diff)
			}
		}
		s.reopen()
	}
	if err := s.SaveCursor("con", journal.Cursor{Low: 9}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"backup", "backup", "never"} {
		if err := s.DropCursor(name); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if c, ok := s.Cursor("con"); !ok || c.Low != 9 {
			t.Fatal(c, ok)
		}
		if _, ok := s.Cursor("backup"); ok {
			t.Fatal("it was dropped")
		}
		if got := s.collect(s.read(0), 20); len(got) != 20 {
			t.Fatal(len(got)) // a cursor stands at 0
		}
		s.reopen()
	}
}

func testBadCursors(t *testing.T, s *suite) {
	s.insert("a", "b", "c", "d")
	for _, c := range []journal.Cursor{
		{Low: 5},
		{Low: 1, Ranges: []journal.Range{{First: 3, Last: 5}}},
		{Low: 1, Ranges: []journal.Range{{First: 2, Last: 3}}},
		{Low: 1, Ranges: []journal.Range{{First: 4, Last: 3}}},
		{Low: 0, Ranges: []journal.Range{{First: 2, Last: 2}, {First: 3, Last: 4}}},
	} {
		if err := s.SaveCursor("x", c); err == nil {
			t.Fatalf("%+v was saved", c)
		}
	}
	if len(s.Cursors()) != 0 {
		t.Fatal(s.Cursors())
	}
}

func testClosed(t *testing.T, s *suite) {
	ticket := s.begin(Change("a"))
	r := s.read(0)
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Begin(t.Context(), []cdc.Change{Change("b")}); !errors.Is(err, cdc.ErrStopped) {
		t.Fatal("Begin:", err)
	}
	if err := s.Append(t.Context(), []cdc.Change{Change("b")}); !errors.Is(err, cdc.ErrStopped) {
		t.Fatal("Append:", err)
	}
	if err := s.SaveCursor("x", journal.Cursor{}); !errors.Is(err, cdc.ErrStopped) {
		t.Fatal("SaveCursor:", err)
	}
	if _, err := s.Read(0); !errors.Is(err, cdc.ErrStopped) {
		t.Fatal("Read:", err)
	}
	if _, err := r.Next(1); !errors.Is(err, cdc.ErrStopped) {
		t.Fatal("Next:", err)
	}
	s.await(r)
	s.Commit(ticket, 0, nil) // too late, and harmless
	s.open()
	if left := s.Unresolved(); len(left) != 1 || left[0].Change.RecordID != "a" || s.Last() != 0 {
		t.Fatal(left, s.Last())
	}
}

func testConcurrent(t *testing.T, s *suite) {
	const writers, each = 8, 60
	var running sync.WaitGroup
	var mu sync.Mutex
	want := map[string]bool{}
	for w := range writers {
		running.Go(func() {
			for i := range each {
				id := fmt.Sprintf("%d/%d", w, i)
				if i%10 == 9 {
					if err := s.Append(t.Context(), []cdc.Change{Change(id)}); err != nil {
						t.Error(err)
					}
				} else {
					ticket, err := s.Begin(t.Context(), []cdc.Change{Change(id)})
					if err != nil {
						t.Error(err)
						return
					}
					if i%4 == 0 {
						s.Abort(ticket, 0)
						continue
					}
					s.Commit(ticket, 0, nil)
				}
				mu.Lock()
				want[id] = true
				mu.Unlock()
			}
		})
	}
	total := 0
	for i := range each {
		if i%10 == 9 || i%4 != 0 {
			total += writers
		}
	}
	// One reader keeps up, the other starts when all is written.
	keeping, late := s.read(0), s.read(0)
	defer running.Wait()
	for _, r := range []journal.Reader{keeping, late} {
		got := s.collect(r, total)
		check(t, got, 0, 0)
		seen := map[string]bool{}
		last := map[string]int{}
		for _, c := range got {
			w, n, _ := strings.Cut(c.RecordID, "/")
			i, err := strconv.Atoi(n)
			if err != nil || seen[c.RecordID] || i < last[w] {
				t.Fatalf("%s comes twice or too late", c.RecordID)
			}
			seen[c.RecordID], last[w] = true, i
		}
		running.Wait()
		if !maps.Equal(seen, want) {
			t.Fatal("something else was read than was written")
		}
	}
}
