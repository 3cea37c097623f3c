package store

import (
	"errors"
	"fmt"
	"strings"
)

// What can be expected to go wrong. The errors that are returned name the
// resource and the record and wrap one of these.
var (
	// ErrNotFound: there is no record of that id.
	ErrNotFound = errors.New("no such record")
	// ErrExists: there is a record of that id already.
	ErrExists = errors.New("record exists already")
	// ErrConflict: another process kept writing to the record, so that no change could
	// be made to its newest state. Nothing was written.
	ErrConflict = errors.New("another process keeps writing to it")
	// ErrNoBucket: there is no such bucket on the server, or it has to be reached in
	// another region.
	ErrNoBucket = errors.New("no such bucket there")
	// ErrDenied: the server does not accept the credentials, or they do not suffice.
	ErrDenied = errors.New("denied")
	// ErrUnavailable: the server does not answer, or can't serve now.
	ErrUnavailable = errors.New("server unavailable")
	// ErrRefused: the server will never take the record as it is: its key, its
	// metadata or its body is too large there.
	ErrRefused = errors.New("the server does not take the record as it is")
	// ErrNoResource: the resource has not been created.
	ErrNoResource = errors.New("no such resource")
	// ErrNoPassphrase: the resource has a secret attribute, and the store was opened
	// without a passphrase.
	ErrNoPassphrase = errors.New("a secret attribute needs a passphrase")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("store is closed")
)

// ValidationError tells everything that is wrong with a record or a definition.
// It never holds an attribute's value.
type ValidationError struct {
	Resource string
	RecordID string // "" for a definition, or if the record has no id yet
	Faults   []Fault
}

// Fault is one thing that is wrong.
type Fault struct {
	Attribute string // dotted path; "" if it is about the record as a whole
	Reason    string
}

// Error gives "store: users u1: email: is required; age: must be at least 18".
func (e *ValidationError) Error() string {
	var b strings.Builder
	b.WriteString("store: " + e.Resource)
	if e.RecordID != "" {
		b.WriteString(" " + e.RecordID)
	}
	for i, f := range e.Faults {
		b.WriteString([]string{": ", "; "}[min(i, 1)])
		if f.Attribute != "" {
			b.WriteString(f.Attribute + ": ")
		}
		b.WriteString(f.Reason)
	}
	return b.String()
}

// invalid gives a *ValidationError, or nil if there are no faults.
func invalid(resource, id string, faults []Fault) error {
	if len(faults) == 0 {
		return nil
	}
	return &ValidationError{Resource: resource, RecordID: id, Faults: faults}
}

// recordError puts the record's name in front of err, unless it is there already.
func recordError(resource, id string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*ValidationError](err); ok {
		return err
	}
	return fmt.Errorf("store: %s %s: %w", resource, id, err)
}
