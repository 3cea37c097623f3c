package faultfs_test

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"github.com/s3db-go/replicator/internal/disk"
	"github.com/s3db-go/replicator/internal/disk/faultfs"
)

const page = 4096

// written gives a file of three pages of '1' that are durable, and then '2' over them.
func written(t *testing.T) (*faultfs.FS, disk.File) {
	t.Helper()
	fsys := faultfs.New()
	f, err := fsys.OpenFile("x", os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		_, err = f.WriteAt(bytes.Repeat([]byte{'1'}, 3*page), 0)
	}
	if err == nil {
		err = errors.Join(f.Datasync(), fsys.SyncDir("."))
	}
	if err == nil {
		_, err = f.WriteAt(bytes.Repeat([]byte{'2'}, 3*page), 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	return fsys, f
}

// pages gives a letter per page, and fails if a page is mixed.
func pages(t *testing.T, fsys disk.FS) string {
	t.Helper()
	b, err := disk.ReadFile(fsys, "x")
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	for at := 0; at < len(b); at += page {
		p := b[at:min(at+page, len(b))]
		if !bytes.Equal(p, bytes.Repeat(p[:1], len(p))) {
			t.Fatal("a page is torn")
		}
		out = append(out, p[0])
	}
	return string(out)
}

func TestCrashKeepsAnyPages(t *testing.T) {
	fsys, f := written(t)
	if got := pages(t, fsys); got != "222" {
		t.Fatal(got)
	}
	if got := pages(t, fsys.Crash(0)); got != "111" {
		t.Fatal(got)
	}
	seen := map[string]bool{}
	for seed := range uint64(200) {
		seen[pages(t, fsys.Crash(seed))] = true
	}
	if len(seen) != 8 {
		t.Fatal("not every subset of three pages:", seen)
	}
	if err := f.Sync(); !errors.Is(err, faultfs.ErrCrashed) {
		t.Fatal("an operation after the crash:", err)
	}
}

func TestSyncKeepsAll(t *testing.T) {
	fsys, f := written(t)
	if err := f.Datasync(); err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(20) {
		if got := pages(t, fsys.Crash(seed)); got != "222" {
			t.Fatal(got)
		}
	}
}

// A process that is killed leaves what it wrote to the system, which may still lose it.
func TestKillKeepsWhatWasWritten(t *testing.T) {
	fsys, f := written(t)
	if err := fsys.Rename("x", "y"); err != nil {
		t.Fatal(err)
	}
	next := fsys.Kill()
	if _, err := f.WriteAt([]byte("3"), 0); !errors.Is(err, faultfs.ErrCrashed) {
		t.Fatal("an operation after the kill:", err)
	}
	if err := next.Rename("y", "x"); err != nil {
		t.Fatal("the file is not where it was moved to:", err)
	}
	if got := pages(t, next); got != "222" {
		t.Fatal(got)
	}
	if got := pages(t, next.Crash(0)); got != "111" {
		t.Fatal("what was never flushed survives a loss of power:", got)
	}
	again := next.Kill()
	g, err := again.OpenFile("x", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Datasync(); err != nil {
		t.Fatal(err)
	}
	if got := pages(t, again.Crash(0)); got != "222" {
		t.Fatal("a flush by the next process:", got)
	}
}

// A flush that failed is not made good by one that succeeds.
func TestFailedSyncIsForGood(t *testing.T) {
	fsys, f := written(t)
	fsys.Fail(1, 1)
	if err := f.Datasync(); !errors.Is(err, faultfs.ErrInjected) {
		t.Fatal(err)
	}
	if err := f.Datasync(); err != nil {
		t.Fatal(err)
	}
	if got := pages(t, fsys.Crash(0)); got != "111" {
		t.Fatal(got)
	}
}

// Of the flushes the one that was named fails, whatever stands between.
func TestOneFlushFails(t *testing.T) {
	fsys, f := written(t)
	fsys.FailFlush(2)
	if err := f.Datasync(); err != nil {
		t.Fatal("the first:", err)
	}
	if _, err := f.WriteAt(bytes.Repeat([]byte{'3'}, page), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); !errors.Is(err, faultfs.ErrInjected) {
		t.Fatal("the second:", err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal("the third:", err)
	}
	if got := pages(t, fsys.Crash(0)); got != "222" {
		t.Fatal(got)
	}
}

func TestNamesAreDurableByTheirDirectory(t *testing.T) {
	fsys, _ := written(t)
	if err := fsys.Rename("x", "y"); err != nil {
		t.Fatal(err)
	}
	pages(t, fsys.Crash(0)) // still there
	moved := false
	for seed := range uint64(20) {
		_, err := disk.ReadFile(fsys.Crash(seed), "y")
		moved = moved || err == nil
	}
	if !moved {
		t.Fatal("a name that was not flushed never survives")
	}
}

func TestFailingWriteLeavesItsFirstHalf(t *testing.T) {
	fsys, f := written(t)
	fsys.Fail(1, 1)
	if n, err := f.WriteAt(bytes.Repeat([]byte{'3'}, 2*page), 0); n != page || !errors.Is(err, faultfs.ErrInjected) {
		t.Fatal(n, err)
	}
	if got := pages(t, fsys); got != "322" {
		t.Fatal(got)
	}
}

func TestCrashAt(t *testing.T) {
	fsys, f := written(t)
	before := fsys.Ops()
	fsys.CrashAt(2)
	if _, err := f.WriteAt([]byte{'3'}, 0); err != nil || fsys.Crashed() {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := fsys.ReadDir("."); !errors.Is(err, faultfs.ErrCrashed) || !fsys.Crashed() {
			t.Fatal(err)
		}
	}
	if fsys.Ops() != before+3 {
		t.Fatal(fsys.Ops(), before)
	}
}
