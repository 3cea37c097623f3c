package journal

import (
	"context"
	"time"

	"github.com/s3db-go/replicator/cdc"
)

// Journal is what the rest of the house sees of the durable sequence of changes,
// so that another implementation can take the place of [Disk] without moving a
// wall. All methods are safe for concurrent use.
type Journal interface {
	// Begin makes the announcement of changes durable and returns its ticket. The
	// changes have their ChangeID and Time, but no Seq and no Version; they become the
	// journal's, and may be read until they are ended. It returns
	// early with ctx's error only if nothing was announced. Errors: cdc.ErrTooLarge,
	// cdc.ErrJournalFull, cdc.ErrStopped, or the failure of the disk.
	Begin(ctx context.Context, changes []cdc.Change) (Ticket, error)

	// Commit ends change i of the announcement: it gets the next Seq and Version.
	// Not waited for; a reader sees it when it is durable. With as not nil the
	// change is committed with as's Op, Data, Before, Origin and SchemaVersion in place of
	// what was
	// announced (a foreign writer came in between).
	Commit(t Ticket, i int, as *cdc.Change)

	// Abort ends change i of the announcement: it was not applied.
	Abort(t Ticket, i int)

	// Append commits changes that were not announced, durably. They are copied.
	Append(ctx context.Context, changes []cdc.Change) error

	// AppendTo is Append for one destination alone; a destination of "" is an error.
	// With w not nil only those changes are committed whose record has had no commit
	// since w was begun: to see that and to commit is one step, so that no commit
	// comes in between. An announcement that is open counts as no commit, since its
	// own comes later. It gives how many were committed, and [ErrWatchFull] if w can't
	// tell any more.
	AppendTo(ctx context.Context, destination string, changes []cdc.Change, w *Watch) (int, error)

	// AppendSchema notes, durably and in order with the changes, that those of the
	// resource that come later may follow this version of its schema. The schema itself
	// goes with it, nil if it is not known; it becomes the journal's.
	AppendSchema(ctx context.Context, resource string, version int, schema *cdc.Schema) error

	// Watch begins to note which records have commits, for AppendTo. It costs memory
	// for each of them until its Close.
	Watch() *Watch

	// Unresolved gives the announcements that a former process left open, in order
	// of their Begin. Each is ended by Commit or Abort like any other.
	Unresolved() []Announced

	// Read gives a reader of everything committed with a Seq above after, in order of
	// Seq, whomever it is for. A position beyond the end is ErrCorrupt: the journal
	// was lost or replaced while a cursor stayed.
	Read(after uint64) (Reader, error)

	// ReadFor is Read for one destination: what AppendTo wrote for another one comes
	// as [Foreign], undecoded.
	ReadFor(destination string, after uint64) (Reader, error)

	// Last is the Seq of the newest committed change, durable or not, 0 if there
	// never was one.
	Last() uint64

	// Cursor gives what the named destination has settled, as last saved, and
	// whether there is such a cursor.
	Cursor(name string) (Cursor, bool)
	// SaveCursor makes a cursor durable. Segments behind every cursor are deleted.
	SaveCursor(name string, c Cursor) error
	// DropCursor forgets a cursor.
	DropCursor(name string) error
	// Cursors gives the names of all cursors, sorted.
	Cursors() []string

	// Stats tells the present size and state.
	Stats() Stats
	// Behind estimates how many bytes of the journal hold the changes after low, 0 if there
	// are none.
	Behind(low uint64) int64

	// Close writes what is buffered and the end mark. Announcements still open stay
	// open. Further calls of Begin and Append return cdc.ErrStopped.
	Close() error
}

// Ticket identifies an announcement.
type Ticket uint64

// Announced is an announcement, or one change of it, that was never ended.
type Announced struct {
	Ticket Ticket
	Index  int
	Change cdc.Change
}

// Reader reads committed changes in order of Seq. It belongs to one goroutine.
type Reader interface {
	// Next gives the next changes that are durable: as many as fit in maxBytes of
	// their encoded size, at least one if there is one, none if the reader has
	// caught up. The result is valid until the next call; the changes in it are
	// shared, read-only and stay valid.
	Next(maxBytes int) ([]Entry, error)
	// Skip has Next go on with what stands at a Seq, or behind it; what lies before is
	// passed over, which takes a small part of reading it. It never goes back.
	Skip(to uint64)
	// More gives a channel that is closed as soon as Next would give something.
	More() <-chan struct{}
	Close() error
}

// Entry is what stands at one Seq.
type Entry struct {
	Kind EntryKind
	// To is the destination that alone is to get it, "" for all.
	To string
	// Change is never nil, and always has Seq and Version. The kinds other than
	// Committed say what else is set in it.
	Change *cdc.Change
	// Schema is what a Schema brings, nil if whoever wrote it did not know it.
	Schema *cdc.Schema
	// Bytes is what the entry counts for in [Reader.Next]: its encoded size.
	Bytes int
}

// EntryKind says what an Entry is.
type EntryKind uint8

// The kinds of entries.
const (
	// Committed: a change.
	Committed EntryKind = iota
	// Schema: from here on changes of Change.Resource may follow the version
	// Change.SchemaVersion of its schema.
	Schema
	// Foreign: a change for another destination. It is settled by having been passed;
	// Change has nothing but its numbers, and Bytes is foreignBytes.
	Foreign
)

// foreignBytes is what an entry for another destination counts for: about what it
// takes in memory, so that a reader that passes a million of them still gets them in
// pieces.
const foreignBytes = 256

// For gives the journal as one destination sees it: its Read is ReadFor.
func For(j Journal, destination string) Journal { return view{j, destination} }

type view struct {
	Journal
	destination string
}

func (v view) Read(after uint64) (Reader, error) { return v.ReadFor(v.destination, after) }

// Cursor is what a destination has settled: every Seq up to Low, and the ranges
// above it, which are sorted, do not touch, and lie above Low+1. Partial holds, sorted
// by Seq, the changes in between of which it has settled some deliveries and not all.
type Cursor struct {
	Low     uint64
	Ranges  []Range
	Partial []Part
}

// Part is a change that is settled at some of a destination's targets.
type Part struct {
	Seq     uint64
	Targets []string // at least one
}

// Range holds the Seqs from First to Last, both included.
type Range struct{ First, Last uint64 }

// Stats is a snapshot of a journal.
type Stats struct {
	First    uint64 // lowest Seq that can still be read, 0 if none
	Last     uint64 // newest committed
	Durable  uint64 // newest that a reader may see
	Open     int    // announced and not ended
	Segments int
	Bytes    int64 // on disk
	Pressure Pressure
	// Unjournaled counts the changes that were let go since the journal was opened,
	// under the policy of this name.
	Unjournaled uint64
	// Flushes counts those to the disk since the journal was opened, FlushTime is what
	// they took together, with the writes before them.
	Flushes   uint64
	FlushTime time.Duration
	Err       error // why nothing can be written any more, nil if all is well
}
