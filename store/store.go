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
// Several processes may share a bucket or a directory if they write different records.
// On a server one is noticed that writes to the same: a change is then made once more
// to the record as it is now, and after many such tries it is [ErrConflict]; a Put
// that nobody captures asks nothing. Definitions have a lock on a server, that of the original; of two that
// define resources in a directory at the same time, one's definition may be lost. What
// others define is seen when the store is opened, or when it defines something itself.
//
// A record that is in partitions has references there, which are objects of their own.
// They are written before the record and removed after it, and the record alone
// decides: what a crash leaves are references to no record, or under values that it had
// before. Readers pass over them, the next write of the record or [Resource.Reindex]
// removes them. Two processes that change the same record's values at the same moment
// may leave one reference out, which Reindex writes.
//
// What the original stored beside a record as its content is lost when the record is
// written here.
//
// # Where it differs from the original
//
//   - An attribute is optional unless it says required. In the catalogue it then says so,
//     since for the original it is required without a word.
//   - A field that is not declared is an error. What others left in a record under
//     names of their own is read, and kept by Update.
//   - Strings are not trimmed, and not taken for numbers, booleans or JSON.
//   - A number that a float64 would round is an error.
//   - The value null is kept for every type.
//   - Update merges nested attributes, and replaces the value of a json or object.
//   - A record is read by the version of the definition that it was written under.
//   - References are written with the record, and not some time after it. A query by a
//     partition does not find what is in one whose name only begins like it.
package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
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

	// defined is replaced as a whole, so that a write looks up its schema without a lock.
	defined atomic.Pointer[schemas]
	closed  atomic.Bool
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
//   - s3://KEY:SECRET@bucket/prefix — on Amazon S3. The bucket must be there. Without
//     a key and a secret the environment gives them, in any of Amazon's ways. The bucket is asked for its region, unless ?region= names it;
//     ?sessionToken= goes with a key that needs one.
//   - http://KEY:SECRET@host:port/bucket/prefix, https://… — on another server of the
//     same protocol, with the same parameters.
//
// Characters that mean something in a URL must be escaped in a key or a secret: / is
// %2F, + is %2B. All take ?passphrase=, see [WithPassphrase]. Parameters with a point in
// their names, which the original hands to its HTTP client, have no effect.
//
// Requests to a server are sent again after what may pass by itself, four times in
// about a second, and each has 32 seconds for its answer. Errors of a server wrap
// [ErrUnavailable], [ErrDenied], [ErrNoBucket] or [ErrRefused]. ctx bounds the call.
func Open(ctx context.Context, connectionString string, opts ...Option) (*DB, error) {
	s, err := parseConnection(connectionString)
	if err != nil {
		return nil, fmt.Errorf("store: connection string: %w", err)
	}
	for _, opt := range opts {
		opt(&s)
	}
	b, err := s.open(ctx)
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
	db.defined.Store(c.schemas())
	return db, nil
}

// Check asks the backend for what it always has, to tell whether it can be used. ctx
// bounds the call.
func (db *DB) Check(ctx context.Context) error {
	if db.closed.Load() {
		return ErrClosed
	}
	_, err := readCatalogue(ctx, db.backend)
	return err
}

// Close gives the backend back. Calls that are under way may fail, those that come
// later do, with [ErrClosed]. It may be called more than once.
func (db *DB) Close() error {
	if db.closed.Swap(true) {
		return nil
	}
	return db.backend.close()
}

// Resources gives the names of all resources, sorted.
func (db *DB) Resources() []string {
	all := db.defined.Load()
	names := slices.AppendSeq(slices.Collect(maps.Keys(all.usable)), maps.Keys(all.unusable))
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
// locks: that of this DB, and where others write to it, that of the format.
func (db *DB) redefine(ctx context.Context, name string, choose func(*catalogue) (Definition, error)) (*Resource, error) {
	// The catalogue is locked like a record, of no resource.
	release, err := db.locks.Lock(ctx, cdc.Key{RecordID: catalogueKey})
	if err != nil {
		return nil, fmt.Errorf("store: %s: %w", name, err)
	}
	defer release()
	if db.closed.Load() {
		return nil, ErrClosed
	}
	c, changed, err := db.redefined(ctx, choose)
	if err == nil && changed && db.backend.remote() {
		// Only now: most calls find what they want, and should not stop other writers.
		unlock, lockErr := lockCatalogue(ctx, db.backend)
		if lockErr != nil {
			return nil, lockErr
		}
		defer unlock()
		c, changed, err = db.redefined(ctx, choose)
	}
	if err == nil && changed {
		err = db.writeCatalogue(ctx, c)
	}
	if err != nil {
		return nil, err
	}
	db.defined.Store(c.schemas())
	db.announceSchema(ctx, name)
	return db.Resource(name), nil
}

// redefined gives the catalogue as it is now with the definition that choose gives, and
// whether that changes anything.
func (db *DB) redefined(ctx context.Context, choose func(*catalogue) (Definition, error)) (c *catalogue, changed bool, err error) {
	if c, err = readCatalogue(ctx, db.backend); err != nil {
		return nil, false, err
	}
	def, err := choose(c)
	if err != nil {
		return nil, false, err
	}
	changed, err = db.define(c, def)
	return c, changed, err
}

// define makes def part of the catalogue, and reports whether that changed anything.
func (db *DB) define(c *catalogue, def Definition) (changed bool, err error) {
	attrs, err := def.compile(c.attributesOf(def.Name))
	if err != nil {
		return false, err
	}
	if reason := db.backend.refuses(def.Name); reason != "" {
		return false, invalid(def.Name, "", []Fault{{"", reason}})
	}
	if db.secrets == nil && slices.ContainsFunc(attrs, (*attribute).hidesSecret) {
		return false, fmt.Errorf("store: %s: %w", def.Name, ErrNoPassphrase)
	}
	return c.define(def, attrs, time.Now())
}

// writeCatalogue writes the catalogue in place of the one that it was made of.
func (db *DB) writeCatalogue(ctx context.Context, c *catalogue) error {
	o, err := c.encode(time.Now())
	if err == nil {
		err = db.backend.swap(context.WithoutCancel(ctx), catalogueKey, &o, c.tag)
	}
	if errors.Is(err, errChanged) {
		err = ErrConflict // by one who does not know the lock
	}
	if err != nil {
		return fmt.Errorf("store: write %s: %w", catalogueKey, err)
	}
	return nil
}

// schema gives a resource's present schema.
func (db *DB) schema(resource string) (*schema, error) {
	if db.closed.Load() {
		return nil, fmt.Errorf("store: %s: %w", resource, ErrClosed)
	}
	all := db.defined.Load()
	if err := all.unusable[resource]; err != nil {
		return nil, err
	}
	if s := all.usable[resource]; s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("store: %s: %w", resource, ErrNoResource)
}

// read gives a record as it is stored, nil if there is none.
func (db *DB) read(ctx context.Context, s *schema, id string) (Record, error) {
	rec, _, err := db.readTagged(ctx, s, id, recordKey(s.resource, id))
	return rec, err
}

// readTagged is read for a record whose key is known, with the tag of the object that
// holds it.
func (db *DB) readTagged(ctx context.Context, s *schema, id, key string) (Record, string, error) {
	if unfitID(id) != "" {
		return nil, noTag, nil // and no name of a file either
	}
	o, err := db.backend.get(ctx, key)
	if errors.Is(err, errAbsent) {
		return nil, noTag, nil
	}
	if err != nil {
		return nil, noTag, recordError(s.resource, id, err)
	}
	rec, err := s.decode(id, o, db.secrets)
	return rec, o.tag, recordError(s.resource, id, err)
}
