package drivertest

import (
	"context"
	"errors"
	"time"

	"github.com/s3db-go/replicator/cdc"
)

// testBadRecord puts a record that the destination never accepts between good
// ones. If the driver can't tell which it was, each goes again alone, as an engine
// would send it.
func testBadRecord(s *session) {
	if s.h.Bad == nil {
		return
	}
	s.open()
	fields := person("Mallory")
	s.h.Bad(fields)
	batch := []cdc.Delivery{
		s.insert("u1", person("Ann")),
		s.insert("u2", fields),
		s.insert("u3", person("Cyd")),
	}
	errs := s.apply(s.t.Context(), batch...)
	if errs[0] != nil && errs[1] != nil && errs[2] != nil {
		errs = nil
		for _, d := range batch {
			errs = append(errs, s.apply(s.t.Context(), d)...)
		}
	}
	if errs[0] != nil || errs[2] != nil {
		s.t.Errorf("good records beside a bad one: %v, %v", errs[0], errs[2])
	}
	if errs[1] == nil {
		s.t.Fatal("the bad record was called delivered")
	}
	if cdc.FaultOf(errs[1]) != cdc.RecordFault {
		s.t.Errorf("the bad record's error is %s, want permanent: %v", cdc.FaultOf(errs[1]), errs[1])
	}
	s.holds(target, batch[0], batch[2])
}

// testUnreachable checks that a record never pays for a destination that is away,
// and that the driver finds it again by itself.
func testUnreachable(s *session) {
	if s.h.Break == nil {
		return
	}
	s.open()
	before := s.insert("u1", person("Ann"))
	s.mustApply(before)

	batch := []cdc.Delivery{s.insert("u2", person("Bob")), s.update("u1", person("Anna"), person("Ann"))}
	restore := s.h.Break()
	for i, err := range s.apply(s.t.Context(), batch...) {
		if err == nil {
			s.t.Errorf("%s was called delivered by an unreachable destination", batch[i].Change)
		} else if cdc.FaultOf(err) == cdc.RecordFault {
			s.t.Errorf("the unreachable destination's error is permanent: %v", err)
		}
	}
	if c, ok := s.h.Driver.(cdc.Checker); ok {
		err := c.Check(s.t.Context())
		if err == nil {
			s.t.Error("Check calls an unreachable destination alive")
		}
		s.discreet(err)
	}
	restore()
	s.holds(target, before)

	if c, ok := s.h.Driver.(cdc.Checker); ok {
		if err := c.Check(s.t.Context()); err != nil {
			s.t.Errorf("Check of a destination that is back: %v", err)
		}
	}
	s.mustApply(batch...)
	s.holds(target, append([]cdc.Delivery{before}, batch...)...)
}

// testCancelledBefore sends under a context that is over. Both answers are right,
// as long as they are true.
func testCancelledBefore(s *session) {
	s.open()
	ctx, cancel := context.WithCancel(s.t.Context())
	cancel()
	insert := s.insert("u1", person("Ann"))
	err := s.applySoon(ctx, func() {}, insert)
	switch {
	case err == nil:
		s.holds(target, insert)
	case cdc.FaultOf(err) == cdc.RecordFault:
		s.t.Errorf("a cancelled attempt is the record's fault: %v", err)
	}
	s.mustApply(insert)
	s.holds(target, insert)
}

// testCancelledDuring ends the context while the destination does not answer.
func testCancelledDuring(s *session) {
	if s.h.Stall == nil {
		return
	}
	s.open()
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	insert := s.insert("u1", person("Ann"))
	arrived, resume := s.h.Stall()
	err := s.applySoon(ctx, func() {
		select {
		case <-arrived:
		case <-time.After(soon):
			s.t.Error("the stalled destination was never called")
		}
		cancel()
	}, insert)
	resume()
	if err == nil {
		s.t.Error("a delivery was called delivered by a destination that did not answer")
	}
	if cdc.FaultOf(err) == cdc.RecordFault {
		s.t.Errorf("a cancelled attempt is the record's fault: %v", err)
	}
	s.mustApply(insert)
	s.holds(target, insert)
}

// applySoon calls Apply and gives the answer, which must come soon after end
// returned.
func (s *session) applySoon(ctx context.Context, end func(), d cdc.Delivery) error {
	s.t.Helper()
	answer := make(chan error, 1)
	go func() { answer <- s.h.Driver.Apply(ctx, []cdc.Delivery{d}) }()
	end()
	select {
	case err := <-answer:
		s.discreet(err)
		if answer, ok := errors.AsType[*cdc.BatchError](err); ok {
			if len(answer.Errs) != 1 {
				s.t.Fatalf("Apply answered 1 delivery with %d entries", len(answer.Errs))
			}
			return answer.Errs[0]
		}
		return err
	case <-time.After(soon):
		s.t.Fatalf("Apply did not return within %v of its context's end", soon)
		return nil
	}
}

// testReopen closes the driver and opens it again, without losing anything.
func testReopen(s *session) {
	s.open()
	first := s.insert("u1", person("Ann"))
	s.mustApply(first)
	s.close()
	if o, ok := s.h.Driver.(cdc.Opener); ok {
		if err := o.Open(s.t.Context()); err != nil {
			s.t.Fatalf("Open after Close: %v", err)
		}
	}
	second := s.update("u1", person("Anna"), person("Ann"))
	s.mustApply(second)
	s.holds(target, first, second)
}
