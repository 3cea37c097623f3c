package capture_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/capture"
)

func TestJudge(t *testing.T) {
	old, mid, now := cdc.Record{"v": int64(1)}, cdc.Record{"v": int64(2)}, cdc.Record{"v": int64(3)}
	change := func(op cdc.Op, before, data cdc.Record) cdc.Change {
		return cdc.Change{Op: op, Resource: "r", RecordID: "1", Before: before, Data: data}
	}
	resolved := func(op cdc.Op, before, data cdc.Record) *cdc.Change {
		c := change(op, before, data)
		c.Origin = cdc.Resolved
		return &c
	}
	for _, tt := range []struct {
		name    string
		c       cdc.Change
		present cdc.Record
		end     capture.End
		as      *cdc.Change
	}{
		{"insert, there", change(cdc.Inserted, nil, now), now, capture.Applied, nil},
		{"insert, absent", change(cdc.Inserted, nil, now), nil, capture.NotApplied, nil},
		{"insert, somebody else's", change(cdc.Inserted, nil, now), mid, capture.Applied, resolved(cdc.Inserted, nil, mid)},
		{"update, new state", change(cdc.Updated, old, now), now, capture.Applied, nil},
		{"update, old state", change(cdc.Updated, old, now), old, capture.NotApplied, nil},
		{"update, a third state", change(cdc.Updated, old, now), mid, capture.Applied, resolved(cdc.Updated, old, mid)},
		{"update, gone", change(cdc.Updated, old, now), nil, capture.Applied, resolved(cdc.Deleted, old, old)},
		{"update that changes nothing", change(cdc.Updated, now, now), now, capture.Applied, nil},
		{"update of what was absent, absent", change(cdc.Updated, nil, now), nil, capture.Applied, resolved(cdc.Deleted, nil, now)},
		{"update, before not known, old state", change(cdc.Updated, nil, now), old, capture.Applied, resolved(cdc.Updated, nil, old)},
		{"delete, gone", change(cdc.Deleted, nil, old), nil, capture.Applied, nil},
		{"delete, still there", change(cdc.Deleted, nil, old), old, capture.NotApplied, nil},
		{"delete, made again", change(cdc.Deleted, nil, old), mid, capture.Applied, resolved(cdc.Updated, old, mid)},
		{"delete, last state in Before", change(cdc.Deleted, old, nil), old, capture.NotApplied, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			end, as := capture.Judge(tt.c, tt.present)
			if end != tt.end {
				t.Errorf("end is %v, want %v", end, tt.end)
			}
			if diff := cmp.Diff(tt.as, as); diff != "" {
				t.Errorf("committed as (-want +got):\n%s", diff)
			}
		})
	}
}
