package disk_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/s3db-go/replicator/internal/disk"
	"github.com/s3db-go/replicator/internal/disk/faultfs"
)

// each runs a test on the real file system and on the one that stands in for it.
func each(t *testing.T, run func(t *testing.T, fsys disk.FS)) {
	t.Run("OS", func(t *testing.T) {
		fsys, err := disk.OS(filepath.Join(t.TempDir(), "a", "b"))
		if err != nil {
			t.Fatal(err)
		}
		run(t, fsys)
		if err := fsys.Close(); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("faultfs", func(t *testing.T) { run(t, faultfs.New()) })
}

func names(t *testing.T, fsys disk.FS, dir string) (out []string) {
	t.Helper()
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		out = append(out, fmt.Sprintf("%s %v", e.Name(), e.IsDir()))
	}
	return out
}

func TestFile(t *testing.T) {
	each(t, func(t *testing.T, fsys disk.FS) {
		if _, err := fsys.OpenFile("x", os.O_RDWR, 0); !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		if _, err := fsys.OpenFile("no/x", os.O_RDWR|os.O_CREATE, 0o600); !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		f, err := fsys.OpenFile("x", os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fsys.OpenFile("x", os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); !errors.Is(err, fs.ErrExist) {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("hello"), 3); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.Truncate(10), f.Datasync(), f.Sync()); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 20)
		n, err := f.ReadAt(b, 1)
		if string(b[:n]) != "\x00\x00hello\x00\x00" || !errors.Is(err, io.EOF) {
			t.Fatalf("%q %v", b[:n], err)
		}
		if _, err := f.ReadAt(b, 10); !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		if size, err := f.Size(); size != 10 || err != nil {
			t.Fatal(size, err)
		}
		if err := errors.Join(f.Truncate(4), f.Close()); err != nil {
			t.Fatal(err)
		}
		if b, err := disk.ReadFile(fsys, "x"); string(b) != "\x00\x00\x00h" || err != nil {
			t.Fatalf("%q %v", b, err)
		}
	})
}

func TestNames(t *testing.T) {
	each(t, func(t *testing.T, fsys disk.FS) {
		for range 2 {
			if err := disk.MkdirAll(fsys, "a/b/c", disk.PrivateDir); err != nil {
				t.Fatal(err)
			}
		}
		if err := disk.MkdirAll(fsys, ".", disk.PrivateDir); err != nil {
			t.Fatal(err)
		}
		for _, content := range []string{"one", "", "three"} {
			if err := disk.WriteFile(fsys, "a/b/x", []byte(content), disk.PrivateFile); err != nil {
				t.Fatal(err)
			}
			if b, err := disk.ReadFile(fsys, "a/b/x"); string(b) != content || err != nil {
				t.Fatalf("%q %v", b, err)
			}
		}
		if got := names(t, fsys, "a/b"); !slices.Equal(got, []string{"c true", "x false"}) {
			t.Fatal(got)
		}
		if err := fsys.Remove("a/b"); err == nil {
			t.Fatal("a directory that is not empty was removed")
		}
		if err := errors.Join(fsys.Rename("a/b/x", "a/y"), fsys.Remove("a/b/c"), fsys.Remove("a/b")); err != nil {
			t.Fatal(err)
		}
		if got := names(t, fsys, "a"); !slices.Equal(got, []string{"y false"}) {
			t.Fatal(got)
		}
		if err := fsys.Remove("a/x"); !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		if _, err := fsys.ReadDir("nowhere"); !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		if _, err := disk.ReadFile(fsys, "nowhere"); !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	})
}

func TestLock(t *testing.T) {
	each(t, func(t *testing.T, fsys disk.FS) {
		for range 2 {
			l, err := fsys.Lock("lock")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := fsys.Lock("lock"); !errors.Is(err, disk.ErrLocked) || !strings.Contains(err.Error(), fsys.Name()) {
				t.Fatal(err)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestOSStaysInside(t *testing.T) {
	dir := t.TempDir()
	fsys, err := disk.OS(filepath.Join(dir, "inside"))
	if err != nil {
		t.Fatal(err)
	}
	defer fsys.Close()
	if err := disk.WriteFile(fsys, "../outside", nil, disk.PrivateFile); err == nil {
		t.Fatal("a name led out of the directory")
	}
	if _, err := disk.OS(filepath.Join(dir, "file")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "taken"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := disk.OS(filepath.Join(dir, "taken")); err == nil {
		t.Fatal("a file was taken for a directory")
	}
}

// Whatever operation fails or is the last before a loss of power: the old content or
// the new one is there, whole, and the new one if WriteFile said so.
func TestWriteFileIsAtomicAndDurable(t *testing.T) {
	old, young := strings.Repeat("old ", 3000), strings.Repeat("young ", 2500)
	const operations = 5 // open, write, sync, rename, sync of the directory
	for n := 1; n <= operations+1; n++ {
		for seed := range uint64(30) {
			for _, crash := range []bool{false, true} {
				fsys := faultfs.New()
				if err := errors.Join(disk.MkdirAll(fsys, "d", 0o700), disk.WriteFile(fsys, "d/x", []byte(old), 0o600)); err != nil {
					t.Fatal(err)
				}
				if crash {
					fsys.CrashAt(n)
				} else {
					fsys.Fail(n, n)
				}
				err := disk.WriteFile(fsys, "d/x", []byte(young), 0o600)
				if (err == nil) != (n > operations) {
					t.Fatalf("operation %d: %v", n, err)
				}
				b, readErr := disk.ReadFile(fsys.Crash(seed), "d/x")
				if readErr != nil || string(b) != young && (string(b) != old || err == nil) {
					t.Fatalf("operation %d, seed %d: %d bytes, %v", n, seed, len(b), readErr)
				}
			}
		}
	}
}

// What MkdirAll made is there after a loss of power.
func TestMkdirAllIsDurable(t *testing.T) {
	fsys := faultfs.New()
	if err := disk.MkdirAll(fsys, "a/b/c", 0o700); err != nil {
		t.Fatal(err)
	}
	if got := names(t, fsys.Crash(0), "a/b"); !slices.Equal(got, []string{"c true"}) {
		t.Fatal(got)
	}
	// A single one is not, until its parent is flushed.
	fsys = faultfs.New()
	if err := fsys.Mkdir("a", 0o700); err != nil {
		t.Fatal(err)
	}
	if got := names(t, fsys.Crash(0), "."); len(got) != 0 {
		t.Fatal(got)
	}
}
