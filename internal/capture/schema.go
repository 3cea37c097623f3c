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

// ForgetSchemas has the next Recover note every schema anew. Call it before a destination
// is given its place in the journal: the notes before that are none of its.
func ForgetSchemas(fsys disk.FS) error {
	err := fsys.Remove(schemasFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = fsys.SyncDir(".")
	}
	if err != nil {
		return fmt.Errorf("forget the versions of schemas: %w", err)
	}
	return nil
}

// Admit calls place, which gives a destination its place in the journal, while no schema is
// noted. From then on each is noted anew, behind that place: by NoteSchemas, and before the
// next change that follows it.
func (r *Recorder) Admit(ctx context.Context, place func() error) error {
	select {
	case r.schemas.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-r.schemas.turn }()
	if r.opts.FS != nil {
		if err := ForgetSchemas(r.opts.FS); err != nil {
			return err
		}
	}
	r.schemas.noted.Clear()
	return place()
}

func (s *schemas) has(resource string, version int) bool {
	noted, ok := s.noted.Load(resource)
	return ok && noted.(int) >= version
}

// recoverSchemas notes what changed while nobody captured, or was not noted before a
// crash. So are the schemas of resources that are met for the first time: a target that
// can't be reached until the source has left some of their fields behind is to get these
// before the records that have them.
func (r *Recorder) recoverSchemas(ctx context.Context) error {
	if r.describer == nil || r.opts.Resources == nil {
		return nil
	}
	if err := r.loadSchemas(); err != nil {
		return err
	}
	return r.NoteSchemas(ctx)
}

// NoteSchemas notes the schemas of the resources that the routes name, as far as there is no
// note of them.
func (r *Recorder) NoteSchemas(ctx context.Context) error {
	if r.describer == nil || r.opts.Resources == nil {
		return nil
	}
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
		if err := r.note(ctx, resource, version); errors.Is(err, cdc.ErrJournalFull) {
			// Room comes back only when the destinations go on, which they do after Start.
			r.opts.Logger.Warn("a schema that changed is not noted yet; the resource's next write tries again", "resource", resource, "version", version, "error", err)
		} else if err != nil {
			return fmt.Errorf("note the schema of %s: %w", resource, err)
		}
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
