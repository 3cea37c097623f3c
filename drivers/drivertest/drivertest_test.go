package drivertest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/drivertest"
	"github.com/s3db-go/replicator/drivers/memory"
)

const secret = "canary-of-a-credential"

// sound is the name of the driver that has no fault.
const sound = "none"

// broken is the reference driver with one fault.
type broken struct {
	name string
	// caught is the test of the suite that must notice.
	caught string
	events bool
	// alter changes a delivery on its way in; false drops it silently.
	alter func(d *cdc.Delivery) bool
	// stateful makes alter for one driver.
	stateful func() func(d *cdc.Delivery) bool
	// answer changes what Apply says.
	answer func(batch []cdc.Delivery, err error) error
	// validate and check change what Validate and Check say.
	validate func(err error) error
	check    func(err error) error
}

func faults() []broken {
	return []broken{
		{name: "drops deletes", caught: "Land", alter: func(d *cdc.Delivery) bool { return d.Op != cdc.Deleted }},
		{name: "drops all but the first of a batch", caught: "LandInBatches", answer: func(b []cdc.Delivery, err error) error {
			if len(b) > 50 {
				return &cdc.BatchError{Errs: make([]error, len(b)-1)}
			}
			return err
		}},
		{name: "new id for a repeat", caught: "ReplayEqualsOnce", events: true, stateful: func() func(*cdc.Delivery) bool {
			var seen sync.Map
			return func(d *cdc.Delivery) bool {
				if _, repeat := seen.LoadOrStore(d.ChangeID, true); repeat {
					d.ChangeID[0]++
				}
				return true
			}
		}},
		{name: "inserts under a new key", caught: "ReplayEqualsOnce", stateful: func() func(*cdc.Delivery) bool {
			var seen sync.Map
			return func(d *cdc.Delivery) bool {
				if _, repeat := seen.LoadOrStore(d.ChangeID, true); repeat && d.Op == cdc.Inserted {
					d.Key, d.Record = cdc.Record{"id": "copy"}, d.Record.Clone()
					d.Record["id"] = "copy"
				}
				return true
			}
		}},
		{name: "fails the delete of nothing", caught: "DeleteOfAbsent", answer: func(b []cdc.Delivery, err error) error {
			if b[0].Op == cdc.Deleted && strings.HasPrefix(b[0].RecordID, "nobody") {
				return errors.New("not found")
			}
			return err
		}},
		{name: "updates only what is there", caught: "UpdateOfAbsentInserts", stateful: func() func(*cdc.Delivery) bool {
			var there sync.Map
			return func(d *cdc.Delivery) bool {
				if d.Op == cdc.Inserted {
					there.Store(d.RecordID, true)
				}
				_, ok := there.Load(d.RecordID)
				return ok
			}
		}},
		{name: "forgets the old key", caught: "KeyChange", alter: func(d *cdc.Delivery) bool { d.OldKey = nil; return true }},
		{name: "one table for all", caught: "UnknownTarget", alter: func(d *cdc.Delivery) bool { d.Target = "people"; return true }},
		{name: "numbers are doubles", caught: "Values", alter: each(func(v any) any {
			if n, ok := v.(int64); ok {
				return int64(float64(n) - 0.5)
			}
			return v
		})},
		{name: "nil is empty", caught: "Values", alter: each(func(v any) any {
			if v == nil {
				return ""
			}
			return v
		})},
		{name: "times in seconds", caught: "ValuesUnderOpenSchema", alter: each(func(v any) any {
			if t, ok := v.(time.Time); ok {
				return t.Truncate(time.Second)
			}
			return v
		})},
		{name: "keeps fields that left", caught: "Values", alter: func(d *cdc.Delivery) bool {
			if d.Record != nil {
				d.Record = d.Record.Clone()
				for k, v := range d.Before {
					if !d.Record.Has(k) {
						d.Record[k] = v
					}
				}
			}
			return true
		}},
		{name: "cuts large values", caught: "LargeValue", alter: each(func(v any) any {
			if s, ok := v.(string); ok && len(s) > 1<<20 {
				return s[:1<<20]
			}
			return v
		})},
		{name: "drops the before image", caught: "Land", events: true, alter: func(d *cdc.Delivery) bool { d.Before = nil; return true }},
		{name: "a bad record is transient", caught: "BadRecord", answer: items(func(err error) error { return errors.New(err.Error()) })},
		{name: "a bad record is swallowed", caught: "BadRecord", answer: func([]cdc.Delivery, error) error { return nil }},
		{name: "a wrong-length answer", caught: "BadRecord", answer: func(_ []cdc.Delivery, err error) error {
			if b, ok := errors.AsType[*cdc.BatchError](err); ok {
				return &cdc.BatchError{Errs: b.Errs[:1]}
			}
			return err
		}},
		{name: "quotes the row", caught: "BadRecord", answer: func(b []cdc.Delivery, err error) error {
			if err != nil {
				return fmt.Errorf("%v: %w", b[0].Record, err)
			}
			return nil
		}},
		{name: "an outage is permanent", caught: "Unreachable", answer: func(_ []cdc.Delivery, err error) error { return cdc.Permanent(err) }},
		{name: "quotes the credential", caught: "Unreachable", answer: func(_ []cdc.Delivery, err error) error {
			if err != nil {
				return fmt.Errorf("https://user:%s@host: %w", secret, err)
			}
			return nil
		}},
		{name: "a timeout is permanent", caught: "CancelledDuring", answer: func(_ []cdc.Delivery, err error) error {
			if errors.Is(err, context.Canceled) {
				return cdc.Permanent(err)
			}
			return err
		}},
		{name: "calls itself alive", caught: "Unreachable", check: func(error) error { return nil }},
		{name: "changes the batch", caught: "Land", answer: func(b []cdc.Delivery, err error) error {
			b[0].Key = cdc.Record{"id": "another"}
			return err
		}},
		{name: "tells the first fault only", caught: "Options", validate: func(err error) error {
			return err.(interface{ Unwrap() []error }).Unwrap()[0]
		}},
		{name: "validates nothing", caught: "Options", validate: func(error) error { return nil }},
	}
}

func each(change func(v any) any) func(*cdc.Delivery) bool {
	return func(d *cdc.Delivery) bool {
		if d.Record != nil {
			d.Record = d.Record.Clone()
			for k, v := range d.Record {
				d.Record[k] = change(v)
			}
		}
		return true
	}
}

func items(change func(error) error) func([]cdc.Delivery, error) error {
	return func(_ []cdc.Delivery, err error) error {
		if b, ok := errors.AsType[*cdc.BatchError](err); ok {
			out := &cdc.BatchError{Errs: make([]error, len(b.Errs))}
			for i, err := range b.Errs {
				if err != nil {
					out.Errs[i] = change(err)
				}
			}
			return out
		}
		return err
	}
}

type driver struct {
	*memory.Driver
	fault broken
	down  *atomic.Bool // an outage
}

func (d driver) Check(ctx context.Context) error {
	err := d.Driver.Check(ctx)
	if d.down.Load() {
		err = errors.New("memory: switched off")
	}
	if d.fault.check != nil {
		return d.fault.check(err)
	}
	return err
}

func (d driver) Apply(ctx context.Context, batch []cdc.Delivery) error {
	var in []cdc.Delivery
	for _, delivery := range batch {
		if d.fault.alter == nil || d.fault.alter(&delivery) {
			in = append(in, delivery)
		}
	}
	err := d.Driver.Apply(ctx, in)
	if d.fault.answer != nil {
		err = d.fault.answer(batch, err)
	}
	return err
}

func (d driver) Validate() error {
	err := d.Driver.Validate()
	if err != nil && d.fault.validate != nil {
		return d.fault.validate(err)
	}
	return err
}

func (d driver) harness() drivertest.Harness {
	var down, stalled atomic.Bool
	d.down = &down
	arrived := make(chan struct{})
	d.Driver = memory.New(memory.Options{Events: d.fault.events, Before: func(ctx context.Context, _ []cdc.Delivery) error {
		if stalled.Load() {
			close(arrived)
			<-ctx.Done()
		}
		if down.Load() {
			return cdc.Unavailable(errors.New("memory: switched off"))
		}
		return nil
	}})
	if d.fault.stateful != nil {
		d.fault.alter = d.fault.stateful()
	}
	faulty := d
	faulty.Driver = memory.New(memory.Options{Items: -1, Concurrency: -1})
	h := drivertest.Harness{
		Driver: d,
		Secret: secret,
		Bad:    func(r cdc.Record) { r["bad"] = struct{}{} },
		Break: func() func() {
			down.Store(true)
			return func() { down.Store(false) }
		},
		Stall: func() (<-chan struct{}, func()) {
			stalled.Store(true)
			return arrived, func() { stalled.Store(false) }
		},
		Invalid: []drivertest.Invalid{{Driver: faulty, Fields: []string{"Items", "Concurrency"}}},
	}
	if d.fault.events {
		h.Events = func(_ *testing.T, target string) []cdc.Delivery { return d.Driver.Events(target) }
		return h
	}
	h.Records = func(_ *testing.T, target string) []cdc.Record {
		var out []cdc.Record
		for _, r := range d.Driver.Records(target) {
			out = append(out, r)
		}
		return out
	}
	return h
}

// TestSuiteCatchesFaults runs the suite on broken drivers, in a child process,
// because there the tests fail.
func TestSuiteCatchesFaults(t *testing.T) {
	if os.Getenv("DRIVERTEST_BROKEN") != "" {
		for _, fault := range append(faults(), broken{name: sound}) {
			t.Run(fault.name, func(t *testing.T) {
				drivertest.Run(t, func(*testing.T) drivertest.Harness { return driver{fault: fault}.harness() })
			})
		}
		return
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSuiteCatchesFaults$", "-test.v")
	child.Env = append(os.Environ(), "DRIVERTEST_BROKEN=1")
	out, err := child.CombinedOutput()
	if _, failed := errors.AsType[*exec.ExitError](err); !failed {
		t.Fatalf("the child process ended with %v, want failed tests", err)
	}
	if strings.Contains(string(out), "--- FAIL: "+t.Name()+"/"+sound+"/") {
		t.Error("the suite fails a driver without a fault")
	}
	for _, fault := range faults() {
		name := strings.ReplaceAll(t.Name()+"/"+fault.name+"/"+fault.caught, " ", "_")
		if !strings.Contains(string(out), "--- FAIL: "+name+" ") {
			t.Errorf("%q: %s did not notice", fault.name, fault.caught)
		}
	}
	if t.Failed() {
		t.Logf("%s", out)
	}
}
