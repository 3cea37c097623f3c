package store_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/s3db-go/replicator/internal/disk"
	"github.com/s3db-go/replicator/internal/disk/faultfs"
	"github.com/s3db-go/replicator/store"
)

// lastName gives the last part of the working directory.
func lastName(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Base(dir)
}

// TestFileLayout: the files are those that the original makes and reads.
func TestFileLayout(t *testing.T) {
	dir := t.TempDir()
	r := create(t, open(t, "file://"+dir), "r", store.Attributes{"s": "string"})
	for id, s := range map[string]string{"small": "é", "large": strings.Repeat("x", 3000)} {
		if _, err := r.Insert(t.Context(), store.Record{"id": id, "s": s}); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if !d.IsDir() {
			got = append(got, path)
		}
		return err
	})
	want := []string{"resource=r/data/id=large", "resource=r/data/id=large.meta.json", "resource=r/data/id=small", "resource=r/data/id=small.meta.json",
		"s3db.json", "s3db.json.meta.json"}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v: files -want +got\n%s", err, diff)
	}
	wantMeta := func(id, body string, metadata map[string]any) {
		t.Helper()
		data, err := os.ReadFile(filepath.Join(dir, "resource=r/data/id="+id))
		if err != nil || string(data) != body {
			t.Errorf("body of %s: %.60s (%v)", id, data, err)
		}
		data, err = os.ReadFile(filepath.Join(dir, "resource=r/data/id="+id+".meta.json"))
		if err != nil {
			t.Fatal(err)
		}
		var meta map[string]any
		if err := json.Unmarshal(data, &meta); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(metadata, meta["metadata"]); diff != "" {
			t.Errorf("metadata of %s: -want +got\n%s", id, diff)
		}
		buffer := meta["body"].(map[string]any)
		list := buffer["data"].([]any)
		if buffer["type"] != "Buffer" || len(list) != len(body) || meta["contentLength"] != float64(len(body)) {
			t.Errorf("body in the meta file of %s: %v bytes of type %v, length %v", id, len(list), buffer["type"], meta["contentLength"])
		}
		for i, c := range list {
			if c != float64(body[i]) {
				t.Fatalf("byte %d is %v", i, c)
			}
		}
	}
	wantMeta("small", "", map[string]any{"_v": "v1", "0": "b:w6k="})
	wantMeta("large", `{"0":"`+strings.Repeat("x", 3000)+`","_v":"v1"}`, map[string]any{"_v": "v1"})
}

// TestReadsCompressedBodies: the original can be told to compress.
func TestReadsCompressedBodies(t *testing.T) {
	dir := t.TempDir()
	r := create(t, open(t, "file://"+dir), "r", store.Attributes{"s": "string"})
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := w.Write([]byte(`{"0":"hi"}`)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var list []int // a []byte would become base 64
	for _, c := range zipped.Bytes() {
		list = append(list, int(c))
	}
	meta, err := json.MarshalIndent(map[string]any{"metadata": map[string]string{"_v": "v1"}, "contentType": "application/json", "compressed": true,
		"body": map[string]any{"type": "Buffer", "data": list}}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "resource=r/data"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "resource=r/data/id=x.meta.json"), meta, 0o600); err != nil {
		t.Fatal(err)
	}
	want := store.Record{"id": "x", "s": "hi"}
	wantStored(t, r, "x", want, want)
}

func TestDamagedFile(t *testing.T) {
	dir := t.TempDir()
	r := create(t, open(t, "file://"+dir), "r", nil)
	if _, err := r.Insert(t.Context(), store.Record{"id": "x"}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "resource=r/data/id=x.meta.json"), []byte(`{"metadata":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Get(t.Context(), "x"); err == nil || !strings.HasPrefix(err.Error(), "store: r x: resource=r/data/id=x.meta.json is damaged") {
		t.Errorf("Get gave %v", err)
	}
}

// TestStaysInItsDirectory: a link that leads out of the directory is not followed.
func TestStaysInItsDirectory(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	db := open(t, "file://"+dir)
	r := create(t, db, "r", nil)
	if err := os.Symlink(outside, filepath.Join(dir, "resource=r")); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Insert(t.Context(), store.Record{"id": "x"}); err == nil {
		t.Error("Insert followed the link")
	}
	if entries, err := os.ReadDir(outside); len(entries) > 0 || err != nil {
		t.Errorf("outside: %v, %v", entries, err)
	}
}

// folding is a file system that does not tell upper from lower case.
type folding struct{ disk.FS }

func (f folding) OpenFile(name string, flag int, perm fs.FileMode) (disk.File, error) {
	return f.FS.OpenFile(strings.ToLower(name), flag, perm)
}
func (f folding) Rename(from, to string) error {
	return f.FS.Rename(strings.ToLower(from), strings.ToLower(to))
}
func (f folding) Remove(name string) error { return f.FS.Remove(strings.ToLower(name)) }

func TestIDsThatDifferInCase(t *testing.T) {
	db, err := store.OpenFS(t.Context(), folding{faultfs.New()}, true, "")
	if err != nil {
		t.Fatal(err)
	}
	r := create(t, db, "r", store.Attributes{"s": "string"})
	first := store.Record{"id": "ab", "s": "first"}
	if _, err := r.Insert(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Get(t.Context(), "AB"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get of the other case gave %v, %v", got, err)
	}
	if _, err := r.Insert(t.Context(), store.Record{"id": "AB", "s": "second"}); err == nil {
		t.Error("Insert under the other case succeeded")
	}
	if err := r.Delete(t.Context(), "aB"); err == nil {
		t.Error("Delete under another case succeeded")
	}
	wantStored(t, r, "ab", first, first)
}

func TestNamesOnWindows(t *testing.T) {
	for id, fits := range map[string]bool{"NUL": true, "a.b": true, "a:b": false, "a?": false, "a.": false, "a ": false, `a"b`: false} {
		if got := store.UnfitName("windows", id) == ""; got != fits {
			t.Errorf("%q fits: %v", id, got)
		}
		if store.UnfitName("linux", id) != "" {
			t.Errorf("%q does not fit elsewhere", id)
		}
	}
}

func TestEmptyBodyIsNotRewritten(t *testing.T) {
	fsys := faultfs.New()
	db, err := store.OpenFS(t.Context(), fsys, false, "")
	if err != nil {
		t.Fatal(err)
	}
	r := create(t, db, "r", store.Attributes{"s": "string"})
	ops := func(s string) int {
		before := fsys.Ops()
		if err := r.Put(t.Context(), store.Record{"id": "x", "s": s}); err != nil {
			t.Fatal(err)
		}
		return fsys.Ops() - before
	}
	ops("first")
	small, large := ops("second"), ops(strings.Repeat("x", 3000))
	// The recipe once, and a look at the body: open, size, close. Twice with a body.
	if small >= large || small > 9 {
		t.Errorf("%d operations for a small record, %d for a large one", small, large)
	}
}
