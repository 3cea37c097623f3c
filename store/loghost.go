package store

import (
	"context"
	"errors"
	"maps"

	"golang.org/x/sync/errgroup"

	"github.com/s3db-go/replicator/cdc"
)

var _ cdc.LogHost = (*DB)(nil)

// byDate is the name of the partition of a log, as the original has it.
const byDate = "byDate"

// logWrites are under way at a time: enough to keep up with a log of a remote store, few
// enough to leave it to its users.
const logWrites = 8

// HostLog makes a resource of the schema, in which rows of a log are found by the day that
// the field of this name begins with. One that is there keeps what it has beside.
func (db *DB) HostLog(ctx context.Context, s cdc.Schema, day string) error {
	_, err := db.ChangeResource(ctx, s.Resource, func(there Definition) Definition {
		next := Definition{
			Attributes: Attributes{}, Partitions: map[string]Partition{byDate: {day: "string|maxlength:10"}},
			Behavior: "body-overflow", // an error and two states seldom fit
		}
		if there.Name != "" {
			next.Timestamps, next.Behavior, next.IDSize, next.IDGenerator = there.Timestamps, there.Behavior, there.IDSize, there.IDGenerator
		}
		maps.Copy(next.Attributes, there.Attributes)
		maps.Copy(next.Partitions, there.Partitions)
		for _, f := range s.Fields {
			if _, known := next.Attributes[f.Name]; !known {
				next.Attributes[f.Name] = logRule(f)
			}
		}
		return next
	})
	return err
}

// logRule gives the attribute for a field of a log.
func logRule(f cdc.Field) string {
	rule := "json"
	switch f.Type {
	case cdc.TypeString:
		rule = "string"
	case cdc.TypeInt, cdc.TypeFloat:
		rule = "number"
	case cdc.TypeBool:
		rule = "boolean"
	}
	if f.Required {
		rule += "|required"
	}
	return rule
}

// KeepLog writes rows of a log as they are, each over the one of its id.
func (db *DB) KeepLog(ctx context.Context, resource string, rows []Record) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(logWrites)
	for _, row := range rows {
		group.Go(func() error { return db.Resource(resource).Put(ctx, row) })
	}
	return group.Wait()
}

// DropLog removes rows of a log. What is not there is fine.
func (db *DB) DropLog(ctx context.Context, resource string, ids []string) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(logWrites)
	for _, id := range ids {
		group.Go(func() error {
			if err := db.Resource(resource).Delete(ctx, id); !errors.Is(err, ErrNotFound) {
				return err
			}
			return nil
		})
	}
	return group.Wait()
}
