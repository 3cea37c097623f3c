package route_test

import (
	"testing"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/route"
)

// TestRemovedFields: where rows are merged, a field that an update took away comes as
// nil, and nowhere else.
func TestRemovedFields(t *testing.T) {
	before := cdc.Record{"id": "u1", "name": "Ann", "age": int64(3), "mail": "a@example.com"}
	data := cdc.Record{"id": "u1", "name": "Anna", "new": true}
	change := &cdc.Change{Op: cdc.Updated, Resource: "users", RecordID: "u1", Data: data, Before: before}
	for rows, want := range map[cdc.Rows]cdc.Record{
		cdc.RowsMerged:   {"id": "u1", "name": "Anna", "new": true, "age": nil, "mail": nil},
		cdc.RowsReplaced: data, cdc.RowsUnknown: data,
	} {
		r := route.New([]route.Rule{{From: "users"}}, route.Options{Limits: func(string) cdc.Limits { return cdc.Limits{Rows: rows} }})
		verdicts, err := r.Route(nil, change)
		if err != nil || len(verdicts) != 1 || !verdicts[0].Delivery.Record.Equal(want) {
			t.Errorf("%d: %v, %v", rows, verdicts, err)
		}
	}
	if len(data) != 3 {
		t.Errorf("the shared record was changed: %v", data)
	}
}
