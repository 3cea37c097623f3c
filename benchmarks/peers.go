package main

import (
	"database/sql"
	"encoding/binary"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"go.etcd.io/bbolt"
	_ "modernc.org/sqlite"
)

// grouped gives a peer that commits one transaction at a time the best that can be
// had from it: whoever waits while one is under way is in the next one. It is quicker
// than bbolt's own Batch, which waits for a batch to fill.
type grouped struct {
	record func(caller int) []byte
	commit func(records [][]byte) error // in one durable transaction
	close  func() error

	mu      sync.Mutex // guards what follows
	work    sync.Cond
	current *peerGroup
	closing bool
	running sync.WaitGroup
}

type peerGroup struct {
	records [][]byte
	done    chan struct{}
	err     error
}

func newPeerGroup() *peerGroup { return &peerGroup{done: make(chan struct{})} }

func newGrouped(record func(int) []byte, commit func([][]byte) error, close func() error) *grouped {
	p := &grouped{record: record, commit: commit, close: close, current: newPeerGroup()}
	p.work.L = &p.mu
	p.running.Go(p.write)
	return p
}

func (p *grouped) do(caller int) error {
	record := p.record(caller) // nobody else's until do returns
	p.mu.Lock()
	g := p.current
	g.records = append(g.records, record)
	p.work.Signal()
	p.mu.Unlock()
	<-g.done
	return g.err
}

func (p *grouped) write() {
	for {
		p.mu.Lock()
		for len(p.current.records) == 0 && !p.closing {
			p.work.Wait()
		}
		g := p.current
		p.current = newPeerGroup()
		p.mu.Unlock()
		if len(g.records) == 0 {
			return
		}
		g.err = p.commit(g.records)
		close(g.done)
	}
}

func (p *grouped) Close() error {
	p.mu.Lock()
	p.closing = true
	p.work.Signal()
	p.mu.Unlock()
	p.running.Wait()
	return p.close()
}

// place is the key of the n-th record, in the order of a journal.
func place(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// openBolt leaves the list of free pages out of every commit, as etcd does not: it is
// rebuilt on opening. Pages fill up, since keys come in order.
func openBolt(dir string, record func(int) []byte) (session, error) {
	db, err := bbolt.Open(filepath.Join(dir, "bolt"), 0o600, &bbolt.Options{
		NoFreelistSync: true, FreelistType: bbolt.FreelistMapType, InitialMmapSize: 1 << 30,
	})
	if err != nil {
		return nil, err
	}
	name, last := []byte("journal"), uint64(0)
	commit := func(records [][]byte) error {
		return db.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists(name)
			if err != nil {
				return err
			}
			b.FillPercent = 1
			for _, record := range records {
				last++
				if err := b.Put(place(last), record); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return newGrouped(record, commit, db.Close), nil
}

// openSQLite writes ahead, with one flush of that log per transaction.
func openSQLite(dir string, record func(int) []byte) (session, error) {
	db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(filepath.Join(dir, "sqlite"))+
		"?_pragma=journal_mode(wal)&_pragma=synchronous(full)&_pragma=locking_mode(exclusive)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("CREATE TABLE journal (seq INTEGER PRIMARY KEY, change BLOB NOT NULL)"); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	insert, err := db.Prepare("INSERT INTO journal (change) VALUES (?)")
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	commit := func(records [][]byte) error {
		tx, err := db.Begin()
		if err != nil {
			return err
		}
		defer tx.Rollback()
		stmt := tx.Stmt(insert)
		for _, record := range records {
			if _, err := stmt.Exec(record); err != nil {
				return err
			}
		}
		return tx.Commit()
	}
	return newGrouped(record, commit, func() error { return errors.Join(insert.Close(), db.Close()) }), nil
}

// peb is Pebble with the group commit that it has itself.
type peb struct {
	db     *pebble.DB
	record func(int) []byte
	last   atomic.Uint64
}

func openPebble(dir string, record func(int) []byte) (session, error) {
	db, err := pebble.Open(filepath.Join(dir, "pebble"), &pebble.Options{
		Logger: silent{}, MemTableSize: 64 << 20, // the size of our segments
	})
	if err != nil {
		return nil, err
	}
	return &peb{db: db, record: record}, nil
}

func (p *peb) do(caller int) error {
	record := p.record(caller)
	return p.db.Set(place(p.last.Add(1)), record, pebble.Sync)
}

func (p *peb) Close() error { return p.db.Close() }

// silent keeps Pebble's reports of its flushes out of the table.
type silent struct{}

func (silent) Infof(string, ...any)  {}
func (silent) Errorf(string, ...any) {}
func (silent) Fatalf(format string, args ...any) {
	pebble.DefaultLogger.Fatalf(format, args...)
}
