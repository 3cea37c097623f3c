package journaltest

import (
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

// entries reads n entries as a destination sees them.
func (s *suite) entries(destination string, after uint64, n int) []journal.Entry {
	s.t.Helper()
	r, err := journal.For(s.Journal, destination).Read(after)
	if err != nil {
		s.t.Fatal("Read:", err)
	}
	defer r.Close()
	var out []journal.Entry
	for len(out) < n {
		got, err := r.Next(3000)
		if err != nil {
			s.t.Fatal("Next:", err)
		}
		out = append(out, got...)
		if len(got) == 0 {
			s.await(r)
		}
	}
	return out
}

func (s *suite) appendTo(destination string, w *journal.Watch, ids ...string) int {
	s.t.Helper()
	var changes []cdc.Change
	for _, id := range ids {
		changes = append(changes, Change(id))
	}
	n, err := s.AppendTo(s.t.Context(), destination, changes, w)
	if err != nil {
		s.t.Fatal("AppendTo:", err)
	}
	return n
}

func testAppendTo(t *testing.T, s *suite) {
	s.insert("a")
	if n := s.appendTo("backup", nil, "b", "c"); n != 2 || s.Stats().Durable != 3 {
		t.Fatalf("%d were appended: %+v", n, s.Stats())
	}
	s.appendTo("other", nil, "d")
	s.insert("e")
	want := []struct{ id, to string }{{"a", ""}, {"b", "backup"}, {"c", "backup"}, {"d", "other"}, {"e", ""}}
	for range 2 {
		for _, reader := range []string{"", "backup", "other", "third"} {
			got := s.entries(reader, 0, len(want))
			for i, e := range got {
				if e.Change.Seq != uint64(i+1) || e.To != want[i].to || e.Bytes == 0 || i > 0 && e.Change.Version <= got[i-1].Change.Version {
					t.Fatalf("%q reads %d as %+v %+v", reader, i, e, e.Change)
				}
				c := Change(want[i].id)
				kind := journal.Committed
				if reader != "" && e.To != "" && e.To != reader {
					c, kind = cdc.Change{}, journal.Foreign
				}
				c.Seq, c.Version = e.Change.Seq, e.Change.Version
				if diff := cmp.Diff(c, *e.Change); diff != "" || e.Kind != kind {
					t.Fatalf("%q reads %d as %d: %s", reader, i, e.Kind, diff)
				}
			}
		}
		s.reopen()
	}
	for _, name := range []string{"", strings.Repeat("x", 1<<20)} {
		if _, err := s.AppendTo(t.Context(), name, []cdc.Change{Change("x")}, nil); err == nil {
			t.Fatalf("a name of %d bytes was taken", len(name))
		}
	}
}

func testSchema(t *testing.T, s *suite) {
	s.insert("a")
	if err := s.AppendSchema(t.Context(), "users", 2, nil); err != nil {
		t.Fatal(err)
	}
	s.insert("b")
	if err := s.AppendSchema(t.Context(), "", 2, nil); err == nil {
		t.Fatal("a resource without a name was taken")
	}
	schema := cdc.Schema{
		Resource: "users", Version: 3, Key: []string{"id"}, Open: true, Native: "as the source says",
		Fields: []cdc.Field{
			{Name: "name", Type: cdc.TypeString, Required: true, Native: "string|required"},
			{Name: "tags", Type: cdc.TypeArray, Fields: []cdc.Field{{Type: cdc.TypeDecimal, Secret: true}}},
		},
		Retired: []cdc.Field{{Name: "ssn", Type: cdc.TypeAny, Secret: true}},
	}
	if err := s.AppendSchema(t.Context(), "users", 3, &schema); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for _, reader := range []string{"", "backup"} {
			got := s.entries(reader, 0, 4)
			if got[0].Kind != journal.Committed || got[2].Kind != journal.Committed || got[2].Change.RecordID != "b" {
				t.Fatalf("%+v", got)
			}
			e := got[1]
			want := cdc.Change{Seq: 2, Version: e.Change.Version, Resource: "users", SchemaVersion: 2}
			if diff := cmp.Diff(want, *e.Change); diff != "" || e.Kind != journal.Schema || e.Bytes == 0 {
				t.Fatal(e, diff)
			}
			if diff := cmp.Diff(&schema, got[3].Schema); diff != "" || e.Schema != nil || got[3].Change.SchemaVersion != 3 || got[3].Bytes <= e.Bytes {
				t.Fatal(got[3], diff)
			}
		}
		s.reopen()
	}
}

func testWatch(t *testing.T, s *suite) {
	s.insert("before")
	open, ended := s.begin(Change("open")), s.begin(Change("ended"))
	w := s.Watch()
	s.insert("live")
	s.Commit(ended, 0, nil)
	s.Abort(s.begin(Change("aborted")), 0)
	if err := s.Append(t.Context(), []cdc.Change{Change("appended")}); err != nil {
		t.Fatal(err)
	}
	s.appendTo("other", nil, "snapshot")
	chunk := []string{"before", "live", "open", "ended", "aborted", "appended", "snapshot", "quiet"}
	want := []string{"before", "open", "aborted", "snapshot", "quiet"}
	first := s.Last()
	if n := s.appendTo("backup", w, chunk...); n != len(want) {
		t.Fatal(n, "were appended")
	}
	var left []string
	for _, key := range w.Left() {
		left = append(left, key.RecordID)
	}
	if slices.Sort(left); !slices.Equal(left, []string{"appended", "ended", "live"}) {
		t.Fatal(left, "were left out")
	}
	s.Commit(open, 0, nil) // comes later, as it should
	var got []string
	for _, e := range s.entries("backup", first, len(want)+1) {
		got = append(got, e.Change.RecordID)
	}
	if !slices.Equal(got, append(want, "open")) {
		t.Fatal(got)
	}
	if n := s.appendTo("backup", w, "live", "open"); n != 0 {
		t.Fatal(n, "were appended, all of them changed")
	}
	for range 2 {
		w.Close()
	}
	if _, err := s.AppendTo(t.Context(), "backup", []cdc.Change{Change("quiet")}, w); !errors.Is(err, journal.ErrWatchFull) {
		t.Fatal("a closed watch passed for one that saw nothing:", err)
	}

	// Against a commit at any moment of the appending, most of which is encoding: what
	// is appended of a record never follows a commit that the watch could see.
	many := make([]string, 200)
	for i := range many {
		many[i] = fmt.Sprint("many", i)
	}
	for round := range 40 {
		id := fmt.Sprint("round", round)
		ticket := s.begin(Change(id))
		w := s.Watch()
		from := s.Last()
		var writer sync.WaitGroup
		writer.Go(func() {
			for range round * 8 {
				_ = codecWork()
			}
			s.Commit(ticket, 0, nil)
		})
		n := s.appendTo("backup", w, append([]string{id}, many...)...)
		writer.Wait()
		w.Close()
		committed := false
		for _, e := range s.entries("", from, n+1) {
			committed = committed || e.To == ""
			if committed && e.To != "" && e.Change.RecordID == id {
				t.Fatalf("%s was appended behind its commit", id)
			}
		}
	}
}

// codecWork takes about as long as encoding a change does, so that a commit falls
// anywhere between the first and the last.
func codecWork() string { return fmt.Sprint(Change("x").Data) }

func testWatchFull(t *testing.T, s *suite) {
	w := s.Watch()
	defer w.Close()
	for from := 0; from < 110_000; from += 10_000 {
		many := make([]cdc.Change, 10_000)
		for i := range many {
			many[i] = cdc.Change{Op: cdc.Deleted, Resource: "r", RecordID: fmt.Sprint(from + i)}
		}
		if err := s.Append(t.Context(), many); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.AppendTo(t.Context(), "backup", []cdc.Change{Change("x")}, w); !errors.Is(err, journal.ErrWatchFull) {
		t.Fatal(err)
	}
}
