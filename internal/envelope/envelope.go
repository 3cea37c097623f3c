// Package envelope writes a delivery as JSON, for destinations that take messages.
// The package is pure.
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
// # Values
//
// Integers and decimals are numbers with every digit, whatever a reader's own
// numbers can hold. Floats are the shortest number that reads back as the same.
// Bytes are base64 in the standard alphabet, padded. Times are RFC 3339 with
// microseconds in UTC, "2026-08-01T12:00:00.123456Z". The keys of every object of a
// record are sorted. Nothing is escaped for HTML.
package envelope

import (
	"fmt"
	"strconv"

	"github.com/s3db-go/replicator/cdc"
)

// milliseconds is the form of Date.toISOString, which the original sends.
const milliseconds = "2006-01-02T15:04:05.000Z"

// Marshal writes a delivery with what consumers need to apply it. source names the
// sender. An error means that a value has no JSON form; it names the field and not
// the value.
func Marshal(d cdc.Delivery, source string) ([]byte, error) {
	action, err := actionOf(d.Op)
	if err != nil {
		return nil, err
	}
	b := make([]byte, 0, 512)
	b = appendField(b, '{', "resource", d.Target)
	b = appendField(b, ',', "action", action)
	b = appendField(b, ',', "timestamp", d.Time.UTC().Format(milliseconds))
	b = appendField(b, ',', "source", source)
	b = appendField(b, ',', "id", d.ChangeID.String())
	b = appendField(b, ',', "recordId", d.RecordID)
	b = appendField(b, ',', "operation", d.Op.String())
	b = appendField(b, ',', "version", strconv.FormatUint(d.Version, 10))
	if d.Op == cdc.Updated {
		b = append(b, `,"before":`...)
		if b, err = appendRecord(b, d.Before); err != nil {
			return nil, fmt.Errorf("envelope: before: %w", err)
		}
	}
	b = append(b, `,"data":`...)
	if b, err = appendRecord(b, content(d)); err != nil {
		return nil, fmt.Errorf("envelope: data: %w", err)
	}
	return append(b, '}'), nil
}

// Bare writes what Marshal has as data and nothing else: the record itself, as a
// REST interface expects it.
func Bare(d cdc.Delivery) ([]byte, error) {
	b, err := appendRecord(make([]byte, 0, 512), content(d))
	if err != nil {
		return nil, fmt.Errorf("envelope: %w", err)
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
