package route_test

import (
	"strings"
	"testing"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/route"
)

// A driver whose Limits panic decides nothing, and takes nobody down.
func TestLimitsThatPanicAreAnError(t *testing.T) {
	r := route.New([]route.Rule{{From: "users"}}, route.Options{Limits: func(string) cdc.Limits { panic("secret") }})
	_, err := r.Route(nil, &cdc.Change{Op: cdc.Inserted, Resource: "users", RecordID: "u", Data: cdc.Record{"id": "u"}})
	if err == nil || !strings.Contains(err.Error(), "the driver's Limits") || strings.Contains(err.Error(), "secret") {
		t.Error(err)
	}
	if _, _, err := r.Shape("users", 0, 0); err == nil {
		t.Error("Shape gives no error")
	}
}

// Ways names the rules for a resource as Route takes them.
func TestWays(t *testing.T) {
	r := route.New([]route.Rule{{From: "*"}, {From: "users", To: "people"}, {From: "users"}, {From: "orders"}}, route.Options{})
	for resource, want := range map[string][]route.Way{
		"users": {{Rule: 1, Target: "people"}, {Rule: 2, Target: "users"}}, "orders": {{Rule: 3, Target: "orders"}}, "other": {{Rule: 0, Target: "other"}}, "plg_x": {},
	} {
		got := r.Ways(resource)
		if len(got) != len(want) {
			t.Errorf("%s: %v", resource, got)
			continue
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("%s: %v", resource, got)
			}
		}
	}
}
