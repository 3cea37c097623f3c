package journal_test

import (
	"errors"
	"flag"
	"testing"

	"github.com/s3db-go/replicator/internal/disk"
	"github.com/s3db-go/replicator/internal/disk/faultfs"
)

var seeds = flag.Int("seeds", 3, "how many futures to try after every crash")

// operations counts those of a script that nothing disturbs.
func operations(t *testing.T) int {
	fsys := faultfs.New()
	m := newModel(t)
	if err := m.attach(fsys); err != nil {
		t.Fatal(err)
	}
	if err := m.script(fsys); err != nil {
		t.Fatal(err)
	}
	// The segments are made in the background: the count differs a little each time.
	return fsys.Ops() + fsys.Ops()/20
}

// Power is lost at every operation of the script. What the disk keeps of what was
// not flushed is nothing (seed 0) or a part (the other seeds).
func TestCrashAtEveryOperation(t *testing.T) {
	total := operations(t)
	for n := 1; n <= total; n++ {
		fsys := faultfs.New()
		fsys.CrashAt(n)
		past := newModel(t)
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
		for i := range *seeds {
			seed := uint64(i * n) // the first one keeps only what was flushed
			future := past.clone()
			if err := future.goOn(fsys.Crash(seed)); err != nil {
				t.Fatalf("after a crash at operation %d of %d, seed %d: %v", n, total, seed, err)
			}
		}
	}
}

// Power is lost again while the journal recovers and works on.
func TestCrashDuringRecovery(t *testing.T) {
	total := operations(t)
	for n := 1; n <= total; n += 11 {
		fsys := faultfs.New()
		fsys.CrashAt(n)
		past := newModel(t)
		if past.attach(fsys) == nil {
			past.script(fsys)
		}
		if past.Journal != nil {
			past.Close()
		}
		for again := 1; again < 60; again += 4 {
			seed := uint64(again)
			second := fsys.Crash(seed)
			second.CrashAt(again)
			future := past.clone()
			if err := future.goOn(second); err != nil && !errors.Is(err, faultfs.ErrCrashed) {
				t.Fatalf("crash at operation %d and at %d after it: %v", n, again, err)
			}
			if future.Journal != nil {
				future.Close()
			}
			if err := future.goOn(second.Crash(seed + 1)); err != nil {
				t.Fatalf("after crashes at operation %d and at %d after it: %v", n, again, err)
			}
		}
	}
}

// goOn opens what a crash left, checks it, and works with it.
func (m *model) goOn(fsys disk.FS) error {
	m.Journal, m.check = nil, true
	if err := m.attach(fsys); err != nil {
		return err
	}
	for len(m.acked()) > 1 {
		if err := m.Stats().Err; err != nil {
			return err
		}
		m.commit(0)
		m.abort(0)
	}
	if err := m.begin(2); err != nil {
		return err
	}
	m.commit(0)
	if err := m.append(3); err != nil {
		return err
	}
	if err := m.Close(); err != nil {
		return err
	}
	m.durable = uint64(len(m.committed))
	if err := m.attach(fsys); err != nil {
		return err
	}
	return m.Close()
}

// Every operation of the script fails, alone and with some that follow; then the
// journal is opened again, by a new process or after a loss of power on top.
func TestErrorAtEveryOperation(t *testing.T) {
	total := operations(t)
	for n := 1; n <= total; n++ {
		for i, length := range []int{1, []int{2, 3, 5, total}[n%4]} {
			fsys := faultfs.New()
			fsys.Fail(n, n+length-1)
			m := newModel(t)
			err := m.attach(fsys)
			if err == nil {
				err = m.script(fsys)
			}
			if err != nil && !errors.Is(err, faultfs.ErrInjected) {
				t.Fatalf("%d failures from operation %d on: %v", length, n, err)
			}
			if m.Journal != nil {
				m.Close()
			}
			fsys.Fail(0, 0)
			crash := (n/4+i)%2 == 0
			if crash {
				fsys = fsys.Crash(uint64(n))
			}
			if err := m.goOn(fsys); err != nil {
				t.Fatalf("after %d failures from operation %d on, crash %v: %v", length, n, crash, err)
			}
		}
	}
}
