package replicator

import (
	"time"

	"github.com/s3db-go/replicator/cdc"
)

// The types of the contract that users name. They are defined in package cdc, so that
// sources and drivers can be written without this package, and documented there field by
// field.
type (
	// Change is what happened to one record: Op (one of Inserted, Updated, Deleted),
	// Resource and RecordID, the record after it (Data; of a delete its last state) and
	// before it (Before), with a ChangeID that stays, a Version that only grows, and the
	// Time. Filters and transforms get one, and must not alter it; a source of one's own
	// makes one for [CustomSource.Write]. See [cdc.Change].
	Change = cdc.Change
	// Delivery is a Change for one target, as a route made it: Target, Key, and Record,
	// which is what is to be written, nil for a delete. Drivers get it, and Preview shows
	// it. See [cdc.Delivery].
	Delivery = cdc.Delivery
	// Record is a record's content, a map of field names to values; what values there may
	// be, [cdc.Normalize] says. Its String, Bool, Int, Float and Time read a field as that
	// type, zero if it is absent; Pick and Clone copy. See [cdc.Record].
	Record = cdc.Record
	// Decimal is a number with all its digits, as text underneath: money, and integers that
	// no int64 holds. See [cdc.Decimal].
	Decimal = cdc.Decimal
	// ID is a UUID, as Change.ChangeID is. String gives its 36 characters. See [cdc.ID].
	ID = cdc.ID
	// Op is a set of operations: Inserted, Updated, Deleted, or-ed in Route.Actions; a
	// Change holds one. See [cdc.Op].
	Op = cdc.Op
	// Origin says how a change came onto the road: live, from a backfill, by resolving an
	// interrupted write, or sent again. See [cdc.Origin].
	Origin = cdc.Origin
	// Driver carries deliveries to one destination: Name and Apply, and what else it is
	// able to, such as Open or SyncSchema. See [cdc.Driver].
	Driver = cdc.Driver
	// Source is a store whose writes can be captured, by its one method Capture. A
	// *store.DB is one; [NewSource] makes one of any other store. See [cdc.Source].
	Source = cdc.Source
	// Schema is the shape of a resource or of a target: Resource, Version (from 1), Key (the
	// names of the key columns) and Fields, each a cdc.Field with Name, Type (cdc.TypeString,
	// …), Required and Secret. See [cdc.Schema].
	Schema = cdc.Schema
	// Row is a present record as SourceOptions.Scan gives it: RecordID, Data and
	// SchemaVersion. See [cdc.Row].
	Row = cdc.Row
	// BatchError is a driver's answer item by item: Errs has one entry for each delivery of
	// the batch, nil for those that are durable. See [cdc.BatchError].
	BatchError = cdc.BatchError
)

// The operations, for Route.Actions.
const (
	Inserted = cdc.Inserted
	Updated  = cdc.Updated
	Deleted  = cdc.Deleted
)

// The origins of a change.
const (
	OriginLive     = cdc.Live
	OriginSnapshot = cdc.Snapshot
	OriginResolved = cdc.Resolved
	OriginReplayed = cdc.Replayed
)

// Permanent marks an error as the record's own fault: it is not tried again.
func Permanent(err error) error { return cdc.Permanent(err) }

// Unavailable marks an error as the destination's fault: the record waits, without
// spending an attempt, until the destination is back.
func Unavailable(err error) error { return cdc.Unavailable(err) }

// Gone marks an error as the destination's wish to be left alone: it is paused, as by
// Replicator.Pause.
func Gone(err error) error { return cdc.Gone(err) }

// RetryAfter marks an error as passing, and asks for a pause of at most five
// minutes before the next attempt.
func RetryAfter(err error, d time.Duration) error { return cdc.RetryAfter(err, d) }
