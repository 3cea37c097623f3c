package backfill_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/backfill"
	"github.com/s3db-go/replicator/internal/disk"
	"github.com/s3db-go/replicator/internal/journal"
	"github.com/s3db-go/replicator/internal/keylock"
)

// shop is a source that announces its writes to a journal.
type shop struct {
	locks   keylock.Set
	journal journal.Journal

	mu   sync.Mutex // guards rows
	rows map[string]cdc.Record
	// after, if not nil, is called when a chunk was read.
	after func()
}

func newShop(j journal.Journal, n int) *shop {
	s := &shop{journal: j, rows: map[string]cdc.Record{}}
	for i := range n {
		s.rows[fmt.Sprintf("%05d", i)] = cdc.Record{"n": int64(i)}
	}
	return s
}

// write gives a record a new state, nil for none, and has it journaled.
func (s *shop) write(ctx context.Context, id string, rec cdc.Record) error {
	unlock, err := s.locks.Lock(ctx, cdc.Key{Resource: "r", RecordID: id})
	if err != nil {
		return err
	}
	defer unlock()
	s.mu.Lock()
	before := s.rows[id]
	s.mu.Unlock()
	c := cdc.Change{ChangeID: cdc.ID(uuid.New()), Op: cdc.Updated, Resource: "r", RecordID: id, Data: rec, Before: before, Time: now()}
	switch {
	case before == nil && rec == nil:
		return nil
	case before == nil:
		c.Op = cdc.Inserted
	case rec == nil:
		c.Op, c.Data = cdc.Deleted, before
	}
	ticket, err := s.journal.Begin(ctx, []cdc.Change{c})
	if err != nil {
		return err
	}
	s.mu.Lock()
	if s.rows[id] = rec; rec == nil {
		delete(s.rows, id)
	}
	s.mu.Unlock()
	s.journal.Commit(ticket, 0, nil)
	return nil
}

// Scan implements cdc.Scanner.
func (s *shop) Scan(_ context.Context, resource, after string, limit int) ([]cdc.Row, error) {
	if resource != "r" {
		return nil, nil
	}
	s.mu.Lock()
	var rows []cdc.Row
	for _, id := range slices.Sorted(maps.Keys(s.rows)) {
		if id > after && len(rows) < limit {
			rows = append(rows, cdc.Row{RecordID: id, Data: s.rows[id], SchemaVersion: 7})
		}
	}
	s.mu.Unlock()
	if s.after != nil {
		s.after()
	}
	return rows, nil
}

func (s *shop) state() map[string]cdc.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.rows)
}

// scanner is a source of a function.
type scanner func(resource, after string, limit int) ([]cdc.Row, error)

func (s scanner) Scan(_ context.Context, resource, after string, limit int) ([]cdc.Row, error) {
	return s(resource, after, limit)
}

func openJournal(t *testing.T, fsys disk.FS) journal.Journal {
	t.Helper()
	j, err := journal.Open(fsys, journal.Options{SegmentBytes: 128 << 10})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// arrived gives what the journal holds for the destination: the state that it makes,
// and of each record that a backfill sent the ids of its changes.
func arrived(t *testing.T, j journal.Journal) (state map[string]cdc.Record, sent map[string][]cdc.ID) {
	t.Helper()
	reader, err := j.ReadFor("d", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	state, sent = map[string]cdc.Record{}, map[string][]cdc.ID{}
	for {
		entries, err := reader.Next(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) == 0 {
			return state, sent
		}
		for _, e := range entries {
			c := e.Change
			if e.Kind != journal.Committed {
				continue
			}
			if c.Origin == cdc.Snapshot {
				sent[c.RecordID] = append(sent[c.RecordID], c.ChangeID)
			}
			if state[c.RecordID] = c.Data; c.Op == cdc.Deleted {
				delete(state, c.RecordID)
			}
		}
	}
}

// options are those of a destination that settles at once.
func options(source cdc.Scanner, j journal.Journal, fsys disk.FS) backfill.Options {
	return backfill.Options{
		Destination: "d", Source: source, Journal: j, FS: fsys, ChunkSize: 10, ChunkBytes: 1 << 20,
		Settled: func(ctx context.Context, _ uint64) error { return ctx.Err() },
	}
}

// begin starts a runner on what is unfinished, and the backfill of a resource.
func begin(t *testing.T, o backfill.Options, resource string) (*backfill.Runner, *backfill.Run) {
	t.Helper()
	var unfinished []backfill.State
	if o.FS != nil {
		var err error
		if unfinished, err = backfill.Unfinished(o.FS); err != nil {
			t.Fatal(err)
		}
	}
	r := backfill.New(o, unfinished)
	run, err := r.Begin(resource)
	if err != nil {
		t.Fatal(err)
	}
	r.Start()
	t.Cleanup(r.Stop)
	return r, run
}

func wait(t *testing.T, run *backfill.Run) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := run.Wait(ctx); err != nil {
		t.Fatal(err)
	}
}

func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// seal makes the commits that nobody waited for durable, by one for somebody else.
func seal(t *testing.T, j journal.Journal) {
	t.Helper()
	if _, err := j.AppendTo(t.Context(), "other", []cdc.Change{{ChangeID: cdc.ID{2}, Op: cdc.Inserted, Resource: "r", RecordID: "seal"}}, nil); err != nil {
		t.Fatal(err)
	}
}
