package engine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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
	if err := s.journal.AppendSchema(t.Context(), "things", 2, nil); err != nil {
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
	if err := s.journal.AppendSchema(t.Context(), "things", 2, nil); err != nil {
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

// scheming is a driver that keeps the fields of each schema that it syncs.
type scheming struct {
	*driver

	mu     sync.Mutex
	fields []string
	fault  error
	asked  chan struct{} // gets a value when it has told its fault
}

func (s *scheming) SyncSchema(_ context.Context, _ string, schema cdc.Schema) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault != nil {
		select {
		case s.asked <- struct{}{}:
		default:
		}
		return s.fault
	}
	names := []string{fmt.Sprint("v", schema.Version)}
	for _, f := range schema.Fields {
		names = append(names, f.Name)
	}
	s.fields = append(s.fields, strings.Join(names, " "))
	return nil
}

func (s *scheming) synced() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.fields)
}

func (s *scheming) become(fault error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault
}

func schemaOf(version int, fields ...string) *cdc.Schema {
	s := &cdc.Schema{Resource: "things", Version: version}
	for _, name := range fields {
		s.Fields = append(s.Fields, cdc.Field{Name: name, Type: cdc.TypeString})
	}
	return s
}

// A target gets the fields of every version that records may follow, although the source
// has gone on to one without them, or does not know the resource any more; also when the
// process ends before it had them.
func TestTheJournalsSchemaReachesTheTarget(t *testing.T) {
	for name, test := range map[string]struct {
		present *cdc.Schema // nil: gone
		want    []string
	}{
		"as the journal says":    {schemaOf(3, "c"), []string{"v3 c b", "v3 c"}},
		"the source has gone on": {schemaOf(5, "e"), []string{"v5 e b", "v5 e c"}},
		"the resource is gone":   {nil, []string{"v2 b", "v3 c"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := &scheming{driver: &driver{}, fault: errBroken, asked: make(chan struct{}, 1)}
			s := newSite(t, d, func(c *engine.Config) {
				c.Schema = func(string, int, int) (cdc.Schema, bool, error) {
					if test.present == nil {
						return cdc.Schema{}, false, errors.New("version 2 is not there yet")
					}
					return *test.present, true, nil
				}
			})
			for _, schema := range []*cdc.Schema{schemaOf(2, "b"), schemaOf(3, "c")} {
				if err := s.journal.AppendSchema(t.Context(), "things", schema.Version, schema); err != nil {
					t.Fatal(err)
				}
			}
			<-d.asked
			if st := s.engine.Stats(); st.Lag > time.Minute || st.Waiting != 2 {
				t.Errorf("while it waits: %+v", st)
			}
			s.stop()
			if low, _ := s.journal.Cursor("dest"); low.Low != 0 {
				t.Errorf("settled up to %d before the target has it", low.Low)
			}
			d.become(nil)
			s.start()
			s.drain()
			if st := s.engine.Stats(); st.Lag != 0 || st.WindowBytes != 0 || st.Loaded != 0 {
				t.Errorf("%+v", st)
			}
			s.stop()
			if got := d.synced(); !slices.Equal(got, test.want) {
				t.Errorf("synced %q, want %q", got, test.want)
			}
		})
	}
}

// What a target refuses for good does not hold the journal up, and is asked for again by
// the next change of the schema.
func TestARefusedSchemaIsSettled(t *testing.T) {
	d := &scheming{driver: &driver{}, fault: cdc.Permanent(errBroken)}
	s := newSite(t, d, func(c *engine.Config) {
		c.Schema = func(string, int, int) (cdc.Schema, bool, error) { return *schemaOf(2, "b"), true, nil }
	})
	for version := 2; version <= 3; version++ {
		if err := s.journal.AppendSchema(t.Context(), "things", version, schemaOf(version, "b")); err != nil {
			t.Fatal(err)
		}
		s.drain()
		d.become(nil)
	}
	s.write(cdc.Updated, "a", 1)
	s.drain()
	s.stop()
	if got := d.synced(); !slices.Equal(got, []string{"v3 b"}) || len(d.accepted) != 1 {
		t.Errorf("synced %q, accepted %d", got, len(d.accepted))
	}
}

// A record in backoff does not hold up a change of the schema, nor what follows that.
func TestASchemaChangeWaitsForNoRecordInBackoff(t *testing.T) {
	var healthy atomic.Bool
	d := &scheming{driver: &driver{limits: cdc.Limits{Items: 1}}}
	d.apply = func(_ context.Context, d *driver, batch []cdc.Delivery) error {
		if batch[0].RecordID == "sick" && !healthy.Load() {
			return errBroken
		}
		d.accept(batch...)
		return nil
	}
	s := newSite(t, d, func(c *engine.Config) {
		c.MaxRetries = 1000
		c.Schema = func(string, int, int) (cdc.Schema, bool, error) { return *schemaOf(2, "b"), true, nil }
	})
	s.write(cdc.Updated, "sick", 1)
	settled := make(chan struct{})
	s.mu.Lock()
	s.watch = func(n engine.Notice) {
		if n.Kind == engine.NoteSettled && n.Change.RecordID == "fine" {
			close(settled)
		}
	}
	s.mu.Unlock()
	if err := s.journal.AppendSchema(t.Context(), "things", 2, schemaOf(2, "b")); err != nil {
		t.Fatal(err)
	}
	s.write(cdc.Updated, "fine", 1)
	<-settled
	if got := d.synced(); !slices.Contains(got, "v2 b") {
		t.Errorf("%q", got)
	}
	healthy.Store(true)
	s.drain()
	s.stop()
}
