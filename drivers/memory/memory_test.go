package memory_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/drivertest"
	"github.com/s3db-go/replicator/drivers/memory"
)

func TestContract(t *testing.T) {
	for name, events := range map[string]bool{"state": false, "events": true} {
		t.Run(name, func(t *testing.T) {
			drivertest.Run(t, func(t *testing.T) drivertest.Harness { return harness(events) })
		})
	}
}

// switched is a driver whose destination can be switched off.
type switched struct {
	*memory.Driver
	down *atomic.Bool
}

func (s switched) Check(ctx context.Context) error {
	if s.down.Load() {
		return errors.New("memory: switched off")
	}
	return s.Driver.Check(ctx)
}

// stall holds calls until resume is closed.
type stall struct {
	arrive func()
	resume chan struct{}
}

func harness(events bool) drivertest.Harness {
	var down atomic.Bool
	var stalled atomic.Pointer[stall]
	d := memory.New(memory.Options{Events: events, Before: func(ctx context.Context, _ []cdc.Delivery) error {
		if s := stalled.Load(); s != nil {
			s.arrive()
			select {
			case <-s.resume:
			case <-ctx.Done():
			}
		}
		if down.Load() {
			return cdc.Unavailable(errors.New("memory: switched off"))
		}
		return nil
	}})
	h := drivertest.Harness{
		Driver: switched{d, &down},
		Break: func() func() {
			down.Store(true)
			return func() { down.Store(false) }
		},
		Stall: func() (<-chan struct{}, func()) {
			arrived, resume := make(chan struct{}), make(chan struct{})
			stalled.Store(&stall{sync.OnceFunc(func() { close(arrived) }), resume})
			return arrived, func() { stalled.Store(nil); close(resume) }
		},
		Bad: func(r cdc.Record) { r["bad"] = struct{}{} },
		Invalid: []drivertest.Invalid{{
			Driver: memory.New(memory.Options{Items: -1, Concurrency: -1}),
			Fields: []string{"Items", "Concurrency"},
		}},
	}
	if events {
		h.Events = func(_ *testing.T, target string) []cdc.Delivery { return d.Events(target) }
		return h
	}
	h.Records = func(_ *testing.T, target string) []cdc.Record {
		var out []cdc.Record
		for _, r := range d.Records(target) {
			out = append(out, r)
		}
		return out
	}
	return h
}

func delivery(op cdc.Op, version uint64, id string, record cdc.Record) cdc.Delivery {
	return cdc.Delivery{
		Change: cdc.Change{Op: op, Version: version, Resource: "users", RecordID: id},
		Target: "users", Key: cdc.Record{"id": id}, Record: record,
	}
}

func TestOlderVersionIsIgnored(t *testing.T) {
	d := memory.New(memory.Options{})
	for _, step := range []cdc.Delivery{
		delivery(cdc.Inserted, 1, "u1", cdc.Record{"id": "u1", "name": "Ann"}),
		delivery(cdc.Updated, 3, "u1", cdc.Record{"id": "u1", "name": "Anna"}),
		delivery(cdc.Updated, 2, "u1", cdc.Record{"id": "u1", "name": "Annie"}),
		delivery(cdc.Deleted, 5, "u2", nil),
		delivery(cdc.Inserted, 4, "u2", cdc.Record{"id": "u2"}),
	} {
		if err := d.Apply(t.Context(), []cdc.Delivery{step}); err != nil {
			t.Fatal(err)
		}
	}
	got := d.Records("users")
	if len(got) != 1 || got["u1"].String("name") != "Anna" {
		t.Errorf("records are %v, want u1 as of version 3 only", got)
	}
	if v1, v2 := d.Version("users", "u1"), d.Version("users", "u2"); v1 != 3 || v2 != 5 {
		t.Errorf("versions are %d and %d, want 3 and, for the tombstone, 5", v1, v2)
	}
	if v := d.Version("nowhere", "u1"); v != 0 {
		t.Errorf("version at an unknown target is %d", v)
	}
}

func TestPartialAnswer(t *testing.T) {
	refused := errors.New("refused")
	d := memory.New(memory.Options{Before: func(context.Context, []cdc.Delivery) error {
		return &cdc.BatchError{Errs: []error{nil, refused, nil}}
	}})
	batch := []cdc.Delivery{
		delivery(cdc.Inserted, 1, "a", cdc.Record{"id": "a"}),
		delivery(cdc.Inserted, 2, "b", cdc.Record{"id": "b"}),
		delivery(cdc.Inserted, 3, "c", cdc.Record{"id": "c"}),
	}
	answer, ok := errors.AsType[*cdc.BatchError](d.Apply(t.Context(), batch))
	if !ok || len(answer.Errs) != 3 || answer.Errs[1] != refused {
		t.Fatalf("answer is %v, want Before's", answer)
	}
	if got := d.Records("users"); len(got) != 2 || got["b"] != nil {
		t.Errorf("records are %v, want a and c", got)
	}
	// The same answer to a batch of another length means nothing, and is passed on
	// so that an engine can be tested with it.
	err := d.Apply(t.Context(), batch[1:2])
	if answer, ok := errors.AsType[*cdc.BatchError](err); !ok || len(answer.Errs) != 3 {
		t.Errorf("wrong-length answer came out as %v", err)
	}
	if got := d.Records("users"); got["b"] != nil {
		t.Error("a wrong-length answer applied something")
	}
}

func TestWhatIsReadBackIsACopy(t *testing.T) {
	state, events := memory.New(memory.Options{}), memory.New(memory.Options{Events: true})
	in := delivery(cdc.Inserted, 1, "a", cdc.Record{"id": "a", "tags": []any{"x"}})
	for _, d := range []*memory.Driver{state, events} {
		if err := d.Apply(t.Context(), []cdc.Delivery{in}); err != nil {
			t.Fatal(err)
		}
	}
	state.Records("users")["a"]["tags"].([]any)[0] = "changed"
	events.Events("users")[0].Record["tags"].([]any)[0] = "changed"
	in.Record["tags"].([]any)[0] = "changed"
	if got := state.Records("users")["a"]["tags"].([]any)[0]; got != "x" {
		t.Errorf("state holds %v after a copy of it was changed", got)
	}
	if got := events.Events("users")[0].Record["tags"].([]any)[0]; got != "x" {
		t.Errorf("events hold %v after a copy of them was changed", got)
	}
}

func ExampleDriver() {
	d := memory.New(memory.Options{})
	err := d.Apply(context.Background(), []cdc.Delivery{{
		Change: cdc.Change{Op: cdc.Inserted, Version: 1, Resource: "orders", RecordID: "o1"},
		Target: "lines",
		Key:    cdc.Record{"order": "o1", "line": int64(2)},
		Record: cdc.Record{"order": "o1", "line": int64(2), "sku": "tea"},
	}})
	fmt.Println(err, d.Records("lines")[`{"line":2,"order":"o1"}`].String("sku"))
	// Output: <nil> tea
}
