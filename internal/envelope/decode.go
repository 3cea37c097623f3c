package envelope

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/s3db-go/replicator/cdc"
)

// message has the fields of a Message and of a CloudEvent: they share a few names,
// and the others tell them apart.
type message struct {
	ID     cdc.ID
	Source string

	Resource  string
	Operation cdc.Op
	Timestamp time.Time
	RecordID  string
	Version   string
	Before    json.RawMessage

	SpecVersion string
	Type        string
	Subject     string
	Time        time.Time
	Sequence    string

	Data json.RawMessage
}

// Decode reads what [Form.Append] wrote as a Message or a CloudEvent: what happened,
// to which record of which target, the record and the state before. The name of the
// target is all that it tells of the resource, so it stands for both. Values are as JSON
// has them: whole numbers that fit are int64, all others [cdc.Decimal]; times and bytes
// are texts.
func Decode(body []byte) (cdc.Delivery, error) {
	var m message
	if err := json.Unmarshal(body, &m); err != nil {
		return cdc.Delivery{}, fmt.Errorf("envelope: %w", discreet(err))
	}
	d, err := m.delivery()
	if err != nil {
		return cdc.Delivery{}, fmt.Errorf("envelope: %w", err)
	}
	return d, nil
}

func (m message) delivery() (d cdc.Delivery, err error) {
	d.ChangeID, d.Op, d.Time, d.Target, d.RecordID = m.ID, m.Operation, m.Timestamp, m.Resource, m.RecordID
	version, before, after := m.Version, m.Before, m.Data
	if m.SpecVersion != "" {
		var states struct{ Before, After json.RawMessage }
		if err := json.Unmarshal(m.Data, &states); err != nil {
			return d, discreet(err)
		}
		dot := strings.LastIndexByte(m.Type, '.')
		if err := d.Op.UnmarshalText([]byte(m.Type[dot+1:])); err != nil {
			return d, errors.New("type does not end in an operation")
		}
		d.Target, d.Time, d.RecordID = m.Type[:max(dot, 0)], m.Time, m.Subject
		version, before, after = m.Sequence, states.Before, states.After
	}
	switch {
	case d.ChangeID.IsZero():
		return d, errors.New("id is missing")
	case !d.Op.Single():
		return d, errors.New("operation is missing, or not one")
	case d.Target == "" || d.RecordID == "":
		return d, errors.New("resource or record id is missing")
	}
	if d.Version, err = strconv.ParseUint(version, 10, 64); err != nil {
		return d, errors.New("version is not a number")
	}
	d.Resource, d.Key = d.Target, cdc.Record{"id": d.RecordID}
	if m.SpecVersion == "" && d.Op == cdc.Deleted {
		before, after = after, nil
	}
	if d.Record, err = decodeRecord(after); err != nil {
		return d, fmt.Errorf("data: %w", err)
	}
	if d.Before, err = decodeRecord(before); err != nil {
		return d, fmt.Errorf("before: %w", err)
	}
	return d, nil
}

// decodeRecord gives nil for null and for what is not there.
func decodeRecord(b []byte) (cdc.Record, error) {
	if b == nil {
		return nil, nil
	}
	var fields map[string]any
	decoder := json.NewDecoder(bytes.NewReader(b))
	decoder.UseNumber()
	if err := decoder.Decode(&fields); err != nil {
		return nil, discreet(err)
	}
	return cdc.Normalize(fields)
}

// discreet keeps only what tells nothing of the content: errors of encoding/json quote
// values.
func discreet(err error) error {
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("not JSON at byte %d", e.Offset)
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("field %q is of another type", e.Field)
	}
	return errors.New("a field can't be read")
}
