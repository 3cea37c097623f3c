package drivertest

import (
	"fmt"
	"maps"
	"slices"

	"github.com/s3db-go/replicator/cdc"
)

// holds checks that the destination holds just what comes of the deliveries, in
// their order: at a state target the rows that remain; at an event target each
// delivery once, where repeats count as one.
func (s *session) holds(target string, deliveries ...cdc.Delivery) {
	s.t.Helper()
	if s.h.Events != nil {
		s.holdsEvents(target, deliveries)
		return
	}
	want := make(map[string]cdc.Record)
	for _, d := range deliveries {
		if d.OldKey != nil {
			delete(want, d.OldKey.String("id"))
		}
		delete(want, d.Key.String("id"))
		if d.Record != nil {
			want[d.Key.String("id")] = d.Record
		}
	}
	got := make(map[string]cdc.Record)
	for _, r := range s.h.Records(s.t, target) {
		id := r.String("id")
		if got[id] != nil {
			s.t.Errorf("there are two rows with key %q", id)
		}
		got[id] = r
	}
	for _, id := range slices.Sorted(maps.Keys(want)) {
		if got[id] == nil {
			s.t.Errorf("row %q is missing", id)
			continue
		}
		s.same("row "+id, want[id], got[id])
	}
	for _, id := range slices.Sorted(maps.Keys(got)) {
		if want[id] == nil {
			s.t.Errorf("row %q is too many", id)
		}
	}
}

func (s *session) holdsEvents(target string, deliveries []cdc.Delivery) {
	s.t.Helper()
	want, got := firsts(deliveries), firsts(s.h.Events(s.t, target))
	byID := make(map[cdc.ID]cdc.Delivery, len(got))
	for _, e := range got {
		byID[e.ChangeID] = e
	}
	for _, d := range want {
		e, ok := byID[d.ChangeID]
		if !ok {
			s.t.Errorf("event of %s is missing", d.Change)
			continue
		}
		if e.Op != d.Op || e.RecordID != d.RecordID || e.Target != d.Target {
			s.t.Errorf("event is %s %s at %q, want %s %s at %q", e.Op, e.RecordID, e.Target, d.Op, d.RecordID, d.Target)
		}
		s.same("record of "+d.Change.String(), d.Record, e.Record)
		if d.Op == cdc.Deleted && d.Before == nil && e.Before.Equal(d.Key) {
			continue // where the last state is not known, the key may stand in for it
		}
		s.same("before of "+d.Change.String(), d.Before, e.Before)
	}
	if len(got) > len(want) {
		s.t.Errorf("%d events arrived, want %d", len(got), len(want))
	}
	// Between records there is no order; within one there is.
	if wantOrder, gotOrder := orders(want), orders(got); !maps.EqualFunc(wantOrder, gotOrder, slices.Equal) {
		s.t.Errorf("events arrived in order %v, want %v", gotOrder, wantOrder)
	}
}

// firsts drops the repeats of a delivery.
func firsts(deliveries []cdc.Delivery) []cdc.Delivery {
	seen := make(map[cdc.ID]bool)
	var out []cdc.Delivery
	for _, d := range deliveries {
		if !seen[d.ChangeID] {
			seen[d.ChangeID] = true
			out = append(out, d)
		}
	}
	return out
}

// orders gives the changes of each record in their order.
func orders(deliveries []cdc.Delivery) map[string][]cdc.ID {
	out := make(map[string][]cdc.ID)
	for _, d := range deliveries {
		out[d.RecordID] = append(out[d.RecordID], d.ChangeID)
	}
	return out
}

// same compares a record as it was sent with the record as it was read back.
func (s *session) same(what string, sent, got cdc.Record) {
	s.t.Helper()
	if (sent == nil) != (got == nil) {
		s.t.Errorf("%s: got a record: %v, want one: %v", what, got != nil, sent != nil)
		return
	}
	for _, field := range slices.Sorted(maps.Keys(sent)) {
		want := sent[field]
		if s.h.Want != nil && field != "id" {
			want = s.h.Want(want)
		}
		v, present := got[field]
		if _, gone := want.(Absent); gone {
			if present {
				s.t.Errorf("%s: field %s is %s, want it absent", what, field, show(v))
			}
			continue
		}
		if !present || !cdc.Equal(v, want) {
			s.t.Errorf("%s: field %s is %s, want %s", what, field, show(v), show(want))
		}
	}
	for _, field := range slices.Sorted(maps.Keys(got)) {
		if !sent.Has(field) {
			s.t.Errorf("%s: field %s is %s, want it absent", what, field, show(got[field]))
		}
	}
}

// show gives a value with its type, cut to what fits on a screen.
func show(v any) string {
	text := fmt.Sprintf("%T(%+v)", v, v)
	if len(text) > 120 {
		return fmt.Sprintf("%s… (%d bytes)", text[:120], len(text))
	}
	return text
}
