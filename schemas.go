package replicator

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/panics"
	"github.com/s3db-go/replicator/internal/route"
)

// describeTimeout bounds one question to the source, as in the path of a write: describing
// is a look-up in memory for most; for a remote one, long enough for a few round trips.
const describeTimeout = 5 * time.Second

// schemas remembers what the source says of its resources. Safe for concurrent use.
type schemas struct {
	source cdc.Describer // nil if the source has no schemas

	mu    sync.Mutex // guards known; the source is asked without it
	known map[string]cdc.Schema
}

func newSchemas(source cdc.Source) *schemas {
	d, _ := source.(cdc.Describer)
	return &schemas{source: d, known: map[string]cdc.Schema{}}
}

// describes reports whether the source can say which resources it has.
func describes(source cdc.Source) bool {
	if custom, ok := source.(customized); ok {
		return custom.options().Describe != nil
	}
	_, ok := source.(cdc.Describer)
	return ok
}

// get gives the resource's schema in the given version or a later one, false if the
// resource has none. Version 0, that of a record of which nobody knows, is asked for
// anew each time. What can't be asked now, or is older than what records are
// written under already, is an error: whoever goes on without it would not know which
// fields are secret.
func (s *schemas) get(resource string, version int) (schema cdc.Schema, ok bool, err error) {
	if s.source == nil {
		return cdc.Schema{}, false, nil
	}
	s.mu.Lock()
	schema, ok = s.known[resource]
	s.mu.Unlock()
	if ok && version > 0 && schema.Version >= version {
		return schema, true, nil
	}
	schema, ok, err = s.ask(resource)
	switch {
	case err != nil:
		return cdc.Schema{}, false, fmt.Errorf("describing %s: %w", resource, err)
	case !ok && version > 0, ok && schema.Version < version:
		return cdc.Schema{}, false, fmt.Errorf("describing %s: version %d is not there yet", resource, version)
	case !ok:
		return cdc.Schema{}, false, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if schema.Version >= s.known[resource].Version {
		s.known[resource] = schema
	}
	return s.known[resource], true, nil
}

func (s *schemas) ask(resource string) (schema cdc.Schema, ok bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), describeTimeout)
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			err = panics.Error("the source's Describe", v)
		}
	}()
	return s.source.Describe(ctx, resource)
}

// shown gives a record without its secrets, nil if it can't be told which they are.
func (s *schemas) shown(r Record, c Change) Record {
	schema, _, err := s.get(c.Resource, c.SchemaVersion)
	if err != nil {
		return nil
	}
	return route.WithoutSecrets(r, schema, c.SchemaVersion)
}
