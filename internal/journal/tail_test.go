package journal_test

import (
	"fmt"
	"testing"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/disk/faultfs"
	"github.com/s3db-go/replicator/internal/journal"
)

// Readers that keep up get the same decoded changes; one that does not reads them
// from the files.
func TestTailIsShared(t *testing.T) {
	j := open(t, faultfs.New(), journal.Options{SegmentBytes: 4 << 10, TailBytes: 1000})
	behind := readFrom(t, j, 0)
	defer behind.Close()
	appendOne(t, j, "a")
	if !held(t, j, 1) {
		t.Fatal("decoded twice")
	}
	for i := range 50 {
		appendOne(t, j, fmt.Sprint(i))
	}
	if !held(t, j, 51) {
		t.Fatal("decoded twice")
	}
	if held(t, j, 1) {
		t.Fatal("the tail holds more than it should")
	}
}

// What no open reader will ask for any more is not kept in memory.
func TestTailEndsWhereAllReadersAre(t *testing.T) {
	j := open(t, faultfs.New(), journal.Options{})
	appendOne(t, j, "nobody reads")
	if held(t, j, 1) {
		t.Fatal("kept for nobody")
	}
	slow, quick := readFrom(t, j, 1), readFrom(t, j, 1)
	appendOne(t, j, "a")
	appendOne(t, j, "b")
	for _, want := range []string{"a", "b"} { // the second comes when the first is done with
		got, err := quick.Next(1)
		if err != nil || len(got) != 1 || got[0].Change.RecordID != want {
			t.Fatal(got, err)
		}
	}
	appendOne(t, j, "c")
	if !held(t, j, 2) || !held(t, j, 3) {
		t.Fatal("the slow reader has not seen it")
	}
	slow.Close()
	appendOne(t, j, "d")
	if held(t, j, 2) || !held(t, j, 3) {
		t.Fatal("only the quick reader counts, and it may still use what it was given last")
	}
	quick.More() // which it asks for when it is done with that
	appendOne(t, j, "e")
	if held(t, j, 3) || !held(t, j, 4) {
		t.Fatal("what the quick reader has not seen begins with d")
	}
	quick.Close()
	appendOne(t, j, "f")
	if held(t, j, 6) {
		t.Fatal("kept for nobody")
	}
}

// held reports whether the journal has a change in memory: who reads it twice then gets the
// same one.
func held(t *testing.T, j *journal.Disk, seq uint64) bool {
	t.Helper()
	var seen [2]*cdc.Change
	for i := range seen {
		r := readFrom(t, j, seq-1)
		got, err := r.Next(1)
		if err != nil || len(got) != 1 || got[0].Change.Seq != seq {
			t.Fatal(got, err)
		}
		seen[i] = got[0].Change
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return seen[0] == seen[1]
}

func readFrom(t *testing.T, j *journal.Disk, after uint64) journal.Reader {
	t.Helper()
	r, err := j.Read(after)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
