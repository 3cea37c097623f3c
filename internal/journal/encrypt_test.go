package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/disk"
	"github.com/s3db-go/replicator/internal/disk/faultfs"
	"github.com/s3db-go/replicator/internal/journal"
	"github.com/s3db-go/replicator/internal/journal/journaltest"
)

// keyed gives an encryption whose keys are made of their names.
func keyed(id string) journal.Encryption {
	return journal.Encryption{
		KeyID: func() string { return id },
		Key: func(id string) ([]byte, error) {
			if id == "lost" {
				return nil, errors.New("the key store is down")
			}
			return fmt.Appendf(nil, "%-32s", id), nil
		},
	}
}

func TestEncryptedJournal(t *testing.T) {
	journaltest.Run(t, func(t *testing.T) journaltest.Harness {
		fsys, opts := faultfs.New(), journal.Options{SegmentBytes: 8 << 10, TailBytes: 1 << 10, Encryption: keyed("a")}
		return journaltest.Harness{Open: func() (journal.Journal, error) { return journal.Open(fsys, opts) }}
	})
}

// Nothing of the changes and the cursors is to be seen in any file.
func TestNothingIsInTheClear(t *testing.T) {
	fsys := faultfs.New()
	opts := journal.Options{SegmentBytes: 4 << 10, Encryption: keyed("a")}
	j := open(t, fsys, opts)
	canary := func(s string) cdc.Change {
		c := journaltest.Change("canary-" + s)
		c.Resource, c.Data["canary"] = "canary-resource", "canary"
		return c
	}
	left := mustBegin(t, j, canary("open"))
	for i := range 30 {
		as := canary("as")
		j.Commit(mustBegin(t, j, canary(fmt.Sprint(i))), 0, &as)
	}
	if _, err := j.AppendTo(t.Context(), "canary-destination", []cdc.Change{canary("to")}, nil); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(j.AppendSchema(t.Context(), "canary-schema", 1, &cdc.Schema{Fields: []cdc.Field{{Name: "canary-field"}}}), j.SaveCursor("CANARY", journal.Cursor{Low: 3})); err != nil {
		t.Fatal(err)
	}
	closeNow(t, j)
	for name, b := range contents(t, fsys, ".") {
		if bytes.Contains(bytes.ToLower(b), []byte("canary")) {
			t.Errorf("it is in %s", name)
		}
	}
	j = open(t, fsys, opts)
	if open := j.Unresolved(); len(open) != 1 || open[0].Ticket != left || j.Last() != 32 {
		t.Error(open, j.Last())
	}
	closeNow(t, j)
}

// Without the right key everything is refused and stays as it is, with a message that
// names the key; a new key is used from the next segment on, and none again after it.
func TestKeys(t *testing.T) {
	fsys := faultfs.New()
	opts := journal.Options{SegmentBytes: 4 << 10}
	var want []string
	write := func(e journal.Encryption) {
		t.Helper()
		opts.Encryption = e
		j := open(t, fsys, opts)
		for i := range 15 {
			id := fmt.Sprint(e.KeyID != nil, len(want), i)
			appendOne(t, j, id)
			want = append(want, id)
		}
		if err := j.SaveCursor("keeps", journal.Cursor{}); err != nil {
			t.Fatal(err)
		}
		closeNow(t, j)
	}
	write(journal.Encryption{})
	write(keyed("a"))
	write(keyed("a"))
	write(keyed("b"))
	before := contents(t, fsys, ".")
	wrong := keyed("b")
	wrong.Key = func(string) ([]byte, error) { return make([]byte, 32), nil }
	short := keyed("b")
	short.Key = func(string) ([]byte, error) { return make([]byte, 31), nil }
	onlyNew := keyed("b")
	onlyNew.Key = func(id string) ([]byte, error) {
		if id != "b" {
			return nil, errors.New("no such key")
		}
		return keyed("b").Key(id)
	}
	for name, e := range map[string]journal.Encryption{"none": {}, "wrong": wrong, "short": short, "only the new one": onlyNew} {
		opts.Encryption = e
		_, err := journal.Open(fsys, opts)
		if !errors.Is(err, journal.ErrKey) || errors.Is(err, journal.ErrCorrupt) || !strings.Contains(err.Error(), `"`) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if after := contents(t, fsys, "."); fmt.Sprint(before) != fmt.Sprint(after) {
		t.Error("something was changed")
	}
	last := keyed("")
	write(last)
	j := open(t, fsys, opts)
	if got := readAll(t, j); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%d are read, %d were written", len(got), len(want))
	}
	closeNow(t, j)
}

// While it runs, the next segment takes the new key.
func TestKeyRotation(t *testing.T) {
	fsys := faultfs.New()
	var id atomic.Value
	id.Store("first")
	e := keyed("")
	e.KeyID = func() string { return id.Load().(string) }
	j := open(t, fsys, journal.Options{SegmentBytes: 4 << 10, Encryption: e})
	appendOne(t, j, "a")
	id.Store("second")
	for i := range 100 {
		appendOne(t, j, fmt.Sprint(i))
	}
	id.Store("first") // for the end mark
	closeNow(t, j)
	used := map[string]int{}
	for name, b := range contents(t, fsys, ".") {
		for _, id := range []string{"first", "second"} {
			if strings.HasSuffix(name, ".seg") && bytes.Contains(b, []byte(id)) {
				used[id]++
			}
		}
	}
	if used["first"] == 0 || used["second"] < 2 {
		t.Error(used)
	}
}

// A key that can't be had where a segment is to be begun stops the journal.
func TestKeyIsLost(t *testing.T) {
	var id atomic.Value
	id.Store("a")
	e := keyed("")
	e.KeyID = func() string { return id.Load().(string) }
	j := open(t, faultfs.New(), journal.Options{SegmentBytes: 4 << 10, Encryption: e})
	appendOne(t, j, "a")
	id.Store("lost")
	var err error
	for i := 0; err == nil && i < 100; i++ {
		err = j.Append(t.Context(), []cdc.Change{journaltest.Change(fmt.Sprint(i))})
	}
	if !errors.Is(err, journal.ErrKey) || !strings.Contains(err.Error(), "key store is down") {
		t.Error(err)
	}
	if err := j.Close(); !errors.Is(err, journal.ErrKey) {
		t.Error("Close:", err)
	}
}

// witness notes every frame that is written under a salt, and finds a place that is
// written twice with different content.
type witness struct {
	disk.FS
	seen *sync.Map // salt and offset → content
	t    *testing.T
}

type witnessed struct {
	disk.File
	w    witness
	mu   sync.Mutex
	salt []byte
}

func (w witness) OpenFile(name string, flag int, perm os.FileMode) (disk.File, error) {
	f, err := w.FS.OpenFile(name, flag, perm)
	if err != nil || !strings.HasSuffix(name, ".seg") {
		return f, err
	}
	// Of a segment that is gone on with.
	size, _ := f.Size()
	b := make([]byte, min(size, 200))
	f.ReadAt(b, 0)
	salt := journal.Salts(b, 0, nil, func(string, int64, []byte) {})
	return &witnessed{File: f, w: w, salt: bytes.Clone(salt)}, nil
}

func (f *witnessed) WriteAt(b []byte, offset int64) (int, error) {
	f.mu.Lock()
	f.salt = bytes.Clone(journal.Salts(b, offset, f.salt, func(salt string, offset int64, content []byte) {
		was, again := f.w.seen.LoadOrStore(fmt.Sprintf("%x %d", salt, offset), string(content))
		if again && was != string(content) {
			f.w.t.Errorf("byte %d was written twice under one salt", offset)
		}
	}))
	f.mu.Unlock()
	return f.File.WriteAt(b, offset)
}

// Every operation fails or is the last before a loss of power; the next process goes
// on. Nothing is lost, and no nonce is ever used twice.
func TestEncryptedFaults(t *testing.T) {
	opts := tiny
	opts.Encryption = keyed("a")
	frames := 0
	for n := 1; ; n++ {
		seen := &sync.Map{}
		fsys := faultfs.New()
		crash := n%3 == 0
		if crash {
			fsys.CrashAt(n)
		} else {
			fsys.Fail(n, n+n%4)
		}
		m := newModel(t)
		m.opts = opts
		err := m.attach(witness{fsys, seen, t})
		if err == nil {
			err = m.script(witness{fsys, seen, t})
		}
		if err != nil && !errors.Is(err, faultfs.ErrCrashed) && !errors.Is(err, faultfs.ErrInjected) {
			t.Fatalf("operation %d: %v", n, err)
		}
		if m.Journal != nil {
			m.Close()
		}
		done := fsys.Ops() < n
		fsys.Fail(0, 0)
		after := fsys
		if crash {
			after = fsys.Crash(uint64(n))
		}
		if err := m.goOn(witness{after, seen, t}); err != nil {
			t.Fatalf("after operation %d: %v", n, err)
		}
		if done {
			for range seen.Range {
				frames++
			}
			break
		}
	}
	if frames < 50 {
		t.Error("only", frames, "frames were seen")
	}
}
