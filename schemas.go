package replicator

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/s3db-go/replicator/cdc"
)

// describeTimeout bounds one question to the source. Describing is a look-up in
// memory for most; for a remote one, long enough for a few round trips.
const describeTimeout = 10 * time.Second

// schemas remembers what the source says of its resources. Safe for concurrent use.
type schemas struct {
	source cdc.Describer // nil if the source has no schemas
	logger *slog.Logger

	mu    sync.Mutex // guards known; the source is asked without it
	known map[string]cdc.Schema
}

func newSchemas(source cdc.Source, logger *slog.Logger) *schemas {
	d, _ := source.(cdc.Describer)
	return &schemas{source: d, logger: logger, known: map[string]cdc.Schema{}}
}

// get gives the resource's schema in the given version or a later one. If there is
// none it gives the newest that it knows, or false.
func (s *schemas) get(resource string, version int) (cdc.Schema, bool) {
	s.mu.Lock()
	schema, ok := s.known[resource]
	s.mu.Unlock()
	if s.source == nil || (ok && schema.Version >= version) {
		return schema, ok
	}
	ctx, cancel := context.WithTimeout(context.Background(), describeTimeout)
	defer cancel()
	fresh, found, err := s.source.Describe(ctx, resource)
	if err != nil {
		s.logger.Warn("a resource can't be described", "resource", resource, "error", err)
	}
	if err != nil || !found {
		return schema, ok
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if fresh.Version >= s.known[resource].Version {
		s.known[resource] = fresh
	}
	return s.known[resource], true
}
