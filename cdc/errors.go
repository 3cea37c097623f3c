package cdc

import (
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
}

func (e *faultError) Error() string { return e.err.Error() }
func (e *faultError) Unwrap() error { return e.err }

// Permanent marks err as the record's own fault: it is not tried again. nil stays
// nil.
func Permanent(err error) error { return mark(err, RecordFault, 0) }

// Unavailable marks err as the destination's fault: the record waits, without
// spending an attempt, until the destination is back. nil stays nil.
func Unavailable(err error) error { return mark(err, DestinationFault, 0) }

// RetryAfter marks err as transient and asks for a pause before the next attempt.
// What is over five minutes is cut to that. nil stays nil.
func RetryAfter(err error, d time.Duration) error {
	return mark(err, Transient, min(max(d, 0), maxRetryAfter))
}

func mark(err error, f Fault, after time.Duration) error {
	if err == nil {
		return nil
	}
	return &faultError{err, f, after}
}

// FaultOf tells whose fault err is. The outermost mark counts; an error without
// one is Transient.
func FaultOf(err error) Fault {
	if e, ok := errors.AsType[*faultError](err); ok {
		return e.fault
	}
	return Transient
}

// AfterOf gives the pause that err asks for, 0 if none.
func AfterOf(err error) time.Duration {
	if e, ok := errors.AsType[*faultError](err); ok {
		return e.after
	}
	return 0
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
	// ErrStopped: the replicator is not running; nothing was announced.
	ErrStopped = errors.New("replicator: stopped")
)
