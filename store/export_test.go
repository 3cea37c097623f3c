package store

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/s3db-go/replicator/internal/disk"
)

// OpenFS opens a store in a file system, as Open opens one in a directory.
func OpenFS(ctx context.Context, fsys disk.FS, foldsCase bool, passphrase string) (*DB, error) {
	return openOn(ctx, newDirectory(fsys, foldsCase), passphrase)
}

// Faults makes writes to the backend under a store fail.
type Faults struct {
	backend

	mu    sync.Mutex // guards fault
	fault string
}

// ErrFault is the failure.
var ErrFault = errors.New("fault")

// Break puts faults between a store and its backend.
func Break(db *DB) *Faults {
	f := &Faults{backend: db.backend}
	db.backend = f
	return f
}

// Next chooses what befalls the next write: "fail", "lost" (an error that does not
// tell, not applied) or "late" (the same, but applied).
func (f *Faults) Next(fault string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
}

// write is as sensitive to a context that ended as a client of a server is.
func (f *Faults) write(ctx context.Context, apply func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f.mu.Lock()
	fault := f.fault
	f.fault = ""
	f.mu.Unlock()
	switch fault {
	case "fail":
		return ErrFault
	case "lost":
		return &uncertain{ErrFault}
	case "late":
		return errors.Join(&uncertain{ErrFault}, apply())
	}
	return apply()
}

func (f *Faults) put(ctx context.Context, key string, o object) error {
	return f.write(ctx, func() error { return f.backend.put(ctx, key, o) })
}

func (f *Faults) remove(ctx context.Context, key string) error {
	return f.write(ctx, func() error { return f.backend.remove(ctx, key) })
}

func (f *Faults) swap(ctx context.Context, key string, to *object, tag string) error {
	return f.write(ctx, func() error { return f.backend.swap(ctx, key, to, tag) })
}

// PutRaw stores an object as another writer would.
func PutRaw(ctx context.Context, db *DB, key string, headers map[string]string, body, contentType string) error {
	return db.backend.put(ctx, key, object{headers: headersOf(headers), body: []byte(body), contentType: contentType})
}

// GetRaw gives an object as another reader would find it.
func GetRaw(ctx context.Context, db *DB, key string) (headers map[string]string, body []byte, err error) {
	o, err := db.backend.get(ctx, key)
	return o.headers.unpacked(), o.body, err
}

// DefinitionHash gives the hash of a definition as a catalogue holds it.
func DefinitionHash(attributes map[string]any, behavior string, timestamps bool, partitions []byte) (string, error) {
	return version{Attributes: attributes, Behavior: behavior, Timestamps: timestamps, Partitions: partitions}.hash()
}

// UnfitName says why an id can't be part of a file name on an operating system.
var UnfitName = unfitName

// DecodeHeader reads a header's wire value.
var DecodeHeader = decodeHeader

// ShortKeys gives the short keys of all paths at or below the attributes.
func ShortKeys(db *DB, resource string, attributes []string) []string {
	s, err := db.schema(resource)
	if err != nil {
		return nil
	}
	var keys []string
	for path, key := range s.keys {
		root, _, _ := strings.Cut(path, ".")
		if slices.Contains(attributes, root) {
			keys = append(keys, key)
		}
	}
	return keys
}

// Rewritten gives the object that writing a stored record back makes, and the keys of
// its references.
func Rewritten(ctx context.Context, db *DB, resource, id string) (headers map[string]string, body []byte, references []string, err error) {
	s, err := db.schema(resource)
	if err != nil {
		return nil, nil, nil, err
	}
	rec, err := db.read(ctx, s, id)
	if err != nil {
		return nil, nil, nil, err
	}
	o, _, err := s.encode(rec, db.secrets)
	if err != nil {
		return nil, nil, nil, err
	}
	references, faults := s.references(id, rec)
	return o.headers.unpacked(), o.body, references, invalid(resource, id, faults)
}

// Opened decrypts a secret.
func Opened(db *DB, sealed string) (string, error) { return db.secrets.open(sealed) }

// PathOf gives the attribute of a short key, and what it was declared as.
func PathOf(db *DB, resource, key string) (path, definition string) {
	s, err := db.schema(resource)
	if err != nil {
		return "", ""
	}
	path = s.paths[key]
	if a := s.byPath[path]; a != nil {
		definition = a.text
	}
	return path, definition
}

// Keys gives the keys that begin with a prefix.
func Keys(ctx context.Context, db *DB, prefix string) (keys []string, err error) {
	for key, err := range db.backend.list(ctx, prefix, prefix) {
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// RemoveRaw removes an object.
func RemoveRaw(ctx context.Context, db *DB, key string) error { return db.backend.remove(ctx, key) }

// IsEmail and IsURL judge addresses.
var (
	IsEmail = isEmail
	IsURL   = isURL
)

// Arena keeps objects in memory.
type Arena struct{ arena }

func NewArena(hash func(string) uint64) *Arena { return &Arena{newArena(hash)} }

func (a *Arena) Put(key string, headers map[string]string, body, contentType string) {
	a.put(key, object{headers: headersOf(headers), body: []byte(body), contentType: contentType})
}

func (a *Arena) Get(key string) (headers map[string]string, body, contentType string, found bool) {
	o, found := a.get(key)
	return o.headers.unpacked(), string(o.body), o.contentType, found
}

func (a *Arena) Remove(key string) bool { return a.remove(key) }

// Keys gives the keys in their order.
func (a *Arena) Keys(prefix, after string) []string {
	return slices.Sorted(slices.Values(a.appendKeys(nil, prefix, after)))
}

// Taken is how many bytes of memory its pieces are.
func (a *Arena) Taken() (bytes int) {
	for _, p := range a.pieces {
		bytes += cap(p)
	}
	return bytes
}
