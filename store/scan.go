package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/codec"
)

var (
	_ cdc.Scanner = (*DB)(nil)
	_ cdc.Lister  = (*DB)(nil)
)

// scanBytes ends a scan's result, so that large records don't add up: a quarter of what
// a destination loads at once.
const scanBytes = 4 << 20

// Scan gives up to limit of a resource's records whose ids come after the one given, in
// the order of their bytes, as Get would give them; fewer if they take more than 4 MiB.
// A resource that was never created has none. What it gives is durable: on file:// it
// flushes the records' directory, and fails if that does. With ?sync=off it flushes no
// more than a write does. On file:// each call lists the directory anew.
func (db *DB) Scan(ctx context.Context, resource, after string, limit int) ([]cdc.Row, error) {
	s, err := db.schema(resource)
	if errors.Is(err, ErrNoResource) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	prefix := recordPrefix(resource)
	var rows []cdc.Row
	size := 0
	for key, err := range db.backend.list(ctx, prefix, prefix+after) {
		if err != nil {
			return nil, fmt.Errorf("store: %s: scan: %w", resource, err)
		}
		id := key[len(prefix):]
		rec, err := db.read(ctx, s, id)
		if err != nil {
			return nil, err
		}
		if rec == nil {
			continue // deleted since the names were listed
		}
		rows = append(rows, cdc.Row{RecordID: id, Data: rec, SchemaVersion: s.version})
		size += codec.SizeChange(&cdc.Change{Data: rec})
		if len(rows) == limit || size >= scanBytes {
			break
		}
	}
	// After they were read: what is flushed then is what was read, or newer.
	if err := db.backend.flush(ctx, prefix); err != nil {
		return nil, fmt.Errorf("store: %s: scan: %w", resource, err)
	}
	return rows, nil
}
