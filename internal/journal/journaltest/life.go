package journaltest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/journal"
)

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
	if s.harness.Forgets {
		return
	}
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
