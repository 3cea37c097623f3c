package cdc

import (
	"encoding/hex"
	"fmt"
	"time"
)

// Change is what happened to one record. Once announced it is read-only: the same
// Change, and the values in it, are shared by every destination.
type Change struct {
	// ChangeID names the change for ever, at every destination and across
	// restarts. Left zero by a source; the recorder assigns a UUIDv7.
	ChangeID ID
	// Seq numbers the committed changes of one journal densely from 1. Assigned at
	// commit, zero before.
	Seq uint64
	// Version orders the changes of a record: it grows with Seq, across restarts
	// and lost journals (a hybrid logical clock: milliseconds since 1970 in the
	// upper 48 bits, a counter in the lower 16). Always below 2^63. Assigned at
	// commit, zero before.
	Version uint64
	// Op is exactly one of Inserted, Updated, Deleted.
	Op Op
	// Resource and RecordID name the record. Both are required.
	Resource string
	RecordID string
	// Data is the record after the change, as a read would return it; for a delete
	// it is the last known state, nil if that is not known.
	Data Record
	// Before is the record before the change; nil for an insert or if not known.
	Before Record
	// Time is when the source announced the change, UTC in microseconds. Left zero
	// by a source, the recorder fills it.
	Time time.Time
	// Origin says how the change came onto the road.
	Origin Origin
	// SchemaVersion is the version of the resource's [Schema] that Data follows,
	// zero if the source has none.
	SchemaVersion int
	// Trace is the writer's trace context in the W3C traceparent form, "" if none.
	Trace string
}

// String names the change without any of its data, so that it is safe to log.
func (c Change) String() string {
	return fmt.Sprintf("%s %s/%s (%s, seq %d)", c.Op, c.Resource, c.RecordID, c.ChangeID, c.Seq)
}

// Key identifies a record within a source.
type Key struct{ Resource, RecordID string }

// RecordKey gives the identity of the changed record.
func (c Change) RecordKey() Key { return Key{c.Resource, c.RecordID} }

// String gives "resource/id".
func (k Key) String() string { return k.Resource + "/" + k.RecordID }

// ID is a UUID. The zero ID means none.
type ID [16]byte

// IsZero reports whether the ID is unset.
func (id ID) IsZero() bool { return id == ID{} }

// String gives the usual 36 characters, lower case.
func (id ID) String() string {
	var b [36]byte
	id.encode(b[:])
	return string(b[:])
}

// MarshalText writes what String gives.
func (id ID) MarshalText() ([]byte, error) {
	b := make([]byte, 36)
	id.encode(b)
	return b, nil
}

func (id ID) encode(b []byte) {
	hex.Encode(b[0:8], id[0:4])
	b[8] = '-'
	hex.Encode(b[9:13], id[4:6])
	b[13] = '-'
	hex.Encode(b[14:18], id[6:8])
	b[18] = '-'
	hex.Encode(b[19:23], id[8:10])
	b[23] = '-'
	hex.Encode(b[24:36], id[10:16])
}

// UnmarshalText reads the form that String gives.
func (id *ID) UnmarshalText(text []byte) error {
	var out ID
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return fmt.Errorf("cdc: %q is not a UUID", text)
	}
	for _, part := range [...]struct{ dst, from, to int }{{0, 0, 8}, {4, 9, 13}, {6, 14, 18}, {8, 19, 23}, {10, 24, 36}} {
		if _, err := hex.Decode(out[part.dst:], text[part.from:part.to]); err != nil {
			return fmt.Errorf("cdc: %q is not a UUID", text)
		}
	}
	*id = out
	return nil
}

// Origin says how a change came onto the road.
type Origin uint8

// The origins of a change.
const (
	// Live: a write of this process, as it happened.
	Live Origin = iota
	// Snapshot: a present record, sent by a backfill.
	Snapshot
	// Resolved: a write whose end was not known, settled by reading the record.
	Resolved
	// Replayed: a failed change, sent again.
	Replayed
)

var originNames = [...]string{"live", "snapshot", "resolved", "replayed"}

// String gives "live", "snapshot", "resolved" or "replayed".
func (o Origin) String() string {
	if int(o) < len(originNames) {
		return originNames[o]
	}
	return fmt.Sprintf("Origin(%d)", uint8(o))
}

// MarshalText writes what String gives.
func (o Origin) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (o *Origin) UnmarshalText(text []byte) error {
	for i, name := range originNames {
		if name == string(text) {
			*o = Origin(i)
			return nil
		}
	}
	return fmt.Errorf("cdc: unknown origin %q", text)
}
