package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/disk"
	"github.com/s3db-go/replicator/internal/disk/faultfs"
	"github.com/s3db-go/replicator/internal/journal"
	"github.com/s3db-go/replicator/internal/journal/journaltest"
)

func open(t *testing.T, fsys disk.FS, opts journal.Options) *journal.Disk {
	t.Helper()
	j, err := journal.Open(fsys, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func closeNow(t *testing.T, j *journal.Disk) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

func begin(t *testing.T, j *journal.Disk, ids ...string) journal.Ticket {
	t.Helper()
	var changes []cdc.Change
	for _, id := range ids {
		changes = append(changes, journaltest.Change(id))
	}
	ticket, err := j.Begin(t.Context(), changes)
	if err != nil {
		t.Fatal(err)
	}
	return ticket
}

func appendOne(t *testing.T, j *journal.Disk, id string) {
	t.Helper()
	if err := j.Append(t.Context(), []cdc.Change{journaltest.Change(id)}); err != nil {
		t.Fatal(err)
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	dir := t.TempDir()
	first, err := disk.OS(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	second, err := disk.OS(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	j := open(t, first, tiny)
	appendOne(t, j, "a")
	if _, err := journal.Open(second, tiny); !errors.Is(err, disk.ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Fatal(err)
	}
	closeNow(t, j)
	if j = open(t, second, tiny); j.Last() != 1 {
		t.Fatal(j.Last())
	}
}

func TestFilesArePrivate(t *testing.T) {
	dir := t.TempDir() + "/new/journal"
	fsys, err := disk.OS(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer fsys.Close()
	j := open(t, fsys, tiny)
	appendOne(t, j, "a")
	if err := j.SaveCursor("a", journal.Cursor{Low: 1}); err != nil {
		t.Fatal(err)
	}
	closeNow(t, j)
	for name := range contents(t, fsys, ".") {
		info, err := os.Stat(dir + "/" + name)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Fatal(name, info.Mode(), err)
		}
	}
	for _, d := range []string{dir, dir + "/cursors"} {
		if info, err := os.Stat(d); err != nil || info.Mode().Perm() != 0o700 {
			t.Fatal(d, info.Mode(), err)
		}
	}
}

func TestSegmentsAreDeletedBehindEveryCursor(t *testing.T) {
	fsys := faultfs.New()
	j := open(t, fsys, tiny)
	old := begin(t, j, "old", "older")
	for i := range 100 {
		appendOne(t, j, fmt.Sprint(i))
	}
	before := j.Stats()
	if before.Segments < 4 || before.First != 1 {
		t.Fatalf("without a cursor something was deleted: %+v", before)
	}
	save := func(name string, low uint64) {
		t.Helper()
		if err := j.SaveCursor(name, journal.Cursor{Low: low}); err != nil {
			t.Fatal(err)
		}
	}
	save("slow", 3)
	save("quick", 100)
	if got := j.Stats(); got.First != 1 {
		t.Fatalf("what the slow one needs is gone: %+v", got)
	}
	save("slow", 60)
	got := j.Stats()
	if got.First <= 1 || got.First > 61 || got.Segments >= before.Segments || got.Bytes >= before.Bytes {
		t.Fatalf("%+v", got)
	}
	if err := j.DropCursor("slow"); err != nil {
		t.Fatal(err)
	}
	if got = j.Stats(); got.Segments != 1 {
		t.Fatalf("%+v", got)
	}
	if _, err := j.Read(60); err == nil || errors.Is(err, journal.ErrCorrupt) {
		t.Fatal("reading what was deleted:", err)
	}
	if err := j.SaveCursor("new", journal.Cursor{Low: 60}); err == nil {
		t.Fatal("a cursor was saved in what was deleted")
	}
	// The announcement of the deleted segments is still open, and can be ended.
	closeNow(t, j)
	j = open(t, fsys, tiny)
	if left := j.Unresolved(); len(left) != 2 || left[0].Ticket != old || left[1].Change.RecordID != "older" {
		t.Fatal(left)
	}
	j.Commit(old, 1, nil)
	j.Abort(old, 0)
	closeNow(t, j)
	j = open(t, fsys, tiny)
	r, err := j.Read(100)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := r.Next(1); err != nil || len(got) != 1 || got[0].Change.RecordID != "older" || len(j.Unresolved()) != 0 {
		t.Fatal(got, err)
	}
	r.Close()
}

// Announcements that are larger than a segment are carried, and don't make every
// group begin a new one.
func TestMoreIsOpenThanASegmentHolds(t *testing.T) {
	fsys := faultfs.New()
	j := open(t, fsys, tiny)
	var ids []string
	for i := range 100 {
		ids = append(ids, fmt.Sprint(i))
		begin(t, j, ids[i])
	}
	segments := j.Stats().Segments
	for i := range 100 {
		appendOne(t, j, fmt.Sprint("a", i))
	}
	if more := j.Stats().Segments - segments; more > 10 {
		t.Fatal(more, "segments for a hundred small changes")
	}
	closeNow(t, j)
	j = open(t, fsys, tiny)
	left := j.Unresolved()
	for i, a := range left {
		if a.Change.RecordID != ids[i] {
			t.Fatal(i, a)
		}
	}
	if len(left) != 100 || j.Last() != 100 {
		t.Fatal(len(left), j.Last())
	}
}

func TestTornTailIsCutAndLogged(t *testing.T) {
	fsys := faultfs.New()
	j := open(t, fsys, journal.Options{SegmentBytes: 64 << 10})
	begin(t, j, "a")
	fsys.CrashAt(2) // at the flush, when all is written
	if _, err := j.Begin(t.Context(), []cdc.Change{journaltest.Change(strings.Repeat("b", 9000))}); !errors.Is(err, faultfs.ErrCrashed) {
		t.Fatal(err)
	}
	j.Close()
	cuts := 0
	for seed := range uint64(20) {
		var log bytes.Buffer
		crashed := fsys.Crash(seed)
		name, end := journal.Newest(t, crashed, journal.Encryption{})
		torn := used(contents(t, crashed, ".")[name]) > end+8
		j := open(t, crashed, journal.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if cut := strings.Contains(log.String(), "torn tail"); cut != torn {
			t.Fatalf("seed %d: torn %v, logged %q", seed, torn, log.String())
		}
		if torn {
			cuts++
			if !strings.Contains(log.String(), name) || !strings.Contains(log.String(), fmt.Sprint("offset=", end)) {
				t.Fatal(log.String())
			}
			if got := used(contents(t, crashed, ".")[name]); got > end {
				t.Fatalf("seed %d: %d bytes are left behind the end at %d", seed, got, end)
			}
		}
		if left := j.Unresolved(); len(left) == 0 || left[0].Change.RecordID != "a" {
			t.Fatal(left)
		}
		closeNow(t, j)
	}
	if cuts == 0 {
		t.Fatal("no seed tears the tail")
	}
}

// A failed write or flush is repeated in a new segment, and nobody notices but the
// log. If that fails too, nothing is taken any more until the next Open.
func TestFailedFlush(t *testing.T) {
	for failing := range 2 {
		t.Run([]string{"write", "flush"}[failing], func(t *testing.T) {
			var log bytes.Buffer
			fsys := faultfs.New()
			j := open(t, fsys, journal.Options{SegmentBytes: 64 << 10, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			ticket := begin(t, j, "a")
			settle(t, j)
			fsys.Fail(1+failing, 1+failing)
			begin(t, j, "b")
			if got := j.Stats(); got.Segments != 2 || got.Err != nil {
				t.Fatalf("%+v", got)
			}
			if !strings.Contains(log.String(), "new segment") {
				t.Fatal(log.String())
			}
			j.Commit(ticket, 0, nil)
			settle(t, j)

			// What the failed flush left is never believed.
			for seed := range uint64(10) {
				after := open(t, fsys.Crash(seed).Crash(0), tiny)
				if left := after.Unresolved(); len(left) != 1 || left[0].Change.RecordID != "b" || after.Last() != 1 {
					t.Fatal(seed, left, after.Last())
				}
				closeNow(t, after)
			}
		})
	}
}

func TestBrokenForGood(t *testing.T) {
	fsys := faultfs.New()
	j := open(t, fsys, journal.Options{SegmentBytes: 64 << 10})
	ticket := begin(t, j, "a")
	r, err := j.Read(0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	settle(t, j)
	fsys.Fail(1, 1000)
	for range 2 {
		if _, err := j.Begin(t.Context(), []cdc.Change{journaltest.Change("b")}); !errors.Is(err, faultfs.ErrInjected) {
			t.Fatal(err)
		}
	}
	if err := j.Append(t.Context(), []cdc.Change{journaltest.Change("b")}); !errors.Is(err, faultfs.ErrInjected) {
		t.Fatal(err)
	}
	if !errors.Is(j.Stats().Err, faultfs.ErrInjected) {
		t.Fatal(j.Stats().Err)
	}
	j.Commit(ticket, 0, nil)
	if err := j.Close(); !errors.Is(err, faultfs.ErrInjected) {
		t.Fatal(err)
	}
	fsys.Fail(0, 0)
	j = open(t, fsys, journal.Options{})
	if left := j.Unresolved(); len(left) == 0 || left[0].Ticket != ticket {
		t.Fatal(left)
	}
	appendOne(t, j, "c")
}

// A reader that was behind when a write failed for good gets what was durable, and
// nothing of what was not.
func TestNothingOfAFailedWriteIsSeen(t *testing.T) {
	fsys := faultfs.New()
	j := open(t, fsys, journal.Options{})
	defer j.Close()
	r, err := j.Read(0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	appendOne(t, j, "a")
	appendOne(t, j, "b")
	settle(t, j)
	fsys.Fail(1, 1000)
	if err := j.Append(t.Context(), []cdc.Change{journaltest.Change("c")}); !errors.Is(err, faultfs.ErrInjected) {
		t.Fatal(err)
	}
	entries, err := r.Next(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	for _, e := range entries {
		seen = append(seen, e.Change.RecordID)
	}
	if !slices.Equal(seen, []string{"a", "b"}) {
		t.Fatal(seen)
	}
}

// settle waits until the background is done with the next segment's file, so that
// operations can be counted from here.
func settle(t *testing.T, j *journal.Disk) {
	t.Helper()
	journal.AwaitSpare(j)
	if err := j.SaveCursor("settled", journal.Cursor{Low: j.Last()}); err != nil {
		t.Fatal(err)
	}
}

// The end mark is gone for good before anything is written behind the end.
func TestEndMarkIsRemovedDurably(t *testing.T) {
	_, clone := closedJournal(t, journal.Encryption{})
	fsys := clone()
	if _, err := journal.Open(noDirSync{fsys}, tiny); !errors.Is(err, errNoDirSync) {
		t.Fatal(err)
	}
}

var errNoDirSync = errors.New("no flush of directories")

type noDirSync struct{ disk.FS }

func (noDirSync) SyncDir(string) error { return errNoDirSync }
