package journal_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/disk"
	"github.com/s3db-go/replicator/internal/journal"
	"github.com/s3db-go/replicator/internal/journal/journaltest"
)

// fixtures are the directories in testdata and what they are opened with.
var fixtures = map[string]journal.Encryption{"v1": {}, "v1-encrypted": keyed("fixture")}

// A fixture is what a released version wrote. It is never written again: a new
// format gets one of its own beside it.
var newFixture = flag.String("new-fixture", "", "the folder in which to write a fixture, which must not exist")

// fixtureChange is the i-th change of a fixture: all kinds of values are among them.
func fixtureChange(i int) cdc.Change {
	c := journaltest.Change(fmt.Sprintf("record-%02d", i))
	c.Op = []cdc.Op{cdc.Inserted, cdc.Updated, cdc.Deleted}[i%3]
	c.SchemaVersion, c.Trace = i%4, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	decimal, err := cdc.ParseDecimal(fmt.Sprintf("%d.50", i))
	if err != nil {
		panic(err)
	}
	c.Data = cdc.Record{
		"null": nil, "bool": i%2 == 0, "int": int64(i) << 40, "float": float64(i) / 3, "decimal": decimal,
		"string": strings.Repeat("ü", i), "bytes": []byte{0, byte(i)}, "time": time.UnixMicro(int64(i)).UTC(),
		"array": []any{int64(1), "two", nil}, "object": map[string]any{"nested": int64(i)},
	}
	if c.Op != cdc.Inserted {
		c.Before = cdc.Record{"bool": i%2 == 1}
	}
	return c
}

// The entries of the fixture, of which those with a name are for one destination.
const fixtureLength = 41

func fixtureTo(i int) string { return map[int]string{7: "backup", 8: "backup", 20: "other"}[i] }

func fixtureSchema(i int) bool { return i == 10 || i == 30 }

// writeFixture makes entry i the change i, and leaves three announcements open.
func writeFixture(t *testing.T, j *journal.Disk) {
	var tickets []journal.Ticket
	announce := func(changes ...cdc.Change) {
		t.Helper()
		ticket, err := j.Begin(t.Context(), changes)
		if err != nil {
			t.Fatal(err)
		}
		tickets = append(tickets, ticket)
	}
	announce(fixtureChange(100), fixtureChange(101), fixtureChange(102)) // the first and last stay open
	announce(fixtureChange(103))                                         // stays open
	j.Abort(tickets[0], 1)
	for i := 1; i <= fixtureLength; i++ {
		var err error
		switch to := fixtureTo(i); {
		case to != "":
			_, err = j.AppendTo(t.Context(), to, []cdc.Change{fixtureChange(i)}, nil)
		case fixtureSchema(i):
			err = j.AppendSchema(t.Context(), "users", i, nil)
		case i%4 == 0:
			err = j.Append(t.Context(), []cdc.Change{fixtureChange(i)})
		case i%5 == 0:
			announce(fixtureChange(0))
			as := fixtureChange(i)
			j.Commit(tickets[len(tickets)-1], 0, &as)
		default:
			announce(fixtureChange(i))
			j.Commit(tickets[len(tickets)-1], 0, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	cursors := fixtureCursors()
	for _, name := range slices.Sorted(maps.Keys(cursors)) { // "0" first: it keeps all segments
		if err := j.SaveCursor(name, cursors[name]); err != nil {
			t.Fatal(err)
		}
	}
	closeNow(t, j)
}

func fixtureCursors() map[string]journal.Cursor {
	return map[string]journal.Cursor{
		"backup": {Low: 12, Ranges: []journal.Range{{First: 14, Last: 14}, {First: 20, Last: 39}},
			Partial: []journal.Part{{Seq: 13, Targets: []string{"users", "ümlaut"}}, {Seq: 40, Targets: []string{"orders"}}}},
		"Other/1": {Low: fixtureLength},
		"0":       {},
	}
}

// checkFixture compares a journal with what writeFixture wrote.
func checkFixture(t *testing.T, j *journal.Disk) {
	t.Helper()
	var open []string
	for _, a := range j.Unresolved() {
		open = append(open, fmt.Sprint(a.Ticket, " ", a.Index, " ", a.Change.RecordID))
	}
	if diff := cmp.Diff([]string{"1 0 record-100", "1 2 record-102", "2 0 record-103"}, open); diff != "" {
		t.Error("open:", diff)
	}
	if s := j.Stats(); s.Segments < 3 || s.First != 1 || s.Last != fixtureLength {
		t.Errorf("%+v", s)
	}
	for name, want := range fixtureCursors() {
		got, ok := j.Cursor(name)
		if diff := cmp.Diff(want, got); !ok || diff != "" {
			t.Errorf("cursor %s: %s", name, diff)
		}
	}
	r, err := j.Read(0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for i, version := 1, uint64(0); i <= fixtureLength; {
		entries, err := r.Next(1 << 20)
		if err != nil || len(entries) == 0 {
			t.Fatalf("entry %d: %v", i, err)
		}
		for _, e := range entries {
			want, kind := fixtureChange(i), journal.Committed
			switch {
			case fixtureSchema(i):
				want, kind = cdc.Change{Resource: "users", SchemaVersion: i}, journal.Schema
			case fixtureTo(i) == "" && i%4 != 0 && i%5 == 0:
				as := want
				want = fixtureChange(0)
				want.Op, want.Data, want.Before, want.Origin, want.SchemaVersion = as.Op, as.Data, as.Before, as.Origin, as.SchemaVersion
			}
			want.Seq, want.Version = uint64(i), e.Change.Version
			if diff := cmp.Diff(want, *e.Change); diff != "" || e.Kind != kind || e.To != fixtureTo(i) || e.Change.Version <= version {
				t.Errorf("entry %d is %+v, for %q: %s", i, e, e.To, diff)
			}
			i, version = i+1, e.Change.Version
		}
	}
}

// What a released version wrote is read for ever, and written on.
func TestFixture(t *testing.T) {
	if *newFixture != "" {
		if _, err := os.Stat(*newFixture); err == nil {
			t.Fatal(*newFixture, "is there already")
		}
		fsys, err := disk.OS(*newFixture)
		if err != nil {
			t.Fatal(err)
		}
		defer fsys.Close()
		opts := tiny
		opts.Encryption = fixtures[filepath.Base(*newFixture)]
		writeFixture(t, open(t, fsys, opts))
		return
	}
	for name, e := range fixtures {
		t.Run(name, func(t *testing.T) {
			opts := tiny
			opts.Encryption = e
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS("testdata/"+name)); err != nil {
				t.Fatal(err)
			}
			fsys, err := disk.OS(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer fsys.Close()
			for range 2 {
				if c, err := journal.Check(fsys, e); err != nil || c.Last != fixtureLength || c.Open != 3 || c.Cursors != 3 {
					t.Errorf("%+v, %v", c, err)
				}
				j := open(t, fsys, opts)
				checkFixture(t, j)
				closeNow(t, j)
			}
			j := open(t, fsys, opts)
			j.Commit(1, 2, nil)
			appendOne(t, j, "later")
			if j.Last() != fixtureLength+2 {
				t.Error("it goes on with", j.Last())
			}
			closeNow(t, j)
		})
	}
}
