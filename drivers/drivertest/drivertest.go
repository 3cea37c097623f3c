// Package drivertest is the contract of drivers as tests. A driver that passes
// [Run] can be trusted by the engine: what it calls delivered is at the
// destination, repeats do no harm, its errors say whose fault they are and quote
// neither a credential nor a row.
//
// The suite talks to a real destination through a [Harness]. What a destination
// does not have (a record that it refuses, a way to be unreachable) is left out of
// the harness, and only that is left out of the suite.
//
// What the suite does not ask for, since no engine does it: two deliveries of one
// ordering key in a batch (unless the target's limits say Ordered), in batches
// that run at the same time, or out of their order.
package drivertest

import (
	"fmt"
	"testing"

	"github.com/s3db-go/replicator/cdc"
)

// Harness is one driver in front of a destination that is empty and its own.
type Harness struct {
	// Driver is validated and not yet opened. The suite opens and closes it.
	Driver cdc.Driver

	// Records reads back all rows of a state target, in any order, key columns
	// included, without what the driver adds for its own use. Events reads back what
	// an event target took in, in order of arrival: ChangeID, Op, RecordID, Target,
	// Record and Before. Exactly one of the two is set.
	Records func(t *testing.T, target string) []cdc.Record
	Events  func(t *testing.T, target string) []cdc.Delivery

	// Want gives what a value of a record's field becomes when it is read back, or
	// [Absent] if the field is not there then. nil means that every value comes back
	// as it went in.
	Want func(v any) any

	// Large is the size in bytes of the largest value that the suite sends, for a
	// destination that takes less than 1 MiB. 0 is 1 MiB.
	Large int

	// Bad makes a record into one that the destination will never accept. nil if it
	// accepts all.
	Bad func(r cdc.Record)
	// Break makes the destination unreachable until restore is called. nil if it
	// can't be.
	Break func() (restore func())
	// Stall makes the destination take calls without answering them, until resume is
	// called; arrived is closed when the first call is there. nil if it can't be made
	// to.
	Stall func() (arrived <-chan struct{}, resume func())

	// Secret is the credential that the driver was given, "" if it needs none.
	Secret string
	// Invalid are drivers with faulty options. One of them should have the empty
	// connection string or URL, if the driver has such a thing.
	Invalid []Invalid
}

// Invalid is a driver with faulty options, and the names of all the options that
// are at fault.
type Invalid struct {
	Driver cdc.Driver
	Fields []string
}

// Absent is what [Harness.Want] gives for a value that a destination does not keep.
type Absent struct{}

// Targets of the deliveries. No option of the driver names the second one.
const (
	target      = "people"
	otherTarget = "more_people"
)

// Run runs the suite. It asks for a new harness for every test.
func Run(t *testing.T, open func(t *testing.T) Harness) {
	for _, test := range []struct {
		name string
		run  func(*session)
	}{
		{"Options", testOptions},
		{"Land", testLand},
		{"LandInBatches", testLandInBatches},
		{"ReplayEqualsOnce", testReplayEqualsOnce},
		{"DeleteOfAbsent", testDeleteOfAbsent},
		{"UpdateOfAbsentInserts", testUpdateOfAbsentInserts},
		{"KeyChange", testKeyChange},
		{"OneKeyTwiceInOrder", testOneKeyTwiceInOrder},
		{"UnknownTarget", testUnknownTarget},
		{"Values", testValues},
		{"ValuesUnderOpenSchema", testValuesUnderOpenSchema},
		{"LargeValue", testLargeValue},
		{"SchemaGrows", testSchemaGrows},
		{"BadRecord", testBadRecord},
		{"Unreachable", testUnreachable},
		{"CancelledBefore", testCancelledBefore},
		{"CancelledDuring", testCancelledDuring},
		{"ConcurrentBatches", testConcurrentBatches},
		{"Reopen", testReopen},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := open(t)
			if (h.Records == nil) == (h.Events == nil) {
				t.Fatal("drivertest: a harness has either Records or Events")
			}
			test.run(newSession(t, h))
		})
	}
}

func testOptions(s *session) {
	if name := s.h.Driver.Name(); name == "" {
		s.t.Error("Name is empty")
	}
	limits := s.limits(target)
	if limits.Items < 0 || limits.Bytes < 0 || limits.Concurrency < 0 {
		s.t.Errorf("Limits are negative: %+v", limits)
	}
	if limits.Events != (s.h.Events != nil) {
		s.t.Errorf("Limits.Events is %v, the harness says otherwise", limits.Events)
	}
	for _, format := range []string{"%v", "%+v", "%s"} {
		s.discreet(fmt.Errorf(format, s.h.Driver))
	}
	if v, ok := s.h.Driver.(cdc.Validator); ok {
		if err := v.Validate(); err != nil {
			s.t.Errorf("Validate of good options: %v", err)
		}
	}
	for i, invalid := range s.h.Invalid {
		v, ok := invalid.Driver.(cdc.Validator)
		if !ok {
			s.t.Fatal("a driver with options to get wrong is a cdc.Validator")
		}
		err := v.Validate()
		if err == nil {
			s.t.Errorf("Validate of faulty options %d gives nil, want faults of %v", i, invalid.Fields)
			continue
		}
		s.discreet(err)
		for _, field := range invalid.Fields {
			if !containsWord(err.Error(), field) {
				s.t.Errorf("Validate of faulty options %d does not name %s: %v", i, field, err)
			}
		}
	}
}
