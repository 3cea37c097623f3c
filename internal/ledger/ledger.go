// Package ledger keeps the outcomes of deliveries in one bbolt file and finds them
// again: the log.
//
// # What it promises
//
// What [Ledger.Put] returned from survives a power loss. A row is written once per
// destination, target and change; putting it again replaces it. A query reads only
// what it selects: by any set of destination, target, resource, status and time it
// costs the rows found, not the rows kept. A slow reader holds up nobody.
//
// # What it does not
//
// A record id narrows a query after the other fields did: it is compared with that
// of every row which they select. Rows that are put while a query runs may or may
// not be in its result.
//
// # Layout
//
// Four buckets. Numbers are big-endian, so that bbolt's order of bytes is theirs;
// a name is a uvarint length and its bytes.
//
//	meta    "format" → "1"
//	groups  status, destination, target, resource (names)  → group (4 bytes)
//	rows    change id (16), destination, target (names)    → group (4), time (8), created at (8), the rest of the row
//	index   group (4), time (8), change id (16)            → record id
//
// A group is a set of rows that no filter but time and record id can tell apart.
// There are as many as routes times statuses, so a query looks at all groups,
// takes those that it selects, and merges their stretches of the index, newest
// first. Change ids grow with time, so both large buckets grow at their ends.
package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// Ledger is an open log. Safe for concurrent use.
type Ledger struct{ db *bolt.DB }

const (
	format = "1"
	// lockTimeout bounds the wait for another process that has the file open. It is
	// long enough for one that is just closing it.
	lockTimeout = time.Second
)

var (
	metaBucket   = []byte("meta")
	groupsBucket = []byte("groups")
	rowsBucket   = []byte("rows")
	indexBucket  = []byte("index")
	formatKey    = []byte("format")
)

// Open opens the log at path and creates it, readable by its owner only, if it is
// not there. The folder must exist. A file that another process holds open is an
// error after a second; one of another format is an error and is not touched.
func Open(path string) (*Ledger, error) {
	_, err := os.Stat(path)
	created := errors.Is(err, fs.ErrNotExist)
	db, err := bolt.Open(path, 0o600, &bolt.Options{
		Timeout: lockTimeout,
		// The array, bbolt's default, is searched from its start for every allocation.
		FreelistType: bolt.FreelistMapType,
	})
	if errors.Is(err, berrors.ErrTimeout) {
		return nil, fmt.Errorf("ledger: %s is in use by another process", path)
	}
	if err != nil {
		return nil, fmt.Errorf("ledger: open %s: %w", path, err)
	}
	if err := prepare(db, path, created); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &Ledger{db}, nil
}

// prepare makes an empty database a log, and refuses any other that is not one.
func prepare(db *bolt.DB, path string, created bool) error {
	var empty bool
	err := db.View(func(tx *bolt.Tx) error {
		first, _ := tx.Cursor().First()
		if empty = first == nil; empty {
			return nil
		}
		meta := tx.Bucket(metaBucket)
		if meta == nil {
			return fmt.Errorf("ledger: %s is a database of something else", path)
		}
		if found := meta.Get(formatKey); string(found) != format {
			return fmt.Errorf("ledger: %s has format %q, and this version of replicator reads only %q", path, found, format)
		}
		return nil
	})
	if err != nil || !empty {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{metaBucket, groupsBucket, rowsBucket, indexBucket} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		return tx.Bucket(metaBucket).Put(formatKey, []byte(format))
	})
	if err == nil && created {
		err = syncFolder(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("ledger: create %s: %w", path, err)
	}
	return nil
}

// syncFolder makes the name of a new file durable. Windows has no such call and
// does it by itself.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// Close closes the file. It waits for calls that are under way, not for consumers
// of [Ledger.Rows]: those get an error when they ask for more. Calling it again
// does nothing.
func (l *Ledger) Close() error {
	if err := l.db.Close(); err != nil {
		return fmt.Errorf("ledger: close: %w", err)
	}
	return nil
}
