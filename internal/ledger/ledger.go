// Package ledger keeps the outcomes of deliveries in one bbolt file and finds them
// again: the log.
//
// # What it promises
//
// What [Ledger.Put] returned from survives a power loss. A row is written once per
// destination, target and change; putting it again replaces it. A query reads only
// what it selects: by any set of destination, target, resource, status and time it
// costs the rows found, not the rows kept. A slow reader holds up nobody. A damaged file
// is an error that says so, and never a panic.
//
// # What it does not
//
// A record id or a retry count narrows a query after the other fields did: it is compared
// with what the index has of every row which they select. Rows that are put while a query
// runs may or may not be in its result. Damage within a row that leaves it readable is not
// noticed.
//
// # Layout
//
// Seven buckets. Numbers are big-endian, so that bbolt's order of bytes is theirs;
// a name is a uvarint length and its bytes.
//
//	meta      "format" → "3"; "copy" → the name of who follows; "seed" → up to which row those before are still to be given
//	groups    status, destination, target, resource (names)  → group (4 bytes)
//	rows      change id (16), destination, target (names)    → group (4), time (8), created at (8), the rest of the row
//	index     group (4), time (8), change id (16)            → retry count and whether on the road, record id
//	failures  destination, target, resource, record id (names), version (8), change id (16)  → nothing
//	feed      number (8)                                     → time (8), key in rows: what has changed, while somebody follows
//	shown     id of a row                                    → key in rows: who follows shows it as on the road
//
// A group is a set of rows that no filter but time and record id can tell apart.
// There are as many as routes times statuses, so a query looks at all groups,
// takes those that it selects, and merges their stretches of the index, newest
// first. Change ids grow with time, so both large buckets grow at their ends. Failures
// holds the rows that are failed or held, those of a record together and in order.
package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// Ledger is an open log. Safe for concurrent use.
type Ledger struct {
	path   string
	db     *bolt.DB
	file   *os.File // db's own
	broken atomic.Pointer[error]
}

const (
	format = "3"
	// lockTimeout bounds the wait for another process that has the file open. It is
	// long enough for one that is just closing it.
	lockTimeout = time.Second
)

var (
	metaBucket   = []byte("meta")
	groupsBucket = []byte("groups")
	rowsBucket   = []byte("rows")
	indexBucket  = []byte("index")
	failBucket   = []byte("failures")
	feedBucket   = []byte("feed")
	shownBucket  = []byte("shown")
	formatKey    = []byte("format")
)

// Open opens the log at path and creates it, readable by its owner only, if it is
// not there. The folder must exist. A file that another process holds open is an
// error after a second; one of another format, or a damaged one, is an error and is
// not touched. To find damage the whole file is read: 300 MB of a million rows take a
// tenth of a second if they are in memory, else what the disk takes.
func Open(path string) (*Ledger, error) {
	info, err := os.Stat(path)
	created := errors.Is(err, fs.ErrNotExist)
	if err == nil && info.Size() > 0 {
		if err := inspect(path); err != nil {
			return nil, err
		}
	}
	l := &Ledger{path: path}
	err = l.guard("open", func() error {
		if err := l.connect(false); err != nil {
			return err
		}
		return prepare(l.db, path, created)
	})
	if err != nil {
		return nil, errors.Join(err, l.release())
	}
	return l, nil
}

// inspect looks for damage before anything is written.
func inspect(path string) error {
	l := &Ledger{path: path}
	err := l.guard("open", func() error {
		if err := l.connect(true); err != nil {
			return err
		}
		return l.db.View(func(tx *bolt.Tx) error { return check(l.file, l.db.Info().PageSize, tx.ID()) })
	})
	return errors.Join(err, l.release())
}

// connect opens the file, locked: for reading by several, for writing by one.
func (l *Ledger) connect(readOnly bool) (err error) {
	l.db, err = bolt.Open(l.path, 0o600, &bolt.Options{
		Timeout:  lockTimeout,
		ReadOnly: readOnly,
		// The array, bbolt's default, is searched from its start for every allocation.
		FreelistType: bolt.FreelistMapType,
		OpenFile: func(name string, flag int, mode os.FileMode) (f *os.File, err error) {
			f, err = os.OpenFile(name, flag, mode)
			l.file = f
			return f, err
		},
	})
	_, path := errors.AsType[*fs.PathError](err)
	_, call := errors.AsType[syscall.Errno](err)
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return errInUse
	case err != nil && !path && !call:
		return damage(err.Error()) // it is about what stands at the beginning of the file
	}
	return err
}

var errInUse = errors.New("in use by another process")

// prepare makes an empty database a log, and refuses any other that is not one.
func prepare(db *bolt.DB, path string, created bool) error {
	buckets := [][]byte{metaBucket, groupsBucket, rowsBucket, indexBucket, failBucket, feedBucket, shownBucket}
	var empty bool
	err := db.View(func(tx *bolt.Tx) error {
		first, _ := tx.Cursor().First()
		if empty = first == nil; empty {
			return nil
		}
		lacks := func(name []byte) bool { return tx.Bucket(name) == nil }
		switch {
		case !slices.ContainsFunc(buckets, func(name []byte) bool { return !lacks(name) }):
			return errors.New("a database of something else")
		case slices.ContainsFunc(buckets, lacks):
			return damage("a part of it is not there")
		}
		if found := tx.Bucket(metaBucket).Get(formatKey); string(found) != format {
			return fmt.Errorf("format %q, and this version of replicator reads only %q", found, format)
		}
		return nil
	})
	if err != nil || !empty {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range buckets {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		return tx.Bucket(metaBucket).Put(formatKey, []byte(format))
	})
	if err == nil && created {
		err = syncFolder(filepath.Dir(path))
	}
	return err
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
	if err := l.release(); err != nil {
		return fmt.Errorf("ledger: close: %w", err)
	}
	return nil
}
