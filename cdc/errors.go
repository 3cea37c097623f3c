package cdc

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// Fault says whose fault an error of a driver is, and so what happens next.
type Fault uint8

// The faults.
const (
	// Transient: neither of the others; may pass when tried again.
	Transient Fault = iota
	// RecordFault: this record will never be accepted as it is.
	RecordFault
	// DestinationFault: the destination can't take anything now.
	DestinationFault
)

var faultNames = [...]string{"transient", "permanent", "unavailable"}

// String gives "transient", "permanent" or "unavailable".
func (f Fault) String() string {
	if int(f) < len(faultNames) {
		return faultNames[f]
	}
	return fmt.Sprintf("Fault(%d)", uint8(f))
}

// maxRetryAfter caps what a destination may ask for on one delivery: longer, and a
// single answer could park a record for days.
const maxRetryAfter = 5 * time.Minute

// faultError marks an error with a fault, and with the wait that the destination
// asked for.
type faultError struct {
	err   error
	fault Fault
	after time.Duration
	gone  bool
}

func (e *faultError) Error() string { return e.err.Error() }
func (e *faultError) Unwrap() error { return e.err }

// Permanent marks err as the record's own fault: it is not tried again. nil stays
// nil.
func Permanent(err error) error { return mark(err, RecordFault, 0) }

// Unavailable marks err as the destination's fault: the record waits, without
// spending an attempt, until the destination is back. A pause that err asks for by
// [RetryAfter] is kept. nil stays nil.
func Unavailable(err error) error { return mark(err, DestinationFault, AfterOf(err)) }

// RetryAfter marks err as transient and asks for a pause before the next attempt.
// What is over five minutes is cut to that. nil stays nil.
func RetryAfter(err error, d time.Duration) error {
	return mark(err, Transient, min(max(d, 0), maxRetryAfter))
}

// Gone marks err as the destination's wish to be left alone for good (HTTP's 410): like
// [Unavailable], and the destination is paused, over restarts, until someone resumes
// it. nil stays nil.
func Gone(err error) error {
	if err == nil {
		return nil
	}
	return &faultError{err: err, fault: DestinationFault, gone: true}
}

// IsGone reports whether the mark that counts for [FaultOf] is that of [Gone].
func IsGone(err error) bool {
	m := markOf(err)
	return m != nil && m.gone
}

func mark(err error, f Fault, after time.Duration) error {
	if err == nil {
		return nil
	}
	return &faultError{err: err, fault: f, after: after}
}

// FaultOf tells whose fault err is; an error without a mark is Transient. Of marks
// one around the other the outermost counts. Where errors are joined, the mark
// counts that gives up least, whatever their order: Unavailable before RetryAfter
// before Permanent; parts without a mark don't count, so that what a clean-up adds
// to an error leaves its meaning.
func FaultOf(err error) Fault {
	if m := markOf(err); m != nil {
		return m.fault
	}
	return Transient
}

// AfterOf gives the pause that the mark asks for that counts for [FaultOf], 0 if
// none. Of several that ask, joined, the longest counts.
func AfterOf(err error) time.Duration {
	if m := markOf(err); m != nil {
		return m.after
	}
	return 0
}

// markOf finds the mark that counts in the tree of err, nil if there is none.
func markOf(err error) *faultError {
	switch e := err.(type) {
	case *faultError:
		return e
	case interface{ Unwrap() error }:
		return markOf(e.Unwrap())
	case interface{ Unwrap() []error }:
		var counts *faultError
		for _, part := range e.Unwrap() {
			if m := markOf(part); m != nil && (counts == nil || m.givesUpLess(counts)) {
				counts = m
			}
		}
		return counts
	}
	return nil
}

// hope ranks the faults by how much there is in trying again.
var hope = [...]int{RecordFault: 0, Transient: 1, DestinationFault: 2}

func (e *faultError) givesUpLess(f *faultError) bool {
	if e.fault == f.fault && e.gone != f.gone {
		return e.gone
	}
	return cmp.Or(cmp.Compare(hope[e.fault], hope[f.fault]), cmp.Compare(e.after, f.after)) > 0
}

// BatchError is the answer of a driver item by item: Errs has exactly one entry
// per delivery of the batch, nil for those that are durable at the destination. A
// wrong length is a fault of the driver and means that nothing counts as
// delivered.
type BatchError struct{ Errs []error }

// Error tells how many failed, and the first reason.
func (e *BatchError) Error() string {
	failed, first := 0, error(nil)
	for _, err := range e.Errs {
		if err != nil {
			if first == nil {
				first = err
			}
			failed++
		}
	}
	if first == nil {
		return fmt.Sprintf("none of %d deliveries failed", len(e.Errs))
	}
	return fmt.Sprintf("%d of %d deliveries failed, the first: %v", failed, len(e.Errs), first)
}

// DeliveryError is why a delivery failed. Its text names destination, target,
// record and cause, and neither a credential nor the content of the record.
type DeliveryError struct {
	Destination string
	Target      string
	Resource    string
	RecordID    string
	Err         error
}

// Error gives "backup: users u1: cause"; the target is named where it differs from
// the resource.
func (e *DeliveryError) Error() string {
	where := e.Resource
	if e.Target != "" && e.Target != e.Resource {
		where += " → " + e.Target
	}
	return fmt.Sprintf("%s: %s %s: %v", e.Destination, where, e.RecordID, e.Err)
}

// Unwrap gives the cause.
func (e *DeliveryError) Unwrap() error { return e.Err }

// Sentinels of the contract.
var (
	// ErrJournalFull: the journal's disk budget is spent; nothing was announced.
	ErrJournalFull = errors.New("replicator: journal is full")
	// ErrTooLarge: a change is over 32 MiB when encoded; nothing was announced.
	ErrTooLarge = errors.New("replicator: change is too large")
	// ErrStale: an earlier write of the record, whose end was not known, turned out to
	// have been applied after the source read the record. Nothing was announced; the
	// source reads it again and begins anew.
	ErrStale = errors.New("replicator: record changed since it was read")
	// ErrStopped: the replicator is not started, or stopped; nothing was announced.
	ErrStopped = errors.New("replicator: not running")
)
