package journal

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/s3db-go/replicator/cdc"
)

// AppendSchema implements [Journal]. It waits as Append does, and is refused by a full
// journal whatever the policy.
func (d *Disk) AppendSchema(ctx context.Context, resource string, version int, schema *cdc.Schema) error {
	frame, entry, err := encodeSchema(resource, version, schema)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	d.mu.Lock()
	if err := d.refused(); err != nil {
		d.mu.Unlock()
		return err
	}
	seq, hlc := d.number(1)
	numberAppends(frame, seq, hlc)
	entry.Change.Seq, entry.Change.Version = seq, hlc
	d.current.entries = append(d.current.entries, entry)
	d.enqueue(frame)
	written := d.current.join()
	d.mu.Unlock()
	return written.wait()
}

// encodeSchema gives the frame, without its numbers, and the entry that a reader makes
// of it.
func encodeSchema(resource string, version int, schema *cdc.Schema) (frame []byte, e Entry, err error) {
	if err := judgeName("resource", resource); err != nil {
		return nil, Entry{}, err
	}
	var definition []byte
	if schema != nil {
		if definition, err = json.Marshal(schema); err != nil {
			return nil, Entry{}, fmt.Errorf("journal: the schema of %s: %w", resource, err)
		}
		if len(definition) > maxChange {
			return nil, Entry{}, fmt.Errorf("journal: the schema of %s has %d bytes: %w", resource, len(definition), cdc.ErrTooLarge)
		}
	}
	frame = appendSchema(nil, resource, version, definition)
	e = schemaEntry(resource, version, schema)
	e.Bytes = schemaBytes(frame[headerSize+16:])
	return frame, e, nil
}

func schemaEntry(resource string, version int, schema *cdc.Schema) Entry {
	return Entry{Kind: Schema, Change: &cdc.Change{Resource: resource, SchemaVersion: version}, Schema: schema}
}

// schemaBytes is what an entry counts for of which this is the payload, padded or not,
// behind its numbers.
func schemaBytes(payload []byte) int { return foreignBytes + pad(len(payload)) }

// readSchema gives the entry of such a payload.
func readSchema(k kind, payload []byte) (Entry, error) {
	resource, version, definition, err := parseSchema(k, payload)
	if err != nil {
		return Entry{}, err
	}
	var schema *cdc.Schema
	if definition != nil {
		// What can't be read has types that this version does not know, and is asked for.
		if s := new(cdc.Schema); json.Unmarshal(definition, s) == nil {
			s.Resource = resource // JSON alters what is not valid UTF-8
			schema = s
		}
	}
	e := schemaEntry(resource, version, schema)
	e.Bytes = schemaBytes(payload)
	return e, nil
}
