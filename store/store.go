// Package store keeps resources of records in the format of s3db.js, so that
// either side reads what the other wrote, and lets every write be captured.
//
// # What it promises
//
// A write has happened as a whole or not at all, also across a crash; when it has
// returned, it is durable (on file://, unless ?sync=off). Writes of one record run
// one after the other. A record that does not fit its definition is refused with
// everything that is wrong with it, before anything is written or announced. What
// a write returns or announces is exactly what Get returns afterwards. No error
// holds a secret, the passphrase, or the connection string.
//
// # What it does not
//
// Several processes may share a directory if they write different records; two
// that define resources at the same time may lose one's definition. Of the
// format's types, behaviors and partitions only those named at [Definition] can be
// written; the others are refused by name.
//
// # Where it differs from the original
//
//   - An attribute is optional unless it says required.
//   - A field that is not declared is an error. What others left in a record under
//     names of their own is read, and kept by Update.
//   - Strings are not trimmed, and not taken for numbers, booleans or JSON.
//   - A number that a float64 would round is an error.
//   - The value null is kept for every type.
//   - Update merges nested attributes, and replaces the value of a json or object.
package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/keylock"
)

// Record is the content of one item, see [cdc.Record]. Its id is the field "id".
type Record = cdc.Record

// OriginalPassphrase is the word under which the original encrypts secrets when it
// was given none. Everybody knows it; name it only to read such data.
const OriginalPassphrase = "secret"

// DB is an opened store. Safe for concurrent use.
type DB struct {
	backend backend
	secrets *sealer // nil without a passphrase
	locks   keylock.Set
	hook    cdc.Hook

	mu       sync.RWMutex // guards what follows; no I/O under it
	usable   map[string]*schema
	unusable map[string]error
	closed   bool
}

// Option changes how a store is opened.
type Option func(*settings)

// WithPassphrase gives the passphrase of the secret attributes, before one in the
// connection string. Empty counts as none.
func WithPassphrase(passphrase string) Option {
	return func(s *settings) {
		if passphrase != "" {
			s.passphrase = passphrase
		}
	}
}

// Open opens the store that a connection string names:
//
//   - memory://name — in memory, for this DB alone, and gone with it
//   - file:///abs/path, file://./rel/path — in a directory, made if it is missing.
//     With ?sync=off nothing is flushed, and a loss of power may take what was
//     written lately.
//
// Either takes ?passphrase=, see [WithPassphrase]. ctx bounds the call.
func Open(ctx context.Context, connectionString string, opts ...Option) (*DB, error) {
	s, err := parseConnection(connectionString)
	if err != nil {
		return nil, fmt.Errorf("store: connection string: %w", err)
	}
	for _, opt := range opts {
		opt(&s)
	}
	b, err := s.open()
	if err != nil {
		return nil, fmt.Errorf("store: open: %w", err)
	}
	db, err := openOn(ctx, b, s.passphrase)
	if err != nil {
		return nil, errors.Join(err, b.close())
	}
	return db, nil
}

// openOn opens the store that a backend holds.
func openOn(ctx context.Context, b backend, passphrase string) (*DB, error) {
	c, err := readCatalogue(ctx, b)
	if err != nil {
		return nil, err
	}
	db := &DB{backend: b, secrets: newSealer(passphrase)}
	db.usable, db.unusable = c.schemas()
	return db, nil
}

// Close gives the backend back. Calls that are under way may fail, those that come
// later do, with [ErrClosed]. It may be called more than once.
func (db *DB) Close() error {
	db.mu.Lock()
	closed := db.closed
	db.closed = true
	db.mu.Unlock()
	if closed {
		return nil
	}
	return db.backend.close()
}

// Resources gives the names of all resources, sorted.
func (db *DB) Resources() []string {
	db.mu.RLock()
	defer db.mu.RUnlock()
	names := slices.AppendSeq(slices.Collect(maps.Keys(db.usable)), maps.Keys(db.unusable))
	slices.Sort(names)
	return names
}

// Resource gives a resource by name, never nil. If there is none of that name, its
// methods give [ErrNoResource] until it has been created.
func (db *DB) Resource(name string) *Resource { return &Resource{db, name} }

// CreateResource defines a resource. If there is one of that name, def becomes its
// definition: the same one changes nothing, another one cuts a new version.
// Records stay as they are; what they hold of attributes that are gone is no
// longer read. A definition that is not valid is a [*ValidationError].
func (db *DB) CreateResource(ctx context.Context, def Definition) (*Resource, error) {
	return db.redefine(ctx, def.Name, func(*catalogue) (Definition, error) { return def, nil })
}

// ChangeResource is CreateResource with what change makes of the definition that is
// stored now, by whomever: this DB may not have seen it yet. A resource that is not
// there has an empty one. change must not change the attributes that it is given, and
// must not call the DB.
func (db *DB) ChangeResource(ctx context.Context, name string, change func(there Definition) Definition) (*Resource, error) {
	return db.redefine(ctx, name, func(c *catalogue) (Definition, error) {
		there, err := c.definition(name)
		if err != nil {
			return Definition{}, err
		}
		def := change(there)
		def.Name = name
		return def, nil
	})
}

// redefine brings a definition into the catalogue as it is now, under the catalogue's
// lock.
func (db *DB) redefine(ctx context.Context, name string, choose func(*catalogue) (Definition, error)) (*Resource, error) {
	// The catalogue is locked like a record, of no resource.
	release, err := db.locks.Lock(ctx, cdc.Key{RecordID: catalogueKey})
	if err != nil {
		return nil, fmt.Errorf("store: %s: %w", name, err)
	}
	defer release()
	db.mu.RLock()
	closed := db.closed
	db.mu.RUnlock()
	if closed {
		return nil, ErrClosed
	}
	c, err := readCatalogue(ctx, db.backend)
	if err != nil {
		return nil, err
	}
	def, err := choose(c)
	if err != nil {
		return nil, err
	}
	if err := db.define(ctx, c, def); err != nil {
		return nil, err
	}
	usable, unusable := c.schemas()
	db.mu.Lock()
	defer db.mu.Unlock()
	db.usable, db.unusable = usable, unusable
	return db.Resource(name), nil
}

// define makes def part of the catalogue, and writes that if it changed anything.
func (db *DB) define(ctx context.Context, c *catalogue, def Definition) error {
	attrs, err := def.compile()
	if err != nil {
		return err
	}
	if reason := db.backend.refuses(def.Name); reason != "" {
		return invalid(def.Name, "", []Fault{{"", reason}})
	}
	if db.secrets == nil && slices.ContainsFunc(attrs, (*attribute).hidesSecret) {
		return fmt.Errorf("store: %s: %w", def.Name, ErrNoPassphrase)
	}
	now := time.Now()
	changed, err := c.define(def, attrs, now)
	if err != nil || !changed {
		return err
	}
	o, err := c.encode(now)
	if err != nil {
		return fmt.Errorf("store: %s: %w", def.Name, err)
	}
	if err := db.backend.put(context.WithoutCancel(ctx), catalogueKey, o); err != nil {
		return fmt.Errorf("store: %s: write %s: %w", def.Name, catalogueKey, err)
	}
	return nil
}

// schema gives a resource's present schema.
func (db *DB) schema(resource string) (*schema, error) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	if db.closed {
		return nil, fmt.Errorf("store: %s: %w", resource, ErrClosed)
	}
	if err := db.unusable[resource]; err != nil {
		return nil, err
	}
	if s := db.usable[resource]; s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("store: %s: %w", resource, ErrNoResource)
}

// read gives a record as it is stored, nil if there is none.
func (db *DB) read(ctx context.Context, s *schema, id string) (Record, error) {
	if unfitID(id) != "" {
		return nil, nil // and no name of a file either
	}
	o, err := db.backend.get(ctx, recordKey(s.resource, id))
	if errors.Is(err, errAbsent) {
		return nil, nil
	}
	if err != nil {
		return nil, recordError(s.resource, id, err)
	}
	rec, err := s.decode(id, o, db.secrets)
	return rec, recordError(s.resource, id, err)
}
