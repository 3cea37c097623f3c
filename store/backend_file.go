package store

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/s3db-go/replicator/internal/disk"
)

// metaSuffix names the file beside an object's body that holds everything else.
const metaSuffix = ".meta.json"

// directory is a backend of two files per object, as the original lays them out:
// <key> holds the body, <key>.meta.json the headers and a copy of the body.
//
// The second file is the object: it is written last, removed first, and the only
// one that is read here. So a crash between the two leaves the old object or the
// new one, as a whole. The first is for the original, which reads the body there.
type directory struct {
	fs        disk.FS
	foldsCase bool // may take "A" for "a"

	mu   sync.Mutex // guards made, and is held while a directory is being made
	made map[string]bool
}

// openDirectory opens the backend in dir, which is made if it is missing. Without
// sync nothing is flushed: a loss of power may take what was written lately.
func openDirectory(dir string, sync bool) (*directory, error) {
	fsys, err := disk.OS(dir)
	if err != nil {
		return nil, err
	}
	if !sync {
		fsys = unsynced{fsys}
	}
	return newDirectory(fsys, runtime.GOOS == "windows" || runtime.GOOS == "darwin"), nil
}

func newDirectory(fsys disk.FS, foldsCase bool) *directory {
	return &directory{fs: fsys, foldsCase: foldsCase, made: make(map[string]bool)}
}

// metaFile is the content of the second file. The original ignores Key, which
// tells apart keys that differ only in case where the file system does not.
type metaFile struct {
	Metadata      map[string]string `json:"metadata"`
	ContentType   string            `json:"contentType"`
	ETag          string            `json:"etag"`
	LastModified  string            `json:"lastModified"`
	Size          int               `json:"size"`
	ContentLength int               `json:"contentLength"`
	Compressed    bool              `json:"compressed"`
	ExpiresAt     *int64            `json:"expiresAt"`
	Body          nodeBuffer        `json:"body"`
	Key           string            `json:"key,omitempty"`
}

func (d *directory) get(_ context.Context, key string) (object, error) {
	data, err := disk.ReadFile(d.fs, key+metaSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return object{}, errAbsent
	}
	if err != nil {
		return object{}, err
	}
	var meta metaFile
	if err := json.Unmarshal(data, &meta); err != nil {
		return object{}, fmt.Errorf("%s is damaged: %w", key+metaSuffix, err)
	}
	if meta.Key != "" && meta.Key != key {
		return object{}, errAbsent
	}
	o := object{headers: headersOf(meta.Metadata), body: meta.Body, contentType: meta.ContentType}
	if meta.Compressed {
		if o.body, err = gunzip(o.body); err != nil {
			return object{}, fmt.Errorf("%s is damaged: %w", key+metaSuffix, err)
		}
	}
	return o, nil
}

func gunzip(data []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func (d *directory) put(_ context.Context, key string, o object) error {
	if err := d.sameCase(key); err != nil {
		return err
	}
	if err := d.makeParent(key); err != nil {
		return err
	}
	sum := md5.Sum(o.body)
	meta, err := json.Marshal(metaFile{
		Metadata:      o.headers.unpacked(),
		ContentType:   cmp.Or(o.contentType, "application/octet-stream"),
		ETag:          hex.EncodeToString(sum[:]),
		LastModified:  time.Now().UTC().Format(isoMillis),
		Size:          len(o.body),
		ContentLength: len(o.body),
		Body:          o.body,
		Key:           key,
	})
	if err != nil {
		return err
	}
	if err := d.putBody(key, o.body); err != nil {
		return err
	}
	watch := &renames{FS: d.fs}
	if err := disk.WriteFile(watch, key+metaSuffix, meta, disk.PrivateFile); err != nil {
		if watch.started {
			return &uncertain{err}
		}
		return err
	}
	return nil
}

// putBody writes the first file, unless it is to be empty and is: then creating it
// is enough, as the second file's directory flush covers its name.
func (d *directory) putBody(key string, body []byte) error {
	if len(body) > 0 {
		return disk.WriteFile(d.fs, key, body, disk.PrivateFile)
	}
	f, err := d.fs.OpenFile(key, os.O_WRONLY|os.O_CREATE, disk.PrivateFile)
	if err != nil {
		return err
	}
	size, err := f.Size()
	if err = errors.Join(err, f.Close()); err != nil || size == 0 {
		return err
	}
	return disk.WriteFile(d.fs, key, nil, disk.PrivateFile)
}

func (d *directory) remove(_ context.Context, key string) error {
	if err := d.sameCase(key); err != nil {
		return err
	}
	err := d.fs.Remove(key + metaSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return errAbsent
	}
	if err != nil {
		return &uncertain{err}
	}
	// A body that can't be removed is garbage which nothing lists; the next put
	// replaces it.
	_ = d.fs.Remove(key)
	if err := d.fs.SyncDir(path.Dir(key)); err != nil {
		return &uncertain{err}
	}
	return nil
}

func (d *directory) swap(ctx context.Context, key string, to *object, _ string) error {
	return swapHere(ctx, d, key, to)
}

func (d *directory) list(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		keys, err := d.keysIn(path.Dir(prefix), prefix)
		if err != nil {
			yield("", err)
			return
		}
		keys = slices.DeleteFunc(keys, func(key string) bool { return key <= after })
		slices.Sort(keys) // the names were in order, but with their suffix
		yieldKeys(ctx, keys, yield)
	}
}

// keysIn gives the keys in a directory, and in those below it that the prefix leads to.
func (d *directory) keysIn(dir, prefix string) ([]string, error) {
	entries, err := d.fs.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var keys []string
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		if key, ok := strings.CutSuffix(name, metaSuffix); ok && strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
		if e.IsDir() && strings.HasPrefix(name, prefix[:min(len(prefix), len(name))]) {
			below, err := d.keysIn(name, prefix)
			if err != nil {
				return nil, err
			}
			keys = append(keys, below...)
		}
	}
	return keys, err
}

// flush flushes names alone: a file has its name only after its content is durable.
// A directory that is not there has nothing in it, and its parents were flushed before
// anything was.
func (d *directory) flush(_ context.Context, prefix string) error {
	err := d.fs.SyncDir(path.Dir(prefix))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// makeParent makes the key's directory durably, once.
func (d *directory) makeParent(key string) error {
	dir := path.Dir(key)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.made[dir] {
		return nil
	}
	if err := disk.MkdirAll(d.fs, dir, disk.PrivateDir); err != nil {
		return err
	}
	// A process that was killed may have made it and not flushed it.
	for at := dir; at != "."; at = path.Dir(at) {
		if err := d.fs.SyncDir(path.Dir(at)); err != nil {
			return err
		}
	}
	d.made[dir] = true
	return nil
}

// sameCase refuses to touch the object of another key that the file system takes
// for this one.
func (d *directory) sameCase(key string) error {
	if !d.foldsCase {
		return nil
	}
	data, err := disk.ReadFile(d.fs, key+metaSuffix)
	if err != nil {
		return nil // none there, or the write will tell
	}
	var meta struct {
		Key string `json:"key"`
	}
	if json.Unmarshal(data, &meta) == nil && meta.Key != "" && meta.Key != key {
		return fmt.Errorf("the file system does not tell it from %q", meta.Key)
	}
	return nil
}

func (d *directory) refuses(id string) string { return unfitName(runtime.GOOS, id) }
func (d *directory) remote() bool             { return false }

// parallel: opening a file is a matter of the processor, unless the disk has to be
// asked; then a few wait at a time.
func (d *directory) parallel() int { return 4 }
func (d *directory) close() error  { return d.fs.Close() }

// unfitName says why an id can't be part of a file name on an operating system. A
// name like NUL is no trouble: files are called "id=…".
func unfitName(goos, id string) string {
	if goos != "windows" {
		return ""
	}
	if i := strings.IndexAny(id, `<>:"|?*`); i >= 0 {
		return fmt.Sprintf("a file name on Windows can't hold %q", id[i])
	}
	if strings.HasSuffix(id, ".") || strings.HasSuffix(id, " ") {
		return "a file name on Windows can't end in a point or a blank"
	}
	return ""
}

// renames notes that a file has begun to take its place: from then on an error
// does not tell what the next reader finds.
type renames struct {
	disk.FS
	started bool
}

func (r *renames) Rename(from, to string) error {
	r.started = true
	return r.FS.Rename(from, to)
}

// unsynced is a file system on which nothing is flushed.
type unsynced struct{ disk.FS }

func (unsynced) SyncDir(string) error { return nil }

func (u unsynced) OpenFile(name string, flag int, perm fs.FileMode) (disk.File, error) {
	f, err := u.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return unsyncedFile{f}, nil
}

type unsyncedFile struct{ disk.File }

func (unsyncedFile) Sync() error { return nil }
