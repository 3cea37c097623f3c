package cdc

import (
	"cmp"
	"context"
	"time"
)

// Delivery is one change for one target, in the shape that the route gave it.
// Everything in it is read-only and may be shared with other destinations.
type Delivery struct {
	// Change tells what happened: id, operation, version, time, record. Its Data
	// and Before are emptied: nothing that a route did not let through reaches a
	// driver.
	Change
	// Target is where it goes: a table, a resource, a queue, a path.
	Target string
	// Key holds the key columns and their values at the target. Never empty, also
	// for deletes.
	Key Record
	// OldKey is the key that the record had before; only set when an update changed
	// it. A state target removes the old row.
	OldKey Record
	// OrderKey names what the delivery is ordered with: those of one OrderKey at one
	// target are delivered one after another. That is the key, or what the route's OrderBy
	// gave; "" if it has no order. It may hold values of the record.
	OrderKey string
	// Record is what to write; nil for a delete.
	Record Record
	// Before is the state before the change in the same shape as Record; for a
	// delete the last known state. nil if there is none.
	Before Record
}

// Driver carries deliveries to one destination.
//
// Apply makes every delivery of the batch durable at the destination, in any
// order: a batch holds at most one delivery per ordering key, unless the target's
// [Limits] say Ordered. It must be idempotent: after a crash or a timeout the same
// deliveries come again. State targets write by key (an update that finds nothing
// inserts, deleting what is absent is fine); event targets send ChangeID where
// their protocol can dedupe.
//
// nil means that the destination said so for every delivery. A [*BatchError] says
// it item by item. Any other error is for the batch as a whole and means that
// nothing counts as delivered; it may be wrapped in [Permanent], [Unavailable] or
// [RetryAfter]. The engine retries; a driver does not.
//
// Apply is called concurrently, up to Limits.Concurrency, with batches that share
// no ordering key. ctx bounds the attempt; a driver returns soon after it ended.
// The batch and what is in it must neither be changed nor kept after Apply
// returned. An error never quotes a credential or the content of a row.
type Driver interface {
	// Name is the kind of destination: "postgres".
	Name() string
	Apply(ctx context.Context, batch []Delivery) error
}

// Validator is a driver, or a source, that can judge its options. Validate does no I/O
// and reports all faults at once, joined; each names the field of the options that is
// at fault. An empty connection string or URL is a fault: it is nearly
// always an unset environment variable.
type Validator interface{ Validate() error }

// Opener is a driver that has something to open: a pool, a client. Open may be
// called again after it failed, and after Close. An error that is [Permanent]
// means that it is certainly wrong (bad credentials, no such database) and fails
// Start; any other means that the destination does not answer now, and is retried.
// ctx bounds the call and nothing else.
type Opener interface {
	Open(ctx context.Context) error
}

// Limited is a driver that knows the limits and the nature of its targets.
type Limited interface{ Limits(target string) Limits }

// Limits describe a target. The zero value means: state, at most [DefaultItems] and
// [DefaultBytes] in a batch, [DefaultConcurrency] batches at a time, the record id as the
// key.
type Limits struct {
	// Items and Bytes bound one batch. Bytes counts the encoded size of the records
	// roughly; a single delivery over it still goes, alone.
	Items int
	Bytes int
	// Concurrency is the number of Apply calls that may run at a time, for the
	// destination as a whole.
	Concurrency int
	// Timeout bounds an Apply where it is shorter than the destination's own, which bounds
	// it in any case: the context that Apply gets has the shorter one. Zero: that of the
	// destination.
	Timeout time.Duration
	// Events says that the target wants every change as it happened (a queue, a
	// webhook), not only the newest state of each record.
	Events bool
	// Ordered says that the target applies the deliveries of a batch in order, so
	// that several of one ordering key may stand in it. After the first that fails,
	// all later ones of that key count as failed.
	Ordered bool
	// Rows says what a target that wants state does with the fields that a record
	// lacks. It decides what may be left out when several changes of a record wait.
	Rows Rows
	// Secrets says that the destination encrypts secret fields at rest. Only then are
	// they sent without a route that names them, and only without a Transform, which
	// could put them under another name.
	Secrets bool
	// Key holds the target's own key columns, if it has some.
	Key []string
}

// Rows says what becomes of a row's fields that a record which is written lacks.
type Rows uint8

// The ways to write a row.
const (
	// RowsUnknown: nothing is assumed. A change is left out only for a newer one that
	// has all its fields.
	RowsUnknown Rows = iota
	// RowsReplaced: they are gone, the record takes the place of the whole row. Only
	// the newest change is needed.
	RowsReplaced
	// RowsMerged: they stay as they are. Changes are laid over one another, field by
	// field; a field that an update removed comes as nil.
	RowsMerged
)

// Default bounds of a batch, see [Limits].
const (
	DefaultItems       = 100
	DefaultBytes       = 1 << 20
	DefaultConcurrency = 8
)

// WithDefaults gives the limits with Items, Bytes and Concurrency filled in where they are
// zero.
func (l Limits) WithDefaults() Limits {
	l.Items = cmp.Or(l.Items, DefaultItems)
	l.Bytes = cmp.Or(l.Bytes, DefaultBytes)
	l.Concurrency = cmp.Or(l.Concurrency, DefaultConcurrency)
	return l
}

// SchemaSyncer is a driver whose targets have a shape. SyncSchema makes the target
// able to take records of the schema: it creates what is missing, and leaves what the
// schema does not name. What the schema names and is there already it leaves too, but
// for two cases: a driver whose target is a copy of the resource may follow a closed
// schema exactly, and one that encrypts may make a field secret where the schema says
// so. The first, where it changes a field's type, has to fit the records of an earlier
// SchemaVersion to it that come after. It is called before the first delivery for a
// target, and again before the first delivery that was written under a newer schema. The
// schema is the source's present one; while records of an earlier version may be on their
// way, it has the fields that only they have as well. Calling it with what is there
// already is cheap and harmless. Errors are as those of Apply.
type SchemaSyncer interface {
	SyncSchema(ctx context.Context, target string, schema Schema) error
}

// Checker is a driver that can tell whether its destination lives, without sending
// a delivery. nil means that it does.
type Checker interface {
	Check(ctx context.Context) error
}

// Hosted is a driver that can tell whether its destination is a source itself, so that
// what it delivers there is captured there, and delivered again.
type Hosted interface {
	DeliversTo(source Source) bool
}
