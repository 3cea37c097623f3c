package route_test

import (
	"fmt"
	"testing"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/route"
)

// tenFields is a record of a usual size and the schema of its fields.
func tenFields(secret bool) (cdc.Record, func(string, int) (cdc.Schema, bool, error)) {
	record, fields := cdc.Record{"id": "u1"}, []cdc.Field(nil)
	for i := range 9 {
		name := fmt.Sprintf("field%d", i)
		record[name] = "value"
		fields = append(fields, cdc.Field{Name: name, Type: cdc.TypeString, Secret: secret && i == 4})
	}
	return record, schemaOf(fields)
}

// TestIdentityAllocatesOnlyTheKey holds the hot path: the key's map is two
// allocations, and nothing else is one.
func TestIdentityAllocatesOnlyTheKey(t *testing.T) {
	data, schema := tenFields(false)
	r := route.New([]route.Rule{{From: "*"}}, route.Options{Schema: schema})
	c, verdicts := updated(data, data), make([]route.Verdict, 0, 1)
	allocs := testing.AllocsPerRun(100, func() { verdicts, _ = r.Route(verdicts[:0], c) })
	if allocs > 2 {
		t.Errorf("%v allocations, want at most 2", allocs)
	}
}

func BenchmarkRoute(b *testing.B) {
	pass := func(c cdc.Change) (cdc.Record, error) { return c.Data, nil }
	small := func(c cdc.Change) (cdc.Record, error) {
		return cdc.Record{"order_id": c.RecordID, "total": c.Data["field1"]}, nil
	}
	for _, bench := range []struct {
		name   string
		rule   route.Rule
		secret bool
	}{
		{"identity", route.Rule{}, false},
		{"identity with a secret", route.Rule{}, true},
		{"filter", route.Rule{ShouldReplicate: func(c cdc.Change) bool { return c.Data.Has("field1") }}, false},
		{"transform of all fields", route.Rule{Transform: pass}, false},
		{"transform of two fields", route.Rule{Transform: small, Key: []string{"order_id"}}, false},
	} {
		b.Run(bench.name, func(b *testing.B) {
			data, schema := tenFields(bench.secret)
			bench.rule.From = "users"
			r := route.New([]route.Rule{bench.rule}, route.Options{Schema: schema})
			c, verdicts := inserted(data), make([]route.Verdict, 0, 1)
			b.ReportAllocs()
			for b.Loop() {
				verdicts, _ = r.Route(verdicts[:0], c)
			}
		})
	}
}
