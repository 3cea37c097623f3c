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

// A batch that is larger than what is kept is kept whole until the next is written: a quick
// reader finds it in memory.
func TestTheNewestGroupIsShared(t *testing.T) {
	j := open(t, faultfs.New(), journal.Options{TailBytes: 1000})
	defer readFrom(t, j, 0).Close()
	var batch []cdc.Change
	for i := range 1000 {
		batch = append(batch, cdc.Change{Op: cdc.Inserted, Resource: "r", RecordID: fmt.Sprint(i), Data: cdc.Record{"n": int64(i)}})
	}
	if err := j.Append(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if !held(t, j, 1) || !held(t, j, 1000) {
		t.Fatal("decoded twice")
	}
	appendOne(t, j, "next")
	if held(t, j, 1) || !held(t, j, 1001) {
		t.Fatal("kept beyond the next group")
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

// Nothing is kept for a reader that is far behind, and who catches up is served from memory
// again, without a gap.
func TestTailIsOfThoseWhoKeepUp(t *testing.T) {
	j := open(t, faultfs.New(), journal.Options{TailBytes: 1000})
	slow := readFrom(t, j, 0)
	defer slow.Close()
	var many []cdc.Change
	for i := range 1000 {
		many = append(many, cdc.Change{Op: cdc.Inserted, Resource: "r", RecordID: fmt.Sprint(i), Data: cdc.Record{"n": int64(i)}})
	}
	for range 6 {
		if err := j.Append(t.Context(), many); err != nil {
			t.Fatal(err)
		}
	}
	appendOne(t, j, "nobody keeps up")
	if held(t, j, 6001) {
		t.Fatal("kept for one who is 6,000 behind")
	}
	for seq := uint64(1); seq <= 6001; {
		got, err := slow.Next(64 << 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range got {
			if e.Change.Seq != seq {
				t.Fatalf("seq %d comes where %d is next", e.Change.Seq, seq)
			}
			seq++
		}
	}
	appendOne(t, j, "it is there")
	appendOne(t, j, "and is served")
	for _, want := range []string{"it is there", "and is served"} {
		got, err := slow.Next(1)
		if err != nil || len(got) != 1 || got[0].Change.RecordID != want {
			t.Fatal(got, err)
		}
	}
	if !held(t, j, 6003) {
		t.Fatal("nothing is kept for one who has caught up")
	}
	if many[0].Seq != 0 || many[0].Version != 0 {
		t.Fatal("the caller's change got numbers")
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
