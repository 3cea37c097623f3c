// Package disk is the small part of a file system that durable parts of the house
// stand on, and the recipes by which a file or a directory becomes durable.
//
// What it promises: when [WriteFile] or [MkdirAll] has returned nil, the content
// and its name survive a loss of power; a reader finds either the old content or
// the new one, never a part. What it does not: a disk that acknowledges a flush
// and then forgets is not found out, and on Windows, which can't flush a
// directory, a new name is as durable as the file system's own log makes it.
//
// Names are slash-separated, relative, and can't leave the directory. Parts take
// an [FS] so that package faultfs can stand in for the real one and fail or crash
// at any operation.
package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// FS is a directory and what is below it. Safe for concurrent use; the errors
// satisfy errors.Is for fs.ErrNotExist and fs.ErrExist.
type FS interface {
	// Name is the directory as a person would look for it, for messages.
	Name() string
	// OpenFile opens a file with the flags of package os.
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	// ReadDir lists a directory, sorted by name.
	ReadDir(name string) ([]fs.DirEntry, error)
	// Mkdir makes one directory. It is durable after SyncDir of its parent.
	Mkdir(name string, perm fs.FileMode) error
	// Rename moves a file within the file system, replacing what is there. It is
	// durable after SyncDir of the directories concerned.
	Rename(from, to string) error
	// Remove deletes a file or an empty directory, durably after SyncDir.
	Remove(name string) error
	// SyncDir makes the names in a directory durable.
	SyncDir(name string) error
	// Lock takes a file, made if it is missing, for this process alone and until the
	// result is closed or the process ends. [ErrLocked] if it is taken.
	Lock(name string) (io.Closer, error)
	// Free is how many bytes may still be written; errors.ErrUnsupported where the
	// system does not tell.
	Free() (int64, error)
	// Close gives back what the FS holds itself; files and locks stay open.
	Close() error
}

// File is an open file. Safe for concurrent use.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Size is the length in bytes.
	Size() (int64, error)
	// Truncate changes the length; what it adds reads as zeroes.
	Truncate(size int64) error
	// Datasync makes the content durable, and of the file's attributes only those
	// that are needed to read it back.
	Datasync() error
	// Sync makes content and attributes durable.
	Sync() error
}

// ErrLocked says that another process holds the lock.
var ErrLocked = errors.New("in use by another process")

// Permissions of what only its owner may read: journals, logs, and the directories
// that hold them.
const (
	PrivateFile fs.FileMode = 0o600
	PrivateDir  fs.FileMode = 0o700
)

// TempPrefix begins the names of files that are being written. One that is found
// is what a crash left; it holds nothing that anybody was promised.
const TempPrefix = ".tmp-"

// WriteFile replaces a file's content durably: a temporary file in the same
// directory is written and flushed, takes the name, and the directory is flushed.
// After an error the old content or the new one is there, whole. Writers of one
// name must be kept apart by the caller.
func WriteFile(fsys FS, name string, data []byte, perm fs.FileMode) error {
	dir, base := path.Split(name)
	temp := dir + TempPrefix + base
	if err := writeTemp(fsys, temp, data, perm); err != nil {
		return err
	}
	if err := fsys.Rename(temp, name); err != nil {
		return err
	}
	return fsys.SyncDir(path.Dir(name))
}

func writeTemp(fsys FS, name string, data []byte, perm fs.FileMode) error {
	f, err := fsys.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, perm)
	if err != nil {
		return err
	}
	if _, err = f.WriteAt(data, 0); err == nil {
		err = f.Sync()
	}
	// The error of Close counts: network file systems report a failed write there.
	return errors.Join(err, f.Close())
}

// ReadFile gives a file's content.
func ReadFile(fsys FS, name string) ([]byte, error) {
	f, err := fsys.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	data := make([]byte, size)
	n, err := f.ReadAt(data, 0)
	if err != nil && !(errors.Is(err, io.EOF) && n == len(data)) {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return data, nil
}

// MkdirAll makes a directory and the missing ones above it, durably. One that is
// there already is no error.
func MkdirAll(fsys FS, name string, perm fs.FileMode) error {
	made := "."
	for step := range strings.SplitSeq(path.Clean(name), "/") {
		parent := made
		made = path.Join(made, step)
		err := fsys.Mkdir(made, perm)
		switch {
		case made == "." || errors.Is(err, fs.ErrExist):
			continue
		case err != nil:
			return err
		}
		if err := fsys.SyncDir(parent); err != nil {
			return err
		}
	}
	return nil
}
