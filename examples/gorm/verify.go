package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/s3db-go/replicator/store"
)

// verdict is what a comparison found. Records that should have been deleted count as
// different.
type verdict struct{ records, missing, different int }

func (v verdict) String() string {
	return fmt.Sprintf("%d records, %d missing, %d different", v.records, v.missing, v.different)
}

// Err is an error if anything is missing or different.
func (v verdict) Err() error {
	if v.missing+v.different > 0 {
		return errors.New("the backup is not like the database: " + v.String())
	}
	return nil
}

// verify compares every column of every row with the backup.
func (s *shop) verify(ctx context.Context, backup string) (v verdict, err error) {
	copied, err := store.Open(ctx, backup)
	if err != nil {
		return v, err
	}
	defer copied.Close()
	for _, resource := range s.source.Resources() {
		found := map[string]store.Record{}
		for record, err := range copied.Resource(resource).List(ctx) {
			if err != nil {
				return v, err
			}
			found[record.String("id")] = record
		}
		for after, more := "", true; more; {
			rows, err := s.source.Scan(ctx, resource, after, 100)
			if err != nil {
				return v, err
			}
			for _, row := range rows {
				row.Data["id"] = row.RecordID // in the store ids are texts
				copied, there := found[row.RecordID]
				switch {
				case !there:
					v.missing++
				case text(copied) != text(row.Data):
					v.different++
					v.different++
				}
				v.records++
				delete(found, row.RecordID)
				after = row.RecordID
			}
			more = len(rows) > 0
		}
		v.different += len(found)
	}
	return v, nil
}

// text is a record as JSON: the store, like JSON, has one kind of number.
func text(r store.Record) string {
	b, _ := json.Marshal(r) // values of a record always marshal
	return string(b)
}
