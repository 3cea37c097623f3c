// Package compare tells for the examples whether one store holds what another does.
package compare

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/s3db-go/replicator/store"
)

// Verdict is what a comparison found. Records that should have been deleted count as
// different.
type Verdict struct{ Records, Missing, Different int }

// String gives "12 records, 0 missing, 0 different".
func (v Verdict) String() string {
	return fmt.Sprintf("%d records, %d missing, %d different", v.Records, v.Missing, v.Different)
}

// Err is an error if anything is missing or different.
func (v Verdict) Err() error {
	if v.Missing+v.Different > 0 {
		return errors.New("the copy is not like its original: " + v.String())
	}
	return nil
}

// Stores compares every field of every record of the resources.
func Stores(ctx context.Context, want, got *store.DB, resources ...string) (Verdict, error) {
	var v Verdict
	for _, resource := range slices.Sorted(slices.Values(resources)) {
		copied := map[string]store.Record{}
		for record, err := range got.Resource(resource).List(ctx) {
			if err != nil {
				return v, err
			}
			copied[record.String("id")] = record
		}
		for record, err := range want.Resource(resource).List(ctx) {
			if err != nil {
				return v, err
			}
			id := record.String("id")
			switch found, ok := copied[id]; {
			case !ok:
				v.Missing++
			case !found.Equal(record):
				v.Different++
			}
			v.Records++
			delete(copied, id)
		}
		v.Different += len(copied)
	}
	return v, nil
}
