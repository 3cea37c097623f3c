package journal_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/disk"
	"github.com/s3db-go/replicator/internal/disk/faultfs"
	"github.com/s3db-go/replicator/internal/journal"
)

// smallFS gives a directory on a real file system of 8 MiB. Where none can be mounted
// the test is not run, and fails if REPLICATOR_REQUIRE_BACKENDS is set.
func smallFS(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := mountSmall(t, dir, 8<<20); err != nil {
		if os.Getenv("REPLICATOR_REQUIRE_BACKENDS") != "" {
			t.Fatalf("NO SMALL FILE SYSTEM: %v", err)
		}
		t.Skipf("NO SMALL FILE SYSTEM, NOTHING WAS TESTED: %v", err)
	}
	return dir
}

// On a real file system that others fill: what was acknowledged is kept, cursors can
// still be written, and writing goes on when there is room again.
func TestRealFullDisk(t *testing.T) {
	for _, policy := range []journal.Policy{journal.RefuseWrites, journal.DetachSlowest, journal.Unjournaled} {
		t.Run(fmt.Sprint(policy), func(t *testing.T) {
			dir := smallFS(t)
			fsys, err := disk.OS(dir + "/journal")
			if err != nil {
				t.Fatal(err)
			}
			defer fsys.Close()
			opts := journal.Options{SegmentBytes: 256 << 10, OnFull: policy, ReserveBytes: 1 << 20}
			j := open(t, fsys, opts)
			if err := j.SaveCursor("slow", journal.Cursor{}); err != nil {
				t.Fatal(err)
			}
			var want []string
			write := func(prefix string, until func(err error) bool) {
				t.Helper()
				for i := range 20_000 {
					id := fmt.Sprint(prefix, i)
					before := j.Stats().Unjournaled
					ticket, err := j.Begin(t.Context(), []cdc.Change{bulky(id)})
					if until(err) {
						j.Abort(ticket, 0)
						return
					}
					if err != nil {
						t.Fatal(err)
					}
					j.Commit(ticket, 0, nil)
					if j.Stats().Unjournaled == before {
						want = append(want, id)
					}
				}
				t.Fatal("it goes on for ever")
			}
			full := func(err error) bool {
				return errors.Is(err, cdc.ErrJournalFull) || j.Stats().Unjournaled > 0
			}
			if policy == journal.DetachSlowest {
				// The owner detaches, so that writers are never refused.
				for round := 0; round < 3; {
					write(fmt.Sprint("a", round, "-"), func(err error) bool { return err != nil || j.Stats().Bytes > 5<<20 })
					round++
					if err := j.SaveCursor("slow", journal.Cursor{Low: j.Stats().Durable}); err != nil {
						t.Fatal(err)
					}
				}
				if len(want) < 8000 {
					t.Error("only", len(want))
				}
				want = readable(want, j)
			} else {
				write("a", full)
				if len(want) < 3000 || j.Stats().Pressure != journal.PressureFull {
					t.Errorf("full after %d: %+v", len(want), j.Stats())
				}
				// The rest is taken by somebody else, but not the reserve.
				if err := j.SaveCursor("other", journal.Cursor{Low: 3}); err != nil {
					t.Error("a cursor:", err)
				}
				if err := disk.WriteFile(fsys, "row", make([]byte, 64<<10), disk.PrivateFile); err != nil {
					t.Error("something small:", err)
				}
				for _, name := range j.Cursors() {
					if err := j.SaveCursor(name, journal.Cursor{Low: j.Stats().Durable}); err != nil {
						t.Fatal(err)
					}
				}
				awaitRoom(t, j)
				seen := j.Stats().Unjournaled
				id := "after"
				j.Commit(mustBegin(t, j, bulky(id)), 0, nil)
				want = append(want, id)
				if j.Stats().Unjournaled != seen {
					t.Error("there is room, and a change was let go")
				}
				want = readable(want, j)
			}
			closeNow(t, j)
			j = open(t, fsys, opts)
			if got := readAll(t, j); !slices.Equal(got, want) || len(j.Unresolved()) != 0 {
				t.Errorf("%d changes are there, %d expected; %d are open", len(got), len(want), len(j.Unresolved()))
			}
			closeNow(t, j)
			if left, _ := filepath.Glob(dir + "/journal/.tmp-*"); left != nil {
				t.Error(left)
			}
		})
	}
}

// readable gives those of the changes, numbered from 1, that are not deleted yet.
func readable(ids []string, j *journal.Disk) []string {
	if first := j.Stats().First; first > 0 {
		return ids[first-1:]
	}
	return nil
}

// awaitRoom waits until the journal is no longer full.
func awaitRoom(t *testing.T, j *journal.Disk) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); j.Stats().Pressure == journal.PressureFull; {
		if time.Now().After(deadline) {
			t.Fatalf("there is no room after 20 s: %+v", j.Stats())
		}
	}
}

// The disk is full at every size of it: what was acknowledged before is there, and
// all goes on when it has grown.
func TestFullAtEverySize(t *testing.T) {
	full := 0
	for size := 4 << 10; size < 80<<10; size += 512 {
		fsys := faultfs.New()
		fsys.Bound(size)
		m := newModel(t)
		err := m.attach(fsys)
		if err == nil {
			err = m.script(fsys)
		}
		if err != nil && !errors.Is(err, cdc.ErrJournalFull) && !disk.IsFull(err) {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if err != nil {
			full++
		}
		if m.Journal != nil {
			m.Close()
		}
		if size%1024 == 0 {
			fsys = fsys.Crash(uint64(size))
		}
		fsys.Bound(0)
		if err := m.goOn(fsys); err != nil {
			t.Fatalf("after %d bytes were not enough: %v", size, err)
		}
	}
	if full < 20 {
		t.Error("only", full, "sizes were too small")
	}
}
