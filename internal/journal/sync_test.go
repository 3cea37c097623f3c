package journal_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/disk/faultfs"
	"github.com/s3db-go/replicator/internal/journal"
	"github.com/s3db-go/replicator/internal/journal/journaltest"
)

// A loss of power at every operation: what is left is a prefix, no cursor is ahead of
// it, and the journal goes on. A process that is killed instead loses nothing.
func TestWeakSync(t *testing.T) {
	for name, sync := range map[string]journal.Sync{"never": journal.SyncNever, "interval": journal.SyncInterval(time.Microsecond)} {
		t.Run(name, func(t *testing.T) {
			opts := tiny
			opts.Sync = sync
			opts.SegmentBytes = 32 << 10 // several pages, of which any may be lost
			for n := 1; ; n += 2 {
				fsys := faultfs.New()
				fsys.CrashAt(n)
				past := newModel(t)
				past.opts = opts
				err := past.attach(fsys)
				if err == nil {
					err = past.script(fsys)
				}
				if err != nil && !errors.Is(err, faultfs.ErrCrashed) {
					t.Fatalf("crash at operation %d: %v", n, err)
				}
				if past.Journal != nil {
					past.Close()
				}
				if !fsys.Crashed() {
					break
				}
				for i := range *seeds {
					future := past.clone()
					future.weak = true
					if err := future.goOn(fsys.Crash(uint64(i * n))); err != nil {
						t.Fatalf("after a crash at operation %d, seed %d: %v", n, i*n, err)
					}
				}
			}
		})
	}
}

// A group that is longer than its segment's file lengthens it. Where the flush of that
// failed, the system takes the length for durable, and the next process, which relies on
// what it read, must make it so.
func TestLengthAfterAFlushThatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys, opts := faultfs.New(), journal.Options{SegmentBytes: 512, Sync: journal.SyncNever}
		j := open(t, fsys, opts)
		long := journaltest.Change("a")
		long.Data["pad"] = strings.Repeat("x", 2000)
		if err := j.Append(t.Context(), []cdc.Change{long}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // for the next segment's file
		fsys.FailFlush(1)
		if err := j.Close(); !errors.Is(err, faultfs.ErrInjected) {
			t.Fatal(err)
		}
		j = open(t, fsys, opts)
		if j.Last() != 1 {
			t.Fatal(j.Last())
		}
		synctest.Wait()
		after := open(t, fsys.Crash(0), opts)
		if after.Last() != 1 {
			t.Errorf("what the second process had read is lost, up to %d", after.Last())
		}
		closeNow(t, after)
		_ = j.Close() // without power
	})
}

// Flushes come after the interval, for a cursor, for what one destination alone is sent, and
// at Close, and otherwise not.
func TestWhenItIsFlushed(t *testing.T) {
	for name, tt := range map[string]struct {
		sync  journal.Sync
		after int // flushes within ten seconds, in which something is written at once
	}{
		"always":   {journal.SyncAlways, 20},
		"interval": {journal.SyncInterval(time.Second), 1},
		"never":    {journal.SyncNever, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fsys := &gate{FS: faultfs.New()}
				j := open(t, fsys, journal.Options{Sync: tt.sync, SegmentBytes: 1 << 20})
				synctest.Wait()
				before := fsys.count()
				for range 20 {
					begin(t, j, "a")
				}
				time.Sleep(10 * time.Second) // virtual
				if got := fsys.count() - before; got != tt.after {
					t.Errorf("%d flushes, want %d", got, tt.after)
				}
				appendOne(t, j, "b")
				before = fsys.count()
				if err := j.SaveCursor("a", journal.Cursor{Low: j.Last()}); err != nil {
					t.Fatal(err)
				}
				if got := fsys.count() - before; (got != 1) != (tt.sync == journal.SyncAlways) {
					t.Errorf("%d flushes for a cursor", got)
				}
				before = fsys.count()
				if _, err := j.AppendTo(t.Context(), "a", []cdc.Change{journaltest.Change("of a chunk")}, nil); err != nil {
					t.Fatal(err)
				}
				if got := fsys.count() - before; got != 1 {
					t.Errorf("%d flushes for what one destination is sent", got)
				}
				appendOne(t, j, "c")
				before = fsys.count()
				closeNow(t, j)
				if got := fsys.count() - before; (got != 1) != (tt.sync == journal.SyncAlways) {
					t.Errorf("%d flushes at Close", got)
				}
			})
		})
	}
}

// A flush that fails can't be made good: nothing is taken any more, and who waits for
// it is told.
func TestWeakFlushFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := &gate{FS: faultfs.New()}
		j := open(t, fsys, journal.Options{Sync: journal.SyncNever, SegmentBytes: 1 << 20})
		appendOne(t, j, "a")
		synctest.Wait()
		failed := errors.New("no flush")
		release := fsys.shut()
		saved := make(chan error, 1)
		go func() { saved <- j.SaveCursor("a", journal.Cursor{Low: 1}) }()
		synctest.Wait()
		release(failed)
		if err := <-saved; !errors.Is(err, failed) {
			t.Error("SaveCursor:", err)
		}
		if _, err := j.Begin(t.Context(), nil); !errors.Is(err, failed) || !errors.Is(j.Stats().Err, failed) {
			t.Error("Begin:", err)
		}
		if err := j.Close(); !errors.Is(err, failed) {
			t.Error("Close:", err)
		}
	})
}
