package cdc

import (
	"context"
	"time"
)

// Source is a store whose changes can be captured.
//
// Capture hands the source a Recorder, to which it announces every mutation from
// then on. It is called once per Start; release ends the capture and returns when
// no announcement is under way any more. A source may refuse a second Recorder
// while one is hooked. Resources created after Capture are captured too.
//
// # Duties of a source
//
// A mutation is three steps under the record's lock: [Recorder.Begin], the write,
// and the end of the Pending. The lock spans all three, so that at most one
// announced change per record is open. After Begin returned, the caller's context
// no longer cancels anything. Locks of several records are taken in sorted order.
type Source interface {
	Capture(Recorder) (release func(), err error)
}

// Recorder makes changes durable. Safe for concurrent use.
type Recorder interface {
	// Wants reports whether any destination is interested in this kind of change.
	// A source may skip Begin, and the reading of a before image, if not. One map
	// look-up; the answer may change while running, and is yes for what no destination
	// wants while the end of a write of that resource is not known.
	Wants(resource string, op Op) bool

	// Begin announces changes that the source is about to apply, under the records'
	// locks and after their validation. It returns when they are durable: this is
	// the one wait of the writer. The source fills Op, Resource, RecordID, Data,
	// Before and, if it has one, SchemaVersion; values must be normalized (see
	// [Normalize]) and are not to be changed afterwards. The result has one Pending
	// per change, in their order; each must be ended exactly once.
	//
	// An error means that nothing was announced and the source must not write: ctx
	// ended, the journal is closed or full, a change is invalid or over 32 MiB, or
	// the record is in doubt and can't be read. With ErrStale the source reads the
	// record again and begins anew; only a remote store meets it.
	Begin(ctx context.Context, changes ...Change) ([]Pending, error)

	// Append records changes that are applied already, for sources that can't
	// announce them. It returns when they are durable. A crash between the write
	// and Append loses the change: such a source must say so in its documentation.
	Append(ctx context.Context, changes ...Change) error
}

// WantsAny reports whether the recorder wants any of several kinds of changes. A nil one
// wants none.
func WantsAny(r Recorder, resource string, ops Op) bool {
	for op := range ops.Each {
		if r != nil && r.Wants(resource, op) {
			return true
		}
	}
	return false
}

// SchemaRecorder is a Recorder that takes note of schemas that change. A source that
// changes the schema of a resource asks whether its Recorder is one. It must be a
// [Describer].
type SchemaRecorder interface {
	// SchemaChanged notes, in order with the changes, that those of the resource which
	// are announced from now on may follow this version of its schema. The source calls
	// it as soon as Describe gives that version, and Describe will give it, or a later
	// one, also after a crash. SchemaChanged returns when the note is durable, or ctx
	// ends. What could not be noted is noted before the first change that follows the
	// version, and by the next Start.
	SchemaChanged(ctx context.Context, resource string, version int)
}

// Pending is an announced change. One of its methods is called, once, while the
// record's lock is still held. None of them waits or fails.
type Pending interface {
	// Commit: the store applied the change.
	Commit()
	// Abort: the store certainly did not apply it.
	Abort()
	// Doubt: nobody knows (a timeout, a reset). The change is resolved by reading
	// the record before its next write.
	Doubt(err error)
}

// Reader is a source that can read a record back. Without it an announced change
// whose end is not known after a crash can't be resolved: it is then taken as
// applied, and delivered.
type Reader interface {
	// Read returns the record's present state as Data would hold it, or false if
	// there is none. It takes no lock: Begin calls it under the caller's.
	Read(ctx context.Context, resource, recordID string) (Record, bool, error)
	// WithLock calls fn while no write of the record is under way.
	WithLock(resource, recordID string, fn func())
	// SecondLook is how long a write may still be applied after its client gave up
	// on it. A read that shows the old state is believed only if it is repeated
	// after this time. 0 for a local store, 5 s is right for S3.
	SecondLook() time.Duration
}

// Awaiter is a source that can tell when writes have ended. Without it, a destination
// that is to begin with the present records can't be sure to get a write that was under
// way when the capture of its resource began.
type Awaiter interface {
	// Await returns when every write that was under way when it was called has ended,
	// announced or not, or with the error of ctx.
	Await(ctx context.Context) error
}

// Describer is a source that knows the schemas of its resources.
type Describer interface {
	// Describe returns the present schema of a resource, or false if there is no
	// such resource. It is called within Begin and SchemaChanged too, so it waits for no
	// write that is under way.
	Describe(ctx context.Context, resource string) (Schema, bool, error)
}

// Scanner is a source whose present records can be read. Without it there is no
// backfill.
type Scanner interface {
	// Scan gives records of a resource in an order of their ids that stays the same:
	// those that come after the id given, "" for the first ones; at most limit. It may
	// give fewer, because they are large, but none only if none follow, or there is no
	// such resource. A record that is there all the time is met once; one that comes or
	// goes meanwhile may or may not be. Each is as its last write that has ended left
	// it, or a later one, and is durable: what Scan gives must not be gone after a
	// crash. It takes no lock. The records are not changed by the source afterwards.
	Scan(ctx context.Context, resource, after string, limit int) ([]Row, error)
}

// Row is a present record.
type Row struct {
	RecordID string
	// Data is the record as [Change].Data would hold it, normalized; not nil.
	Data Record
	// SchemaVersion is the version of the resource's [Schema] that Data follows, zero
	// if the source has none.
	SchemaVersion int
}

// Lister is a source that knows the names of its resources. Without it a backfill
// names those that it is to send.
type Lister interface {
	// Resources gives the names of all resources, sorted; a look-up in memory.
	Resources() []string
}

// LogHost is a source that can keep a copy of the replicator's log, as a resource beside
// its own. Its records are announced like any: none of the routes may carry them. Safe
// for concurrent use.
type LogHost interface {
	// HostLog makes the resource that the schema names, if it is not there, with at least
	// its fields, such that the records of a day, with which the text in the field of the
	// name day begins, can be found together.
	HostLog(ctx context.Context, schema Schema, day string) error
	// KeepLog writes the records as they are, each over the one of its field "id".
	KeepLog(ctx context.Context, resource string, rows []Record) error
	// DropLog removes records by their ids. One that is not there is no error.
	DropLog(ctx context.Context, resource string, ids []string) error
}
