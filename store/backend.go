package store

import (
	"context"
	"errors"
	"iter"
)

// backend keeps objects under keys: a bucket, a directory, or memory. Safe for
// concurrent use; calls that write one key are kept apart by the caller.
type backend interface {
	// get gives the object under key, or errAbsent.
	get(ctx context.Context, key string) (object, error)
	// put creates or replaces the object, durably. An error that is not an
	// uncertain one means that nothing has changed.
	put(ctx context.Context, key string, o object) error
	// remove deletes the object, durably. It gives errAbsent if it is not there; a
	// remote backend may not notice, and give nil. Its errors are as those of put.
	remove(ctx context.Context, key string) error
	// swap is put, or remove if to is nil, for the object that get gave with the tag.
	// With anyTag it is so whatever is there, and with noTag only if nothing is;
	// errAbsent is told if it is known. A remote backend gives errChanged if another process
	// was there first.
	swap(ctx context.Context, key string, to *object, tag string) error
	// list gives the keys that begin with prefix and come after the key after, in
	// order.
	list(ctx context.Context, prefix, after string) iter.Seq2[string, error]
	// flush makes durable what get and list now give for the keys that begin with
	// prefix, absence included. It may be more than was ever promised: a write that
	// failed half-way, or a process that was killed, leaves what can be read and is
	// not durable yet.
	flush(ctx context.Context, prefix string) error
	// refuses says why the backend can't hold a record of that id, "" if it can.
	refuses(id string) string
	// remote reports whether the backend is a server that other processes write to,
	// where a request may outlive its sender.
	remote() bool
	// parallel is how many objects are best read at a time.
	parallel() int
	close() error
}

// The tags that swap takes besides those of objects.
const (
	anyTag = "*"
	noTag  = ""
)

// What a backend says in words of its own: that there is no such object, and that
// there is another one than was expected.
var (
	errAbsent  = errors.New("no such object")
	errChanged = errors.New("another process wrote to it")
)

// uncertain marks the error of a write that may have been applied all the same.
type uncertain struct{ err error }

func (e *uncertain) Error() string { return e.err.Error() + " (it may have been applied)" }
func (e *uncertain) Unwrap() error { return e.err }
