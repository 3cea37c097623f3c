package replicator_test

import (
	"strings"
	"testing"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/s3db"
)

// TestLoops: a destination that is the source must not carry a resource back to itself; to
// another one it may, or if a filter can end it.
func TestLoops(t *testing.T) {
	db := stocked(t, 0)
	first := func(c replicator.Change) bool { return !c.Data.Has("copied") }
	for name, tt := range map[string]struct {
		routes []replicator.Route
		loops  string
	}{
		"same":               {replicator.Routes("things"), `Routes[0] carries "things" in a circle`},
		"everything":         {replicator.Routes("*"), `Routes[0] carries "*" in a circle`},
		"everything, to one": {[]replicator.Route{{From: "*", To: "audit"}}, `Routes[0] carries "*" in a circle`},
		"by way of another":  {[]replicator.Route{{From: "things", To: "copies"}, {From: "copies", To: "things"}}, `Routes[1] carries "copies" in a circle`},
		"to another":         {[]replicator.Route{{From: "things", To: "copies"}}, ""},
		"filtered":           {[]replicator.Route{{From: "things", ShouldReplicate: first}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := replicator.New(db, replicator.Options{Dir: t.TempDir(), Destinations: []replicator.Destination{{
				Name: "self", Driver: s3db.New(s3db.Options{Store: db}), Routes: tt.routes,
			}}})
			if (err == nil) != (tt.loops == "") || err != nil && !strings.Contains(err.Error(), tt.loops) {
				t.Errorf("got %v, want %q", err, tt.loops)
			}
		})
	}
}
