package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/s3db-go/replicator"
)

// folder is a store: a folder for each resource, with a file of JSON for each record. It
// is the store of somebody who had it before, and now wants it replicated.
type folder struct {
	dir    string
	source *replicator.CustomSource
}

func newFolder(dir string) (*folder, error) {
	f := &folder{dir: dir}
	f.source = replicator.NewSource(replicator.SourceOptions{Get: f.get, Scan: f.scan, Resources: f.resources})
	return f, os.MkdirAll(dir, 0o700)
}

// put writes a record, which may be there or not.
func (f *folder) put(ctx context.Context, resource, id string, record replicator.Record) error {
	record = record.Clone()
	record["id"] = id
	text, err := json.Marshal(record)
	if err != nil {
		return err
	}
	// What is announced is what get will give afterwards, in the types of JSON.
	var data replicator.Record
	if err := json.Unmarshal(text, &data); err != nil {
		return err
	}
	change := replicator.Change{Op: replicator.Inserted | replicator.Updated, Resource: resource, RecordID: id, Data: data}
	return f.source.Write(ctx, change, func(context.Context) error { return writeFile(f.file(resource, id), text) })
}

// remove deletes a record.
func (f *folder) remove(ctx context.Context, resource, id string) error {
	change := replicator.Change{Op: replicator.Deleted, Resource: resource, RecordID: id}
	return f.source.Write(ctx, change, func(context.Context) error {
		if err := os.Remove(f.file(resource, id)); err != nil {
			return err
		}
		return syncFolder(filepath.Join(f.dir, resource))
	})
}

// get reads a record. The replicator calls it too, to learn how a write ended that a crash
// cut short.
func (f *folder) get(_ context.Context, resource, id string) (replicator.Record, bool, error) {
	text, err := os.ReadFile(f.file(resource, id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	var record replicator.Record
	err = json.Unmarshal(text, &record)
	return record, err == nil, err
}

// scan goes through a resource in the order of the files' names, for those destinations
// that begin with what is there.
func (f *folder) scan(ctx context.Context, resource, after string, limit int) (rows []replicator.Row, err error) {
	files, err := os.ReadDir(filepath.Join(f.dir, resource)) // sorted
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if after != "" {
		last := filepath.Base(f.file(resource, after))
		files = slices.DeleteFunc(files, func(file fs.DirEntry) bool { return file.Name() <= last })
	}
	for _, file := range files {
		name, isRecord := strings.CutSuffix(file.Name(), ".json")
		if !isRecord || len(rows) == limit {
			continue // a file that a crash left half way
		}
		id, err := url.PathUnescape(name)
		if err != nil {
			return nil, err
		}
		record, there, err := f.get(ctx, resource, id)
		if err != nil {
			return nil, err
		}
		if there { // and was not removed meanwhile
			rows = append(rows, replicator.Row{RecordID: id, Data: record})
		}
	}
	return rows, nil
}

// resources are the folders that are there.
func (f *folder) resources() (names []string) {
	folders, _ := os.ReadDir(f.dir) // none that can't be read
	for _, folder := range folders {
		names = append(names, folder.Name())
	}
	return names
}

func (f *folder) file(resource, id string) string {
	return filepath.Join(f.dir, resource, url.PathEscape(id)+".json")
}

// writeFile puts a file in its place such that it is there whole or not at all, also after
// a loss of power.
func writeFile(path string, text []byte) error {
	dir := filepath.Dir(path)
	switch err := os.Mkdir(dir, 0o700); {
	case errors.Is(err, fs.ErrExist):
	case err != nil:
		return err
	default: // the first of its resource
		if err := syncFolder(filepath.Dir(dir)); err != nil {
			return err
		}
	}
	file, err := os.CreateTemp(dir, "new-*")
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return syncFolder(dir)
}

// syncFolder makes the names in a folder durable.
func syncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // it has no such call
	}
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
