package replicator

import (
	"time"

	"github.com/s3db-go/replicator/cdc"
)

// The types of the contract that users name. They are defined, and documented, in
// package cdc, so that sources and drivers can be written without this package.
type (
	Change     = cdc.Change
	Delivery   = cdc.Delivery
	Record     = cdc.Record
	Decimal    = cdc.Decimal
	ID         = cdc.ID
	Op         = cdc.Op
	Origin     = cdc.Origin
	Driver     = cdc.Driver
	Source     = cdc.Source
	Schema     = cdc.Schema
	Row        = cdc.Row
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
