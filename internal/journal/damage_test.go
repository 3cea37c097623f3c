package journal_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/s3db-go/replicator/internal/disk"
	"github.com/s3db-go/replicator/internal/disk/faultfs"
	"github.com/s3db-go/replicator/internal/journal"
)

// contents gives every file of a file system.
func contents(t *testing.T, fsys disk.FS, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		if e.IsDir() {
			maps.Copy(out, contents(t, fsys, name))
			continue
		}
		b, err := disk.ReadFile(fsys, name)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = b
	}
	return out
}

// patch overwrites a part of a file and, with a size not negative, cuts it.
func patch(t *testing.T, fsys disk.FS, name string, offset int, b []byte, size int) {
	t.Helper()
	f, err := fsys.OpenFile(name, os.O_RDWR, 0)
	if err == nil {
		_, err = f.WriteAt(b, int64(offset))
	}
	if err == nil && size >= 0 {
		err = f.Truncate(int64(size))
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// closedJournal runs the script and gives what is left of it, as often as is asked.
func closedJournal(t *testing.T, e journal.Encryption) (*model, func() *faultfs.FS) {
	t.Helper()
	fsys := faultfs.New()
	m := newModel(t)
	m.opts.Encryption = e
	if err := m.attach(fsys); err != nil {
		t.Fatal(err)
	}
	if err := m.script(fsys); err != nil {
		t.Fatal(err)
	}
	// The last change is in the newest segment, so that all others are read whole.
	err := m.attach(fsys)
	if err == nil {
		err = m.append(1)
	}
	if err = errors.Join(err, m.Close()); err != nil {
		t.Fatal(err)
	}
	return m, func() *faultfs.FS { return fsys.Crash(0) }
}

func used(b []byte) int { return len(bytes.TrimRight(b, "\x00")) }

var exhaustive = flag.Bool("exhaustive", false, "do every damage to every byte")

// Whatever is done to a byte after a clean Close is told: at once in the newest
// segment, the cursors and the end mark, when it is read in the older segments, and by
// Check everywhere.
func TestDamageAfterClose(t *testing.T) {
	for name, e := range map[string]journal.Encryption{"plain": {}, "encrypted": keyed("a")} {
		t.Run(name, func(t *testing.T) { testDamage(t, e) })
	}
}

func testDamage(t *testing.T, e journal.Encryption) {
	past, clone := closedJournal(t, e)
	if c, err := journal.Check(clone(), e); err != nil || c.Segments < 3 || c.Frames < 30 || c.Last == 0 || c.Cursors == 0 {
		t.Fatalf("nothing is damaged: %+v, %v", c, err)
	}
	files := contents(t, clone(), ".")
	newest, _ := journal.Newest(t, clone(), e)
	type fault struct {
		what string
		do   func(b []byte, at int) (patch []byte, size int)
	}
	faults := []fault{
		{"a bit flipped", func(b []byte, at int) ([]byte, int) { return []byte{b[at] ^ 1<<(at%8)}, -1 }},
		{"a byte inverted", func(b []byte, at int) ([]byte, int) { return []byte{^b[at]}, -1 }},
		{"zeroes from there on", func(b []byte, at int) ([]byte, int) { return make([]byte, len(b)-at), -1 }},
		{"64 zeroes", func(b []byte, at int) ([]byte, int) { return make([]byte, min(64, len(b)-at)), -1 }},
		{"64 bytes from before", func(b []byte, at int) ([]byte, int) {
			return b[at-min(64, at, len(b)-at) : at], -1
		}},
		{"cut off", func(_ []byte, at int) ([]byte, int) { return nil, at }},
	}
	tried, segments := 0, 0
	for name, b := range files {
		if strings.HasSuffix(name, ".seg") {
			segments++
		}
		for _, f := range faults {
			// The first fault at every byte, and elsewhere than where it is told at once
			// at every third; the others at some.
			every := 61
			switch {
			case f.what != faults[0].what:
			case name == newest || !strings.HasSuffix(name, ".seg"):
				every = 1
			default:
				every = 3
			}
			if e.Key != nil {
				every *= 7 // the checksums are those of the plain one
			}
			if *exhaustive {
				every = 1
			}
			for at := 0; at < used(b); at += every {
				p, size := f.do(b, at)
				if size < 0 && bytes.Equal(p, b[at:at+len(p)]) {
					continue
				}
				tried++
				fsys := clone()
				patch(t, fsys, name, at, p, size)
				_, checked := journal.Check(fsys, e)
				future := past.clone()
				err := future.attach(fsys)
				if future.Journal != nil && name != newest && strings.HasSuffix(name, ".seg") {
					future.Close() // found on reading
				} else if future.Journal != nil {
					t.Errorf("%s, byte %d of %d: %s: opened; %v", name, at, used(b), f.what, err)
					future.Close()
				}
				for _, err := range []error{err, checked} {
					damage, ok := errors.AsType[*journal.CorruptError](err)
					if !ok || damage.File == "" || damage.Hint == "" || !strings.Contains(err.Error(), damage.File) {
						t.Errorf("%s, byte %d of %d: %s: %v", name, at, used(b), f.what, err)
					}
				}
			}
		}
	}
	if segments < 3 || tried < 1000 {
		t.Fatalf("only %d segments and %d faults", segments, tried)
	}
}

// What follows the end of a segment holds nothing: damage there harms nothing.
func TestDamageBehindTheEnd(t *testing.T) {
	past, clone := closedJournal(t, journal.Encryption{})
	newest, end := journal.Newest(t, clone(), journal.Encryption{})
	size := len(contents(t, clone(), ".")[newest])
	if size-end < 100 {
		t.Fatal("nothing is behind the end at", end)
	}
	for at := end; at < size; at += 13 {
		fsys := clone()
		patch(t, fsys, newest, at, []byte{0xff}, -1)
		if err := past.clone().goOn(fsys); err != nil {
			t.Fatalf("byte %d: %v", at, err)
		}
	}
}

// After a crash nothing notes the end. Everything but the last group of writes is
// proven by the frames behind it, and the last one passes for a torn tail.
func TestDamageAfterCrash(t *testing.T) {
	fsys := faultfs.New()
	m := newModel(t)
	if err := m.attach(fsys); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		if err := m.begin(2); err != nil {
			t.Fatal(err)
		}
	}
	name, before := journal.Newest(t, fsys, journal.Encryption{})
	if err := m.append(1); err != nil {
		t.Fatal(err)
	}
	crashed := fsys.Crash(0)
	m.Close()
	_, end := journal.Newest(t, crashed, journal.Encryption{})
	b := contents(t, crashed, ".")[name]
	for at := range end {
		damaged := crashed.Crash(0)
		patch(t, damaged, name, at, []byte{^b[at]}, -1)
		future := m.clone()
		err := future.attach(damaged)
		switch {
		case at < before && !errors.Is(err, journal.ErrCorrupt):
			t.Fatalf("byte %d, before the last group at %d: %v", at, before, err)
		case at >= before:
			if j, err := journal.Open(damaged.Crash(0), tiny); err != nil || j.Last() != 0 || len(j.Unresolved()) != 8 {
				t.Fatalf("byte %d, in the last group at %d: %v", at, before, err)
			} else if err := j.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if future.Journal != nil {
			future.Close()
		}
	}
}

// A directory that a newer version wrote is refused and stays as it is.
func TestUnknownFormat(t *testing.T) {
	for _, tt := range []struct{ name, file, hint string }{
		{"segment version", "segment", "version 2"},
		{"frame kind", "kind", "unknown format"},
		{"cursor version", "cursors/cursor-a", "version 2"},
		{"end version", "end", "version 2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, clone := closedJournal(t, journal.Encryption{})
			fsys := clone()
			journal.Modernize(t, fsys, tt.file)
			before := contents(t, fsys, ".")
			_, err := journal.Open(fsys, tiny)
			if !errors.Is(err, journal.ErrFormat) || errors.Is(err, journal.ErrCorrupt) || !strings.Contains(err.Error(), tt.hint) {
				t.Fatal(err)
			}
			if after := contents(t, fsys, "."); fmt.Sprint(before) != fmt.Sprint(after) {
				t.Fatal("something was changed")
			}
		})
	}
}

// A segment that is missing is told, unless nobody needs what is before it.
func TestMissingSegment(t *testing.T) {
	past, clone := closedJournal(t, journal.Encryption{})
	files := contents(t, clone(), ".")
	newest, _ := journal.Newest(t, clone(), journal.Encryption{})
	for name := range files {
		if !strings.HasSuffix(name, ".seg") {
			continue
		}
		fsys := clone()
		if err := errors.Join(fsys.Remove(name), fsys.SyncDir(".")); err != nil {
			t.Fatal(err)
		}
		future := past.clone()
		err := future.attach(fsys)
		if future.Journal != nil {
			future.Close()
		}
		if !errors.Is(err, journal.ErrCorrupt) {
			t.Fatalf("%s of %s is missing: %v", name, newest, err)
		}
	}
	fsys := clone()
	for name := range files {
		if strings.HasSuffix(name, ".seg") || name == "end" {
			if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
		}
	}
	if _, err := journal.Open(fsys, tiny); !errors.Is(err, journal.ErrCorrupt) || !strings.Contains(err.Error(), "lost or replaced") {
		t.Fatal("all segments are missing and a cursor is left:", err)
	}
}
