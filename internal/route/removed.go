package route

import "github.com/s3db-go/replicator/cdc"

// withRemoved gives the record with nil for every field that the state before had and
// that it lacks. A target that leaves the fields alone which a record lacks would else
// keep what was removed; and laid over one another, changes keep the nil.
func withRemoved(record, before, key cdc.Record) cdc.Record {
	out := record
	for field := range before {
		if record.Has(field) || key.Has(field) {
			continue
		}
		if len(out) == len(record) {
			out = record.Clone()
		}
		out[field] = nil
	}
	return out
}
