// Package envelope writes a delivery as JSON, for destinations that take messages, and
// reads it back. The package is pure.
//
// # Message
//
// The field names and their meaning are those that consumers of s3db.js know:
// resource, action, timestamp, source, data and, for updates, before. To them come
// id, recordId, operation and version:
//
//	{"resource":"people","action":"update","timestamp":"2026-08-01T12:00:00.123Z","source":"shop",
//	 "id":"0198…","recordId":"u1","operation":"updated","version":"116902336482779136",
//	 "before":{…},"data":{…}}
//
// The resource is the name of the target. The timestamp is the change's, to the
// millisecond: sending again sends the same bytes. The version grows with every
// change of a record; it is a string, since it is about 2^57 and a JavaScript number
// would lose its last digits above 2^53. Compare versions as integers.
//
// data is the record; for a delete its last state, or just its key where that is
// not known. before is there for every update, null where it is not known.
//
// # CloudEvent
//
// The same as an event of CloudEvents 1.0 in its JSON form:
//
//	{"specversion":"1.0","id":"0198…","source":"shop","type":"people.updated","subject":"u1",
//	 "time":"2026-08-01T12:00:00.123456Z","sequence":"00116902336482779136",
//	 "datacontenttype":"application/json","data":{"before":{…},"after":{…}}}
//
// source and id together name the change for ever, as the specification asks. The
// sequence is the version, padded so that it sorts as text too. after is the record,
// null for a delete; before is null for an insert and where it is not known.
//
// # Values
//
// Integers and decimals are numbers with every digit, whatever a reader's own
// numbers can hold. Floats are the shortest number that reads back as the same.
// Bytes are base64 in the standard alphabet, padded. Times are RFC 3339 with
// microseconds in UTC, "2026-08-01T12:00:00.123456Z". The keys of every object of a
// record are sorted. Nothing is escaped for HTML. U+FFFE and U+FFFF, which some
// transports refuse, are escaped.
package envelope

import (
	"fmt"
	"strconv"

	"github.com/s3db-go/replicator/cdc"
)

// Form is a way to write a delivery.
type Form uint8

// The forms.
const (
	// Message is the original's, with what a consumer needs to apply it safely.
	Message Form = iota
	// Bare is what Message has as data and nothing else: the record itself, as a REST
	// interface expects it.
	Bare
	// CloudEvent is an event of CloudEvents 1.0.
	CloudEvent
)

const (
	// milliseconds is the form of Date.toISOString, which the original sends.
	milliseconds = "2006-01-02T15:04:05.000Z"
	// sequenceDigits are those of the largest version, 2^63-1, and one in reserve.
	sequenceDigits = "%020d"
)

// Append appends the delivery to b and returns the result. source names the sender. An
// error means that a value has no JSON form; it names the field and not the value.
func (f Form) Append(b []byte, d cdc.Delivery, source string) ([]byte, error) {
	switch f {
	case Bare:
		return appendNamed(b, "", "data", content(d))
	case CloudEvent:
		return appendCloudEvent(b, d, source)
	}
	return appendMessage(b, d, source)
}

func appendMessage(b []byte, d cdc.Delivery, source string) ([]byte, error) {
	action, err := actionOf(d.Op)
	if err != nil {
		return nil, err
	}
	b = appendField(b, '{', "resource", d.Target)
	b = appendField(b, ',', "action", action)
	b = appendField(b, ',', "timestamp", d.Time.UTC().Format(milliseconds))
	b = appendField(b, ',', "source", source)
	b = appendField(b, ',', "id", d.ChangeID.String())
	b = appendField(b, ',', "recordId", d.RecordID)
	b = appendField(b, ',', "operation", d.Op.String())
	b = appendField(b, ',', "version", strconv.FormatUint(d.Version, 10))
	if d.Op == cdc.Updated {
		if b, err = appendNamed(b, `,"before":`, "before", d.Before); err != nil {
			return nil, err
		}
	}
	if b, err = appendNamed(b, `,"data":`, "data", content(d)); err != nil {
		return nil, err
	}
	return append(b, '}'), nil
}

func appendCloudEvent(b []byte, d cdc.Delivery, source string) ([]byte, error) {
	if _, err := actionOf(d.Op); err != nil {
		return nil, err
	}
	b = appendField(b, '{', "specversion", "1.0")
	b = appendField(b, ',', "id", d.ChangeID.String())
	b = appendField(b, ',', "source", source)
	b = appendField(b, ',', "type", d.Target+"."+d.Op.String())
	b = appendField(b, ',', "subject", d.RecordID)
	b = appendField(b, ',', "time", d.Time.UTC().Format(microseconds))
	b = appendField(b, ',', "sequence", fmt.Sprintf(sequenceDigits, d.Version))
	b = appendField(b, ',', "datacontenttype", "application/json")
	before, after := d.Before, d.Record
	if d.Op == cdc.Deleted {
		before, after = content(d), nil
	}
	b, err := appendNamed(b, `,"data":{"before":`, "before", before)
	if err != nil {
		return nil, err
	}
	if b, err = appendNamed(b, `,"after":`, "data", after); err != nil {
		return nil, err
	}
	return append(b, "}}"...), nil
}

// appendNamed writes a record behind a prefix; an error has the name.
func appendNamed(b []byte, prefix, name string, r cdc.Record) ([]byte, error) {
	b, err := appendRecord(append(b, prefix...), r)
	if err != nil {
		return nil, fmt.Errorf("envelope: %s: %w", name, err)
	}
	return b, nil
}

// content gives the record of a delivery, for a delete the best that is known.
func content(d cdc.Delivery) cdc.Record {
	switch {
	case d.Op != cdc.Deleted:
		return d.Record
	case d.Before != nil:
		return d.Before
	}
	return d.Key
}

func actionOf(op cdc.Op) (string, error) {
	switch op {
	case cdc.Inserted:
		return "insert", nil
	case cdc.Updated:
		return "update", nil
	case cdc.Deleted:
		return "delete", nil
	}
	return "", fmt.Errorf("envelope: %v is not one operation", op)
}

func appendField(b []byte, before byte, name, text string) []byte {
	b = append(b, before, '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	return appendText(b, text)
}
