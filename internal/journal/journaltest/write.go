package journaltest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/journal"
)

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
	if err := s.Append(t.Context(), changes); err != nil {
		t.Fatal(err)
	}
	changes[0].RecordID = "changed"
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
