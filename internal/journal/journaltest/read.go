package journaltest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/journal"
)

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

// testSkip goes from one change to another, near and far, forth and in vain back.
func testSkip(t *testing.T, s *suite) {
	const last = 30
	for i := range last {
		s.insert(fmt.Sprint(i))
	}
	s.collect(s.read(0), last)
	for range 2 {
		for step := uint64(1); step < last; step++ {
			r := s.read(0)
			for seq := uint64(1); seq <= last; seq += step {
				r.Skip(seq)
				r.Skip(seq / 2)
				entries, err := r.Next(1)
				if err != nil || len(entries) != 1 || entries[0].Change.Seq != seq || entries[0].Change.RecordID != fmt.Sprint(seq-1) {
					t.Fatalf("in steps of %d, at %d: %v, %v", step, seq, entries, err)
				}
			}
			r.Skip(last + 1)
			if entries, err := r.Next(1); len(entries) != 0 || err != nil {
				t.Fatalf("behind the end: %v, %v", entries, err)
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
	// It is closed at once if something is there already.
	s.insert("before")
	r := s.read(0)
	s.collect(s.read(0), 1) // so that it is durable
	s.await(r)
	s.collect(r, 1)

	const n = 300
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
	check(t, s.collect(r, n), 1, 0)
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
		"in part":           {Low: 2, Partial: []journal.Part{{Seq: 3, Targets: []string{"a", "ü"}}, {Seq: 20, Targets: []string{""}}}},
		"both": {Low: 2, Ranges: []journal.Range{{First: 4, Last: 6}},
			Partial: []journal.Part{{Seq: 3, Targets: []string{"a"}}}},
	}
	// The lowest first: what is behind all cursors need not be there any more.
	names := slices.SortedFunc(maps.Keys(want), func(a, b string) int { return cmp.Compare(want[a].Low, want[b].Low) })
	for _, name := range names {
		c := want[name]
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
			if diff := gocmp.Diff(c, got); !ok || diff != "" {
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
		{Low: 1, Partial: []journal.Part{{Seq: 1, Targets: []string{"a"}}}},
		{Low: 1, Partial: []journal.Part{{Seq: 2}}},
		{Low: 1, Partial: []journal.Part{{Seq: 3, Targets: []string{"a"}}, {Seq: 3, Targets: []string{"b"}}}},
		{Low: 1, Partial: []journal.Part{{Seq: 5, Targets: []string{"a"}}}},
	} {
		if err := s.SaveCursor("x", c); err == nil {
			t.Fatalf("%+v was saved", c)
		}
	}
	if len(s.Cursors()) != 0 {
		t.Fatal(s.Cursors())
	}
}
