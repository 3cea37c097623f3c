package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/s3db-go/replicator/cdc"
)

var (
	_ cdc.Scanner = (*DB)(nil)
	_ cdc.Lister  = (*DB)(nil)
)

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
	var rows []cdc.Row
	size := 0
	way := s.everything()
	for f, err := range db.walk(ctx, s, way, after) {
		if err != nil {
			return nil, f.wrong(resource, "scan", err)
		}
		if f.rec == nil {
			continue // deleted since the names were listed
		}
		rows = append(rows, cdc.Row{RecordID: way.id(f.key), Data: f.rec, SchemaVersion: s.version})
		size += f.size
		if len(rows) == limit || size >= readBytes {
			break
		}
	}
	// After they were read: what is flushed then is what was read, or newer.
	if err := db.backend.flush(ctx, string(way)); err != nil {
		return nil, fmt.Errorf("store: %s: scan: %w", resource, err)
	}
	return rows, nil
}
