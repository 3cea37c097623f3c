package journal_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/disk"
	"github.com/s3db-go/replicator/internal/disk/faultfs"
	"github.com/s3db-go/replicator/internal/journal"
	"github.com/s3db-go/replicator/internal/journal/journaltest"
)

// gate is a file system whose flushes wait until they are let through.
type gate struct {
	disk.FS
	mu      sync.Mutex
	closed  chan struct{} // nil while the gate is open
	failing error         // what the flushes that waited give
	flushes int
}

type gatedFile struct {
	disk.File
	gate *gate
}

func (g *gate) OpenFile(name string, flag int, perm os.FileMode) (disk.File, error) {
	f, err := g.FS.OpenFile(name, flag, perm)
	return gatedFile{f, g}, err
}

func (f gatedFile) Datasync() error {
	if err := f.gate.wait(); err != nil {
		return err
	}
	return f.File.Datasync()
}

func (g *gate) wait() error {
	g.mu.Lock()
	g.flushes++
	closed := g.closed
	g.mu.Unlock()
	if closed == nil {
		return nil
	}
	<-closed
	return g.failing
}

// shut makes flushes wait until they are let through, to succeed or to fail.
func (g *gate) shut() (open func(error)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	closed := make(chan struct{})
	g.closed = closed
	return func(err error) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.closed, g.failing = nil, err
		close(closed)
	}
}

func (g *gate) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.flushes
}

// All that arrive during a flush wait for one more.
func TestGroupCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := &gate{FS: faultfs.New()}
		j := open(t, fsys, journal.Options{SegmentBytes: 1 << 20})
		synctest.Wait()
		before := fsys.count()
		release := fsys.shut()
		var running sync.WaitGroup
		announce := func(id string) {
			running.Go(func() { begin(t, j, id) })
		}
		announce("first")
		synctest.Wait()
		for i := range 100 {
			announce(fmt.Sprint(i))
		}
		synctest.Wait()
		release(nil)
		running.Wait()
		if n := fsys.count() - before; n != 2 {
			t.Fatal(n, "flushes for 101 callers")
		}
		closeNow(t, j)
	})
}

// However many wait for a group, each is told what became of it.
func TestEveryCallerIsToldTheFate(t *testing.T) {
	const callers = 300
	for name, opts := range map[string]journal.Options{
		"written": tiny,
		"failed":  tiny,
		"no room": {MaxBytes: 32 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				disk := faultfs.New()
				fsys := &gate{FS: disk}
				j := open(t, fsys, opts)
				synctest.Wait()
				release := fsys.shut()
				announce := func() error {
					_, err := j.Begin(context.Background(), []cdc.Change{journaltest.Change("a")})
					return err
				}
				var running sync.WaitGroup
				running.Go(func() { _ = announce() }) // its flush is under way
				synctest.Wait()
				fates := make(chan error, callers)
				for range callers {
					running.Go(func() { fates <- announce() })
				}
				synctest.Wait()
				if name == "failed" {
					disk.Fail(0, 1<<30)
				}
				release(nil)
				running.Wait()
				close(fates)
				for err := range fates {
					if failed := err != nil; failed != (name != "written") || errors.Is(err, cdc.ErrJournalFull) != (name == "no room") {
						t.Fatal(err)
					}
				}
				if err := j.Close(); (err != nil) != (name == "failed") {
					t.Fatal(err)
				}
			})
		})
	}
}

// Nobody waits for a commit, and yet it is soon durable and read.
func TestCommitIsFlushedWhenIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := open(t, faultfs.New(), tiny)
		ticket := begin(t, j, "a")
		r, err := j.Read(0)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		j.Commit(ticket, 0, nil)
		synctest.Wait()
		if got, err := r.Next(1); err != nil || len(got) != 1 {
			t.Fatal(got, err)
		}
		closeNow(t, j)
	})
}

// A reader and a cursor wait for what is committed and not durable yet.
func TestNothingIsSeenBeforeItIsDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := &gate{FS: faultfs.New()}
		j := open(t, fsys, journal.Options{SegmentBytes: 1 << 20})
		ticket := begin(t, j, "a")
		r, err := j.Read(0)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		release := fsys.shut()
		j.Commit(ticket, 0, nil)
		synctest.Wait()
		if got, err := r.Next(1); err != nil || len(got) != 0 || j.Last() != 1 || j.Stats().Durable != 0 {
			t.Fatal(got, err, j.Stats())
		}
		saved := make(chan error, 1)
		go func() { saved <- j.SaveCursor("a", journal.Cursor{Low: 1}) }()
		synctest.Wait()
		more := r.More()
		select {
		case err := <-saved:
			t.Fatal("the cursor did not wait:", err)
		case <-more:
			t.Fatal("More did not wait")
		default:
		}
		release(nil)
		<-more
		if got, err := r.Next(1); err != nil || len(got) != 1 {
			t.Fatal(got, err)
		}
		if err := <-saved; err != nil {
			t.Fatal(err)
		}
		closeNow(t, j)
	})
}

// A Begin that is given up while it waits is ended by the journal itself.
func TestCancelledWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := &gate{FS: faultfs.New()}
		j := open(t, fsys, journal.Options{SegmentBytes: 1 << 20})
		synctest.Wait()
		release := fsys.shut()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			_, err := j.Begin(ctx, []cdc.Change{journaltest.Change("a"), journaltest.Change("b")})
			done <- err
		}()
		synctest.Wait()
		if j.Stats().Open != 2 {
			t.Fatalf("%+v", j.Stats())
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if j.Stats().Open != 0 {
			t.Fatalf("%+v", j.Stats())
		}
		release(nil)
		closeNow(t, j)
		j = open(t, fsys, tiny)
		if left := j.Unresolved(); len(left) != 0 {
			t.Fatal(left)
		}
		closeNow(t, j)
	})
}

// A process is killed between a write and its flush: the next one reads what it wrote,
// and what that one was told to be there must outlive a loss of power.
func TestWhatWasFoundIsDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := faultfs.New()
		killed := &gate{FS: fsys}
		first := open(t, killed, journal.Options{SegmentBytes: 1 << 20})
		synctest.Wait()
		release := killed.shut()
		go first.Begin(t.Context(), []cdc.Change{journaltest.Change("a")})
		synctest.Wait()
		second := open(t, unlocked{fsys}, tiny)
		if left := second.Unresolved(); len(left) != 1 {
			t.Fatal(left)
		}
		third := open(t, fsys.Crash(0), tiny)
		if left := third.Unresolved(); len(left) != 1 {
			t.Fatal(left)
		}
		release(nil)
		closeNow(t, third)
		second.Close()
		first.Close()
	})
}

// unlocked lets a second journal in while the one that is taken for dead still holds
// the lock.
type unlocked struct{ disk.FS }

func (unlocked) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

// A commit that arrives while a group fails belongs to an announcement that the new
// segment must repeat.
func TestCommitDuringFailedFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := &gate{FS: faultfs.New()}
		j := open(t, fsys, journal.Options{SegmentBytes: 1 << 20})
		ticket := begin(t, j, "x")
		release := fsys.shut()
		var running sync.WaitGroup
		running.Go(func() { begin(t, j, "y") })
		synctest.Wait()
		j.Commit(ticket, 0, nil)
		release(errors.New("no flush"))
		running.Wait()
		closeNow(t, j)
		j = open(t, fsys, tiny)
		if left := j.Unresolved(); len(left) != 1 || left[0].Change.RecordID != "y" || j.Last() != 1 {
			t.Fatal(left, j.Last())
		}
		closeNow(t, j)
	})
}
