package store

import (
	"maps"
	"slices"
	"time"

	"github.com/s3db-go/replicator/cdc"
)

// mutation is what a call wants to become of one record. It was validated as far
// as that goes without knowing the present record.
type mutation struct {
	id string // "" if one is to be made
	// ops are what the mutation may turn out to be.
	ops cdc.Op
	// reads says that next needs the present record.
	reads bool
	// next gives the record to write, which is then the caller's, nil to remove it. now is
	// the present record, nil if there is none, or if it was not read; it is not changed. It
	// may be asked again, about another one.
	next func(now Record) (Record, error)
}

func (s *schema) insert(rec Record) (mutation, error) {
	id, fields, err := s.whole(rec)
	if err != nil {
		return mutation{}, err
	}
	hand := s.handing(fields)
	next := func(now Record) (Record, error) {
		if now != nil {
			return nil, ErrExists
		}
		return s.stamped(hand(), true), nil
	}
	// An id that is made up is of no other record, unless it is a number.
	return mutation{id: id, ops: cdc.Inserted, reads: id != "" || s.ids.generator != "", next: next}, nil
}

func (s *schema) update(id string, patch Record) (mutation, error) {
	fields, err := s.part(id, patch)
	if err != nil {
		return mutation{}, err
	}
	return mutation{id: id, ops: cdc.Updated, reads: true, next: func(now Record) (Record, error) {
		if now == nil {
			return nil, ErrNotFound
		}
		return s.patched(id, now, fields)
	}}, nil
}

func (s *schema) replace(id string, rec Record) (mutation, error) {
	rec = maps.Clone(rec)
	if rec == nil {
		rec = Record{}
	}
	if own, ok := rec["id"]; ok && own != id {
		return mutation{}, invalid(s.resource, id, []Fault{{"id", "is not that of the record to replace"}})
	}
	rec["id"] = id
	_, fields, err := s.whole(rec)
	if err != nil {
		return mutation{}, err
	}
	return mutation{id: id, ops: cdc.Updated, reads: true, next: func(now Record) (Record, error) {
		if now == nil {
			return nil, ErrNotFound
		}
		next := s.stamped(s.own(fields), false)
		if created, ok := now[createdAt]; ok && s.timestamps && next[createdAt] == nil {
			next[createdAt] = created
		}
		return next, nil
	}}, nil
}

func (s *schema) upsert(rec Record) (mutation, error) {
	if _, ok := rec["id"]; !ok {
		return s.insert(rec)
	}
	id, faults := idOf(rec)
	if err := invalid(s.resource, id, faults); err != nil {
		return mutation{}, err
	}
	fields, err := s.part(id, rec)
	if err != nil {
		return mutation{}, err
	}
	return mutation{id: id, ops: cdc.Inserted | cdc.Updated, reads: true, next: func(now Record) (Record, error) {
		if now != nil {
			return s.patched(id, now, fields)
		}
		next := s.stamped(s.own(fields), true)
		fill(s.attributes, next)
		return next, invalid(s.resource, id, missing(s.attributes, next))
	}}, nil
}

func (s *schema) put(rec Record) (mutation, error) {
	id, faults := idOf(rec)
	if id == "" && faults == nil {
		faults = []Fault{{"id", "is required"}}
	}
	fields, bad := s.conform(rec)
	if err := invalid(s.resource, id, append(faults, bad...)); err != nil {
		return mutation{}, err
	}
	if err := hashed(s.attributes, fields); err != nil {
		return mutation{}, recordError(s.resource, id, err)
	}
	hand := s.handing(fields)
	return mutation{id: id, ops: cdc.Inserted | cdc.Updated, reads: s.referred(), next: func(Record) (Record, error) { return hand(), nil }}, nil
}

func (s *schema) delete(id string) (mutation, error) {
	if reason := unfitID(id); reason != "" {
		return mutation{}, recordError(s.resource, id, ErrNotFound)
	}
	return mutation{id: id, ops: cdc.Deleted, reads: s.referred(), next: func(Record) (Record, error) { return nil, nil }}, nil
}

// referred reports whether records have references, which follow from the record that
// is there.
func (s *schema) referred() bool { return len(s.partitions) > 0 }

// whole validates a record that is to be all there is, and fills in its defaults. The
// id is "" if it has none.
func (s *schema) whole(rec Record) (id string, fields Record, err error) {
	id, faults := idOf(rec)
	fields, bad := s.conform(rec)
	fill(s.attributes, fields)
	faults = slices.Concat(faults, bad, rules(s.attributes, fields), missing(s.attributes, fields))
	if err := invalid(s.resource, id, distinct(faults)); err != nil {
		return "", nil, err
	}
	return id, fields, recordError(s.resource, id, hashed(s.attributes, fields))
}

// part validates a record that is to be merged into another one.
func (s *schema) part(id string, patch Record) (Record, error) {
	var faults []Fault
	if own, ok := patch["id"]; ok && own != id {
		faults = append(faults, Fault{"id", "is not that of the record to update"})
	}
	fields, bad := s.conform(patch)
	if err := invalid(s.resource, id, slices.Concat(faults, bad, rules(s.attributes, fields))); err != nil {
		return nil, err
	}
	return fields, recordError(s.resource, id, hashed(s.attributes, fields))
}

// patched gives the present record with the fields in it.
func (s *schema) patched(id string, now, fields Record) (Record, error) {
	merged := s.stamped(merge(s.attributes, now, fields), false)
	return merged, invalid(s.resource, id, missing(s.attributes, merged))
}

// handing gives what gives the fields themselves the first time, which is mostly the
// last, and then copies: what was given may have been announced.
func (s *schema) handing(fields Record) func() Record {
	given := false
	return func() Record {
		if given {
			fields = s.own(fields)
		}
		given = true
		return fields
	}
}

// own gives a copy with room for what the store adds.
func (s *schema) own(rec Record) Record {
	out := s.empty(len(rec))
	maps.Copy(out, rec)
	return out
}

// empty gives a record with room for fields and for what the store adds: the id, and
// two times if the records have them.
func (s *schema) empty(fields int) Record {
	if s.timestamps {
		return make(Record, fields+3)
	}
	return make(Record, fields+1)
}

// stamped sets the times of now, if the records have times, and gives the record.
func (s *schema) stamped(rec Record, created bool) Record {
	if !s.timestamps {
		return rec
	}
	var now any = time.UnixMilli(time.Now().UnixMilli()).UTC()
	rec[updatedAt] = now
	if created {
		rec[createdAt] = now
	}
	return rec
}

// distinct keeps the first fault of each attribute: one of a wrong type is also
// missing, but that is no news.
func distinct(faults []Fault) []Fault {
	if len(faults) == 0 {
		return nil
	}
	seen := make(map[string]bool, len(faults))
	faults = slices.DeleteFunc(faults, func(f Fault) bool {
		twice := f.Attribute != "" && seen[f.Attribute]
		seen[f.Attribute] = true
		return twice
	})
	sortFaults(faults)
	return faults
}
