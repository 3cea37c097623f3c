package journal_test

import (
	"errors"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/disk/faultfs"
	"github.com/s3db-go/replicator/internal/journal"
	"github.com/s3db-go/replicator/internal/journal/journaltest"
)

// A flush that finds the disk full fails what is new in two groups, and keeps the ends
// among them, which are numbered as if the rest had never been. What the failed flush
// left behind the segment's end is neither read nor written over.
func TestFullFlush(t *testing.T) {
	full := &os.PathError{Op: "fdatasync", Path: "x", Err: syscall.ENOSPC}
	for name, stopped := range map[string]bool{"room comes back": false, "stopped while full": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := keyed("a")
				mem := faultfs.New()
				fsys := &gate{FS: witness{mem, &sync.Map{}, t}}
				opts := journal.Options{SegmentBytes: 1 << 20, Encryption: e}
				j := open(t, fsys, opts)
				first, second, third := begin(t, j, "first"), begin(t, j, "second"), begin(t, j, "third")
				synctest.Wait()
				release := fsys.shut()
				refused := make(chan error, 2)
				appendIt := func(id string) {
					go func() { refused <- j.Append(t.Context(), []cdc.Change{journaltest.Change(id)}) }()
					synctest.Wait()
				}
				appendIt("in the first group")
				j.Commit(first, 0, nil)
				appendIt("in the second")
				j.Abort(second, 0)
				j.Commit(third, 0, nil)
				if j.Last() != 4 {
					t.Error("it ends at", j.Last())
				}
				release(full)
				synctest.Wait()
				for range 2 {
					if err := <-refused; !errors.Is(err, cdc.ErrJournalFull) {
						t.Error("Append:", err)
					}
				}
				if s := j.Stats(); s.Last != 2 || s.Durable != 0 || s.Open != 0 || s.Pressure != journal.PressureFull {
					t.Errorf("%+v", s)
				}
				if stopped {
					release = fsys.shut()
					closed := make(chan error, 1)
					go func() { closed <- j.Close() }()
					synctest.Wait()
					release(full)
					if err := <-closed; !errors.Is(err, cdc.ErrJournalFull) {
						t.Error("Close:", err)
					}
					j = open(t, fsys, opts)
					ids := []string{}
					for _, a := range j.Unresolved() {
						ids = append(ids, a.Change.RecordID)
						j.Commit(a.Ticket, a.Index, nil)
					}
					// Whether the process that failed wrote something is left to chance; here
					// it did, as far as the first group goes.
					if !slices.Equal(ids, []string{"first", "second", "third"}) {
						t.Error("open are", ids)
					}
				} else {
					time.Sleep(2 * time.Second) // virtual
					if got := readAll(t, j); !slices.Equal(got, []string{"first", "third"}) {
						t.Error("committed are", got)
					}
				}
				appendOne(t, j, "later")
				last := j.Last()
				closeNow(t, j)
				if _, err := journal.Check(mem, e); err != nil {
					t.Error(err)
				}
				j = open(t, fsys, opts)
				if j.Last() != last || len(j.Unresolved()) != 0 {
					t.Errorf("%+v", j.Stats())
				}
				closeNow(t, j)
			})
		})
	}
}

// What a full journal keeps for when there is room is not lost because the disk fails just
// when that is looked for.
func TestFullOnADiskThatFails(t *testing.T) {
	const operations = 40 // more than making room takes
	for n := range operations {
		synctest.Test(t, func(t *testing.T) {
			fsys := faultfs.New()
			j := open(t, fsys, journal.Options{MaxBytes: 256 << 10, SegmentBytes: 64 << 10})
			if err := j.SaveCursor("slow", journal.Cursor{}); err != nil {
				t.Fatal(err)
			}
			late := begin(t, j, "late")
			want := len(fill(t, j, "a")) + 1
			j.Commit(late, 0, nil)
			fsys.Fail(n+1, n+1)
			for j.SaveCursor("slow", journal.Cursor{Low: j.Stats().Durable}) != nil {
				time.Sleep(time.Second) // virtual
			}
			time.Sleep(3 * time.Second)
			fsys.Fail(0, 0)
			if s := j.Stats(); s.Last != uint64(want) || s.Durable != uint64(want) || s.Err != nil {
				t.Errorf("with operation %d failed: %+v, want %d", n+1, s, want)
			}
			closeNow(t, j)
			if j = open(t, fsys, journal.Options{}); j.Last() != uint64(want) || len(j.Unresolved()) != 0 {
				t.Errorf("with operation %d failed it is opened with %+v", n+1, j.Stats())
			}
			closeNow(t, j)
		})
	}
}
