package capture

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/disk"
	"github.com/s3db-go/replicator/internal/panics"
)

// schemasFile holds the version of each resource's schema that the journal has a note
// of. It is written after the note: a crash in between repeats the note, which does no
// harm.
const schemasFile = "schemas.json"

// schemas are the versions that the journal has a note of.
type schemas struct {
	turn  chan struct{} // holds one value while a version is noted
	noted sync.Map      // resource → int
}

// SchemaChanged implements cdc.SchemaRecorder.
func (r *Recorder) SchemaChanged(ctx context.Context, resource string, version int) {
	if !cdc.WantsAny(r, resource, cdc.AllOps) {
		return
	}
	if err := r.note(ctx, resource, version); err != nil {
		r.opts.Logger.Warn("a new schema is not noted yet; the resource's next write tries again", "resource", resource, "version", version, "error", err)
	}
}

// noteAll notes what versions the changes follow, before they are announced. What
// can't be noted now is left: the changes tell their versions too, only later, and
// whether they can be announced is not for this to decide.
func (r *Recorder) noteAll(ctx context.Context, changes []cdc.Change) {
	for i := range changes {
		if c := &changes[i]; c.SchemaVersion > 0 {
			_ = r.note(ctx, c.Resource, c.SchemaVersion)
		}
	}
}

// describeTimeout bounds what a write may wait for the source's word on a new version of a
// schema, once for each: some round trips to a remote one.
const describeTimeout = 5 * time.Second

// note puts a version, or the one that the source has now if that is later, into the
// journal, unless it or a later one is there.
func (r *Recorder) note(ctx context.Context, resource string, version int) error {
	if r.schemas.has(resource, version) {
		return nil
	}
	select {
	case r.schemas.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-r.schemas.turn }()
	if r.schemas.has(resource, version) {
		return nil
	}
	var schema *cdc.Schema // nil if it can't be asked for now: whoever needs it asks later
	if r.describer != nil {
		ctx, cancel := context.WithTimeout(ctx, describeTimeout)
		if s, err := r.describe(ctx, resource); err == nil && s.Version >= version {
			schema, version = &s, s.Version
		}
		cancel()
	}
	if err := r.opts.Journal.AppendSchema(ctx, resource, version, schema); err != nil {
		return err
	}
	r.schemas.noted.Store(resource, version)
	if err := r.saveSchemas(); err != nil {
		r.opts.Logger.Warn("the next start will note a schema again", "resource", resource, "version", version, "error", err)
	}
	return nil
}

func (s *schemas) has(resource string, version int) bool {
	noted, ok := s.noted.Load(resource)
	return ok && noted.(int) >= version
}

// recoverSchemas notes what changed while nobody captured, or was not noted before a
// crash. Of a resource that is met for the first time only the version is kept: its
// targets have not seen an older one.
func (r *Recorder) recoverSchemas(ctx context.Context) error {
	if r.describer == nil || r.opts.Resources == nil {
		return nil
	}
	if err := r.loadSchemas(); err != nil {
		return err
	}
	met := false
	for _, resource := range r.opts.Resources() {
		if !cdc.WantsAny(r, resource, cdc.AllOps) {
			continue
		}
		schema, err := r.describe(ctx, resource)
		if err != nil {
			// It may be an old one that nobody writes to any more, so this is no reason
			// not to start; what can't be asked is found out by the first change.
			r.opts.Logger.Warn("a resource can't be described", "resource", resource, "error", err)
			continue
		}
		version := schema.Version
		if version == 0 {
			continue
		}
		if _, known := r.schemas.noted.Load(resource); !known {
			r.schemas.noted.Store(resource, version)
			met = true
		} else if err := r.note(ctx, resource, version); errors.Is(err, cdc.ErrJournalFull) {
			// Room comes back only when the destinations go on, which they do after Start.
			r.opts.Logger.Warn("a schema that changed is not noted yet; the resource's next write tries again", "resource", resource, "version", version, "error", err)
		} else if err != nil {
			return fmt.Errorf("note the schema of %s: %w", resource, err)
		}
	}
	if met {
		return r.saveSchemas()
	}
	return nil
}

// describe gives a resource's schema, of version zero if there is none.
func (r *Recorder) describe(ctx context.Context, resource string) (schema cdc.Schema, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = panics.Error("the source's Describe", v)
		}
	}()
	schema, _, err = r.describer.Describe(ctx, resource)
	return schema, err
}

// version is an entry of schemasFile. The name is bytes, since JSON would alter one that
// is not valid UTF-8.
type version struct {
	Resource []byte `json:"resource"`
	Version  int    `json:"version"`
}

func (r *Recorder) loadSchemas() error {
	if r.opts.FS == nil {
		return nil
	}
	data, err := disk.ReadFile(r.opts.FS, schemasFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var kept []version
	if err == nil {
		err = json.Unmarshal(data, &kept)
	}
	if err != nil {
		return fmt.Errorf("%s in %s: %w; without the file, what changed since the last Stop is found out by the first change", schemasFile, r.opts.FS.Name(), err)
	}
	for _, k := range kept {
		r.schemas.noted.Store(string(k.Resource), k.Version)
	}
	return nil
}

func (r *Recorder) saveSchemas() error {
	if r.opts.FS == nil {
		return nil
	}
	kept := []version{}
	for resource, noted := range r.schemas.noted.Range {
		kept = append(kept, version{[]byte(resource.(string)), noted.(int)})
	}
	data, err := json.Marshal(kept)
	if err == nil {
		err = disk.WriteFile(r.opts.FS, schemasFile, data, disk.PrivateFile)
	}
	if err != nil {
		return fmt.Errorf("keep the versions of schemas: %w", err)
	}
	return nil
}
