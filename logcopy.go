package replicator

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/ledger"
	"github.com/s3db-go/replicator/internal/panics"
)

// LogCopyStats tell how the copy of the log in the store stands. It is zero without
// Log.Resource.
type LogCopyStats struct {
	// Behind is how many changes of the log are not in the copy, Lag the age of the oldest
	// of them. What was in the log before there was a copy is not counted.
	Behind uint64
	Lag    time.Duration
	// Err is why the last write of it failed, "" if it did not.
	Err string
}

const (
	// copyEvery is how far the copy is usually behind.
	copyEvery = time.Second
	// copyAtOnce rows are written together, and then counted as written.
	copyAtOnce = 256
	// copyBytes is to what the states of a record are cut in the copy, each.
	copyBytes = 8 << 10
)

// logCopy writes the log into a resource of the source, behind: rows that are in the
// ledger by its own cursor over what changes there, those on the road as they are seen.
// All of it may be repeated.
type logCopy struct {
	run      *running
	host     cdc.LogHost
	resource string
	logger   *slog.Logger
	shown    map[string]time.Time // the rows on the road that are there, and of when; belongs to the goroutine that copies

	mu  sync.Mutex // guards err
	err error
}

// openCopy gives the copy that the options want, nil for none.
func (r *Replicator) openCopy(run *running) (*logCopy, error) {
	if err := run.ledger.Follow(r.opts.Log.Resource); err != nil || r.opts.Log.Resource == "" {
		return nil, err
	}
	return &logCopy{run: run, host: r.source.(cdc.LogHost), resource: r.opts.Log.Resource, logger: r.opts.Logger}, nil
}

// keep copies until ctx ends.
func (c *logCopy) keep(ctx context.Context) {
	hosted := false
	for failures, pause := 0, time.Duration(0); sleep(ctx, pause) == nil; {
		err := c.guard(func() error {
			if hosted {
				return nil
			}
			return c.host.HostLog(ctx, logSchema(c.resource), logDay)
		})
		if hosted = err == nil; hosted {
			err = c.guard(func() error { return c.once(ctx) })
		}
		if ctx.Err() != nil {
			return
		}
		if c.note(err); err != nil && failures == 0 {
			c.logger.Warn("the log's copy can't be written, and is tried again", "resource", c.resource, "error", err)
		}
		if pause = copyEvery; err != nil {
			failures++
			pause = revivals.Ceiling(failures)
		} else {
			failures = 0
		}
	}
}

// guard makes a panic of the source an error.
func (c *logCopy) guard(do func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = panics.Error("the source, keeping the log's copy", v)
		}
	}()
	return do()
}

func (c *logCopy) note(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
}

func (c *logCopy) stats() (s LogCopyStats) {
	if c == nil {
		return s
	}
	c.mu.Lock()
	err := c.err
	c.mu.Unlock()
	n, since, behind := c.run.ledger.Behind()
	if s.Behind = n; n > 0 {
		s.Lag = max(time.Since(since), 0)
	}
	s.Err = text(cmp.Or(err, behind))
	return s
}

// once brings the copy up to date. The rows on the road go first: one that settles
// meanwhile is then written over by the ledger's, and not the other way round.
func (c *logCopy) once(ctx context.Context) error {
	if err := c.road(ctx); err != nil {
		return err
	}
	return c.changed(ctx)
}

// changed writes what has changed in the ledger.
func (c *logCopy) changed(ctx context.Context) error {
	for ctx.Err() == nil {
		changes, err := c.run.ledger.Changed(copyAtOnce)
		if err != nil || len(changes.Rows)+len(changes.Gone) == 0 {
			return err
		}
		err = c.host.DropLog(ctx, c.resource, changes.Gone)
		if err == nil {
			err = c.host.KeepLog(ctx, c.resource, c.records(changes.Rows))
		}
		if err == nil {
			err = c.run.ledger.Pass(changes)
		}
		if err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// road writes the rows on the road that are new or were tried since, and takes away those
// that have ended without leaving a row.
func (c *logCopy) road(ctx context.Context) error {
	now, fresh := map[string]time.Time{}, []ledger.Row(nil)
	for row := range c.run.retrying(ledger.Query{}) {
		if now[row.ID] = row.Time; !c.shown[row.ID].Equal(row.Time) {
			fresh = append(fresh, row)
		}
	}
	if err := c.run.ledger.Show(fresh); err != nil {
		return err
	}
	if err := c.host.KeepLog(ctx, c.resource, c.records(fresh)); err != nil {
		return err
	}
	unchanged := len(fresh) == 0 && c.shown != nil && maps.EqualFunc(now, c.shown, time.Time.Equal)
	if c.shown = now; unchanged {
		return nil
	}
	ended, gone, err := c.run.ledger.Gone(func(id string) bool { _, on := now[id]; return on })
	if err == nil {
		err = c.host.DropLog(ctx, c.resource, gone)
	}
	if err == nil {
		err = c.run.ledger.Hide(ended)
	}
	if err != nil {
		c.shown = nil // to be looked through again
	}
	return err
}

func (c *logCopy) records(rows []ledger.Row) []cdc.Record {
	records := make([]cdc.Record, len(rows))
	for i := range rows {
		records[i] = logRecord(c.run.logRow(rows[i]))
	}
	return records
}

// finish writes what is left when nothing delivers any more.
func (c *logCopy) finish(ctx context.Context) {
	if c == nil || ctx.Err() != nil {
		return // the next Start goes on with it
	}
	if err := c.guard(func() error { return c.changed(ctx) }); err != nil && ctx.Err() == nil {
		c.logger.Warn("the log's copy is behind", "resource", c.resource, "error", err)
	}
}

// logDay is the field with whose date a log is divided.
const logDay = "createdAt"

// logSchema describes the copy.
func logSchema(resource string) cdc.Schema {
	s := cdc.Schema{Resource: resource, Key: []string{"id"}}
	for _, f := range []struct {
		kind     cdc.Type
		required bool
		names    []string
	}{
		{cdc.TypeString, true, []string{"replicator", "destination", "driver", "resource", "recordId", "operation", "status", logDay}},
		{cdc.TypeString, false, []string{"target", "error", "changeId", "version"}},
		{cdc.TypeInt, true, []string{"timestamp"}},
		{cdc.TypeInt, false, []string{"attempts", "retryCount"}},
		{cdc.TypeFloat, false, []string{"duration"}},
		{cdc.TypeBool, false, []string{"willRetry"}},
		{cdc.TypeObject, false, []string{"data", "before"}},
	} {
		for _, name := range f.names {
			s.Fields = append(s.Fields, cdc.Field{Name: name, Type: f.kind, Required: f.required})
		}
	}
	return s
}

// logRecord gives a row as a record of the store, with the names that its JSON has. Only
// createdAt is the day alone, as the original has it.
func logRecord(row LogRow) cdc.Record {
	return cdc.Record{
		"id": row.ID, "replicator": row.Replicator, "destination": row.Destination, "driver": row.Driver, "resource": row.Resource,
		"target": row.Target, "recordId": row.RecordID, "operation": row.Operation.String(), "status": row.Status,
		"timestamp": row.Timestamp.UnixMilli(), logDay: row.CreatedAt.UTC().Format(time.DateOnly), "error": row.Error,
		"attempts": row.Attempts, "retryCount": row.RetryCount, "willRetry": row.WillRetry,
		"duration": float64(row.Duration) / float64(time.Millisecond), "data": cut(row.Data), "before": cut(row.Before),
		"changeId": row.ChangeID.String(), "version": strconv.FormatUint(row.Version, 10),
	}
}

// cutField says how many fields a state lacks because it was too long.
const cutField = "_cut"

// cut gives a state in at most copyBytes of JSON: without its longest fields, if need be.
// nil stays so.
func cut(r Record) any {
	if r == nil {
		return nil
	}
	if text, err := json.Marshal(r); err == nil && len(text) <= copyBytes {
		return map[string]any(r)
	}
	sizes := make(map[string]int, len(r))
	for name, value := range r {
		text, err := json.Marshal(map[string]any{name: value})
		if sizes[name] = len(text); err != nil {
			sizes[name] = copyBytes + 1
		}
	}
	out, left := map[string]any{}, copyBytes-len(`{"_cut":18446744073709551615}`)
	for _, name := range slices.SortedFunc(maps.Keys(r), func(a, b string) int { return cmp.Or(cmp.Compare(sizes[a], sizes[b]), cmp.Compare(a, b)) }) {
		if left -= sizes[name]; left < 0 {
			break
		}
		out[name] = r[name]
	}
	out[cutField] = len(r) - len(out)
	return out
}
