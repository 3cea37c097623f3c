// Package gormsource makes what is written through GORM to a database of SQLite a source
// of changes, without a change to the program that writes.
//
//	source, err := gormsource.New(db, reader, &User{}, &Order{})
//	r, err := replicator.New(source, options)
//
// GORM's callbacks note which rows a statement may touch. What counts is the commit of
// the transaction: it is there that each row is read twice, as it was before the
// transaction, through a connection of its own, and as it is at its end, through the
// transaction. What differs is announced, all changes of the transaction at once, and is
// durable in the journal before the database gets the COMMIT. Therefore
//
//   - a rollback, also one to a savepoint, announces nothing of what it undid;
//   - a row that a transaction writes many times has one change, from its first state to
//     its last;
//   - upserts, soft deletes and their undoing, and what associations save along, are what
//     they do to the row, and nothing else;
//   - if the process dies between announcement and COMMIT, or the COMMIT gives an error,
//     the next Start, or the next write of the row, reads the row to learn how it ended.
//
// What it does not see: SQL that does not come from GORM's Create, Update, Save and
// Delete, as that of Exec, triggers and cascading foreign keys; and writes of another
// process. Writes that would go unnoticed otherwise are refused: those outside of a
// transaction, as with SkipDefaultTransaction, and in a session that prepares statements
// where the database as a whole does not; and a Create from a map.
//
// It is for SQLite, which has one writer at a time. A database with many needs a lock for
// each row in place of the one here, taken in sorted order, and a statement that returns
// the keys that it touched in place of the look before it.
package gormsource

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/schema"

	"github.com/s3db-go/replicator/cdc"
)

// Source captures the writes of a database. Safe for concurrent use.
type Source struct {
	reader *gorm.DB
	models map[string]*model // by the name of their table
	hook   cdc.Hook
	// writing is held from the announcement of a transaction to its end. SQLite makes
	// transactions wait for each other anyway.
	writing chan struct{}
}

var (
	_ cdc.Source    = (*Source)(nil)
	_ cdc.Reader    = (*Source)(nil)
	_ cdc.Scanner   = (*Source)(nil)
	_ cdc.Lister    = (*Source)(nil)
	_ cdc.Describer = (*Source)(nil)
	_ cdc.Awaiter   = (*Source)(nil)
)

// New captures what is written to the tables of the models through db, from now on. Each
// model has one key, the column id, a text or a whole number. The reader is the same
// database, opened once more: it reads what is committed, while a transaction of db may
// wait for that. Both stay the caller's. db takes the lock for writing when a transaction
// begins (_txlock=immediate); with journal_mode(WAL) nobody waits to read.
func New(db, reader *gorm.DB, models ...any) (*Source, error) {
	s := &Source{reader: reader, models: map[string]*model{}, writing: make(chan struct{}, 1)}
	for _, of := range models {
		parsed, err := schema.Parse(of, &sync.Map{}, db.NamingStrategy)
		if err != nil {
			return nil, fmt.Errorf("gormsource: %T: %w", of, err)
		}
		m, err := newModel(parsed)
		if err != nil {
			return nil, fmt.Errorf("gormsource: %T: %w", of, err)
		}
		s.models[parsed.Table] = m
	}
	return s, db.Use(plugin{s})
}

// Capture implements cdc.Source.
func (s *Source) Capture(rec cdc.Recorder) (release func(), err error) { return s.hook.Capture(rec) }

// Await implements cdc.Awaiter. A transaction that has not come to its commit yet is
// announced by the recorder that is hooked then, and needs no waiting for.
func (s *Source) Await(ctx context.Context) error { return s.hook.Await(ctx) }

// Read implements cdc.Reader.
func (s *Source) Read(ctx context.Context, resource, recordID string) (cdc.Record, bool, error) {
	m, known := s.models[resource]
	if !known {
		return nil, false, nil
	}
	found, err := m.read(s.reader.WithContext(ctx), []string{recordID})
	return found[recordID], found[recordID] != nil, err
}

// WithLock implements cdc.Reader.
func (s *Source) WithLock(_, _ string, fn func()) {
	s.writing <- struct{}{}
	defer func() { <-s.writing }()
	fn()
}

// SecondLook implements cdc.Reader. A transaction of SQLite has an end when its call has.
func (s *Source) SecondLook() time.Duration { return 0 }

// Scan implements cdc.Scanner.
func (s *Source) Scan(ctx context.Context, resource, after string, limit int) ([]cdc.Row, error) {
	m, known := s.models[resource]
	if !known {
		return nil, nil
	}
	query := s.reader.WithContext(ctx).Order(clause.OrderByColumn{Column: m.column()}).Limit(limit)
	if after != "" {
		query = query.Where(clause.Gt{Column: m.column(), Value: after})
	}
	return m.find(query)
}

// Resources implements cdc.Lister.
func (s *Source) Resources() []string { return slices.Sorted(maps.Keys(s.models)) }

// Describe implements cdc.Describer. A model changes only with the program.
func (s *Source) Describe(_ context.Context, resource string) (cdc.Schema, bool, error) {
	m, known := s.models[resource]
	if !known {
		return cdc.Schema{}, false, nil
	}
	return m.describe(), true, nil
}
