package drivertest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/s3db-go/replicator/cdc"
)

// rowCanary stands in every row of the suite and must not stand in any error.
const rowCanary = "canary-of-a-row"

// soon is how long a driver may take to return after its context ended. Generous,
// since test machines are slow; a driver that ignores the context hangs for ever.
const soon = 10 * time.Second

// session is one test's work with one driver.
type session struct {
	t *testing.T
	h Harness
	// version is that of the newest delivery.
	version uint64
}

func newSession(t *testing.T, h Harness) *session {
	return &session{t: t, h: h}
}

// open opens the driver and syncs the schema of the target, as an engine does
// before its first delivery.
func (s *session) open(schemas ...cdc.Schema) {
	s.t.Helper()
	if o, ok := s.h.Driver.(cdc.Opener); ok {
		if err := o.Open(s.t.Context()); err != nil {
			s.t.Fatalf("Open: %v", err)
		}
	}
	s.t.Cleanup(s.close)
	if len(schemas) == 0 {
		schemas = []cdc.Schema{{Resource: target, Version: 1, Key: []string{"id"}, Fields: []cdc.Field{
			{Name: "name", Type: cdc.TypeString},
			{Name: "age", Type: cdc.TypeInt},
		}}}
	}
	for _, schema := range schemas {
		s.sync(target, schema)
	}
}

func (s *session) sync(target string, schema cdc.Schema) {
	s.t.Helper()
	if syncer, ok := s.h.Driver.(cdc.SchemaSyncer); ok {
		if err := syncer.SyncSchema(s.t.Context(), target, schema); err != nil {
			s.t.Fatalf("SyncSchema: %v", err)
		}
	}
}

func (s *session) close() {
	s.t.Helper()
	if c, ok := s.h.Driver.(io.Closer); ok {
		if err := c.Close(); err != nil {
			s.t.Errorf("Close: %v", err)
		}
	}
}

func (s *session) limits(target string) cdc.Limits {
	var limits cdc.Limits
	if l, ok := s.h.Driver.(cdc.Limited); ok {
		limits = l.Limits(target)
	}
	limits.Items = cmp.Or(limits.Items, cdc.DefaultItems)
	limits.Concurrency = cmp.Or(limits.Concurrency, cdc.DefaultConcurrency)
	return limits
}

// insert, update and remove make the next delivery of a record.

func (s *session) insert(id string, fields cdc.Record) cdc.Delivery {
	return s.delivery(cdc.Inserted, id, fields, nil)
}

func (s *session) update(id string, fields, before cdc.Record) cdc.Delivery {
	return s.delivery(cdc.Updated, id, fields, before)
}

func (s *session) remove(id string, before cdc.Record) cdc.Delivery {
	return s.delivery(cdc.Deleted, id, nil, before)
}

func (s *session) delivery(op cdc.Op, id string, fields, before cdc.Record) cdc.Delivery {
	s.version++
	sum := sha256.Sum256(fmt.Append(nil, s.t.Name(), s.version))
	return cdc.Delivery{
		Change: cdc.Change{
			ChangeID: cdc.ID(sum[:16]), Seq: s.version, Version: s.version, Op: op,
			Resource: target, RecordID: id,
			Time: time.Date(2026, 2, 28, 12, 30, 0, 0, time.UTC).Add(time.Duration(s.version) * time.Millisecond),
		},
		Target: target,
		Key:    cdc.Record{"id": id},
		Record: row(id, fields),
		Before: row(id, before),
	}
}

// row gives the record with its id; a nil one stays nil.
func row(id string, fields cdc.Record) cdc.Record {
	out := fields.Clone()
	if out != nil {
		out["id"] = id
	}
	return out
}

func person(name string) cdc.Record {
	return cdc.Record{"name": name + " " + rowCanary, "age": int64(len(name))}
}

// apply sends the deliveries, cut into batches that the target's limits allow, and
// gives the error of each. It holds the driver to the protocol: an answer item by
// item has the right length, errors are discreet, the batch stays as it was.
func (s *session) apply(ctx context.Context, deliveries ...cdc.Delivery) []error {
	s.t.Helper()
	var all []error
	for batch := range slices.Chunk(deliveries, s.limits(deliveries[0].Target).Items) {
		before := slices.Clone(batch)
		for i := range before {
			before[i] = deepCopy(batch[i])
		}
		err := s.h.Driver.Apply(ctx, batch)
		for i := range before {
			if !sameDelivery(before[i], batch[i]) {
				s.t.Errorf("Apply changed delivery %d of its batch", i)
			}
		}
		errs := slices.Repeat([]error{err}, len(batch))
		if answer, ok := errors.AsType[*cdc.BatchError](err); ok {
			if errs = answer.Errs; len(errs) != len(batch) {
				s.t.Fatalf("Apply answered %d deliveries with %d entries", len(batch), len(errs))
			}
			if !slices.ContainsFunc(errs, func(err error) bool { return err != nil }) {
				s.t.Error("Apply answered with a BatchError in which nothing failed")
			}
		}
		for _, err := range append(errs[:len(errs):len(errs)], err) {
			s.discreet(err)
		}
		all = append(all, errs...)
	}
	return all
}

// mustApply sends the deliveries, each of which must land.
func (s *session) mustApply(deliveries ...cdc.Delivery) {
	s.t.Helper()
	for i, err := range s.apply(s.t.Context(), deliveries...) {
		if err != nil {
			s.t.Fatalf("Apply of %s: %v", deliveries[i].Change, err)
		}
	}
}

// discreet checks that an error shows neither the credential nor a row.
func (s *session) discreet(err error) {
	s.t.Helper()
	if err == nil {
		return
	}
	if s.h.Secret != "" && strings.Contains(err.Error(), s.h.Secret) {
		s.t.Errorf("the credential shows in: %v", err)
	}
	if strings.Contains(err.Error(), rowCanary) {
		s.t.Errorf("the content of a row shows in: %v", err)
	}
}

func containsWord(text, word string) bool {
	return regexp.MustCompile(`\b` + regexp.QuoteMeta(word) + `\b`).MatchString(text)
}

func deepCopy(d cdc.Delivery) cdc.Delivery {
	for _, r := range []*cdc.Record{&d.Key, &d.OldKey, &d.Record, &d.Before} {
		if n, err := cdc.Normalize(*r); err == nil { // a bad record may not normalize
			*r = n
		}
	}
	return d
}

func sameDelivery(a, b cdc.Delivery) bool {
	return a.ChangeID == b.ChangeID && a.Target == b.Target &&
		a.Key.Equal(b.Key) && a.OldKey.Equal(b.OldKey) && a.Record.Equal(b.Record) && a.Before.Equal(b.Before)
}
