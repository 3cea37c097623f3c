package engine_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/engine"
	"github.com/s3db-go/replicator/internal/route"
)

// evolving is a driver that syncs schemas and keeps in what order it was called. The key
// of its targets is known when they are there.
type evolving struct {
	*driver

	mu     sync.Mutex
	calls  []string
	exists bool
}

func newEvolving(events bool) *evolving {
	s := &evolving{driver: &driver{limits: cdc.Limits{Events: events, Items: 1}}}
	s.apply = func(_ context.Context, d *driver, batch []cdc.Delivery) error {
		d.accept(batch...)
		s.call(fmt.Sprint(batch[0].Target, " v", batch[0].SchemaVersion))
		return nil
	}
	return s
}

func (s *evolving) call(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, what)
}

func (s *evolving) Limits(string) cdc.Limits {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.limits
	if s.exists {
		l.Key = []string{"code"}
	}
	return l
}

func (s *evolving) SyncSchema(_ context.Context, target string, schema cdc.Schema) error {
	s.call(fmt.Sprint("sync ", target, " v", schema.Version))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.exists = true
	return nil
}

func (s *evolving) called() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// A schema change in the journal reaches every target of the resource before the next
// delivery, and no other; where nothing has come since, too.
func TestASchemaChangeComesBeforeTheNextDelivery(t *testing.T) {
	d := newEvolving(true)
	latest := 1
	var mu sync.Mutex
	s := newSite(t, d, func(c *engine.Config) {
		c.Router = route.New([]route.Rule{{From: "things", To: "left"}, {From: "things", To: "right", Actions: cdc.Deleted}, {From: "others"}}, route.Options{})
		c.Schema = func(string, int, int) (cdc.Schema, bool, error) {
			mu.Lock()
			defer mu.Unlock()
			return cdc.Schema{Version: latest}, true, nil
		}
	})
	s.write(cdc.Updated, "a", 1)
	s.drain()
	mu.Lock()
	latest = 2
	mu.Unlock()
	if err := s.journal.AppendSchema(t.Context(), "things", 2); err != nil {
		t.Fatal(err)
	}
	s.write(cdc.Updated, "a", 2)
	s.drain()
	s.stop()
	calls := d.called()
	right := slices.Index(calls, "sync right v2")
	if right < 0 {
		t.Fatalf("%q", calls)
	}
	calls = slices.Delete(calls, right, right+1)
	if want := []string{"sync left v1", "left v0", "sync left v2", "left v0"}; !slices.Equal(calls, want) {
		t.Errorf("%q, want %q", calls, want)
	}
}

// A driver without schemas passes a schema change.
func TestASchemaChangeIsNothingToADriverWithoutSchemas(t *testing.T) {
	d := newPicky(cdc.Limits{Events: true}, nil)
	s := newSite(t, d, nil)
	if err := s.journal.AppendSchema(t.Context(), "things", 2); err != nil {
		t.Fatal(err)
	}
	s.write(cdc.Updated, "a", 1)
	s.drain()
	s.stop()
	if got := d.got("a"); !slices.Equal(got, []int64{1}) {
		t.Errorf("%v", got)
	}
}

// What was routed before a target had its key goes under that key.
func TestAKeyThatIsKnownOnlyAfterTheSyncCounts(t *testing.T) {
	for _, events := range []bool{true, false} {
		d := newEvolving(events)
		s := newSite(t, d, func(c *engine.Config) {
			c.Schema = func(string, int, int) (cdc.Schema, bool, error) { return cdc.Schema{Version: 1}, true, nil }
			c.Router = route.New([]route.Rule{{From: "things", Transform: func(c cdc.Change) (cdc.Record, error) {
				return cdc.Record{"code": "c" + c.RecordID, "n": c.Data["n"]}, nil
			}}}, route.Options{Limits: d.Limits})
		})
		for n := range int64(5) {
			s.write(cdc.Updated, "a", n)
		}
		s.drain()
		s.stop()
		for _, a := range d.accepted {
			if !a.Key.Equal(cdc.Record{"code": "ca"}) {
				t.Errorf("the key is %v", a.Key)
			}
		}
	}
}

// A driver whose Limits panic costs nobody a change.
func TestLimitsThatPanicAreCaught(t *testing.T) {
	d := &driver{}
	s := newSite(t, panicky{d}, func(c *engine.Config) { c.Router = route.New([]route.Rule{{From: "things"}}, route.Options{}) })
	for n := range int64(5) {
		s.write(cdc.Updated, "a", n)
	}
	s.drain()
	s.stop()
	if len(d.seen("a")) != 5 {
		t.Errorf("%v", d.seen("a"))
	}
}

type panicky struct{ *driver }

func (panicky) Limits(string) cdc.Limits { panic("no limits") }
