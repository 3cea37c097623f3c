package sourcetest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/s3db-go/replicator/cdc"
)

// scanned reads a whole resource in pieces of at most limit records, and checks each.
func (w *world) scanned(t *testing.T, s cdc.Scanner, resource string, limit int) []cdc.Row {
	t.Helper()
	var all []cdc.Row
	for after := ""; ; after = all[len(all)-1].RecordID {
		rows, err := s.Scan(t.Context(), resource, after, limit)
		if err != nil {
			t.Fatalf("Scan of %s after %q: %v", resource, after, err)
		}
		if len(rows) > limit {
			t.Errorf("Scan gave %d records, at most %d were wanted", len(rows), limit)
		}
		if len(rows) == 0 {
			return all
		}
		for _, row := range rows {
			if slices.ContainsFunc(all, func(r cdc.Row) bool { return r.RecordID == row.RecordID }) {
				t.Fatalf("Scan after %q gave %q again", after, row.RecordID)
			}
			if row.Data == nil {
				t.Errorf("%s: Scan gave no data", row.RecordID)
			}
			if normal, err := cdc.Normalize(row.Data); err != nil || !normal.Equal(row.Data) {
				t.Errorf("%s: not normalized: %v (%v)", row.RecordID, row.Data, err)
			}
			all = append(all, row)
		}
	}
}

// scan holds that every record is met once, in one order, as Read gives it.
func scan(t *testing.T, w *world) {
	s, ok := w.Source.(cdc.Scanner)
	if !ok {
		return
	}
	if rows := w.scanned(t, s, w.Resource, 10); len(rows) != 0 {
		t.Errorf("an empty resource has %v", rows)
	}
	if rows := w.scanned(t, s, "sourcetest-none", 10); len(rows) != 0 {
		t.Errorf("a resource that is not there has %v", rows)
	}
	const records = 11
	for i := range records {
		// Neither in the order of their numbers nor of their texts.
		w.insert(t, fmt.Sprintf("s%d", (i*7+3)%records), int64(i))
	}
	if err := w.Delete(t.Context(), w.Resource, "s5"); err != nil {
		t.Fatal(err)
	}
	if w.Update != nil {
		if err := w.Update(t.Context(), w.Resource, "s6", record("second", 100)); err != nil {
			t.Fatal(err)
		}
	}
	version := 0
	if d, ok := w.Source.(cdc.Describer); ok {
		schema, _, err := d.Describe(t.Context(), w.Resource)
		if err != nil {
			t.Fatal(err)
		}
		version = schema.Version
	}
	first := w.scanned(t, s, w.Resource, 1)
	if len(first) != records-1 {
		t.Errorf("Scan gave %d records of %d", len(first), records-1)
	}
	for _, row := range first {
		if now := w.state(t, w.Resource, row.RecordID); now == nil || !now.Equal(row.Data) {
			t.Errorf("%s: Scan gave %v, Read gives %v", row.RecordID, row.Data, now)
		}
		if row.SchemaVersion != version {
			t.Errorf("%s: of version %d, Describe says %d", row.RecordID, row.SchemaVersion, version)
		}
	}
	for _, limit := range []int{3, records - 1, 1000} {
		again := w.scanned(t, s, w.Resource, limit)
		if !slices.EqualFunc(first, again, func(a, b cdc.Row) bool { return a.RecordID == b.RecordID }) {
			t.Errorf("by %d, Scan gave another order: %v and %v", limit, first, again)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if rows, err := s.Scan(ctx, w.Resource, "", 10); err == nil && len(rows) == 0 {
		t.Error("under an ended context Scan gave nothing and no error: that means that there is nothing")
	}
}

// scanBesideWriters holds that what is there all the time is met, whatever comes and
// goes around it.
func scanBesideWriters(t *testing.T, w *world) {
	s, ok := w.Source.(cdc.Scanner)
	if !ok {
		return
	}
	const records, rounds = 20, 10
	for i := range records {
		w.insert(t, fmt.Sprintf("%02d-there", i), int64(i))
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(stop)
	for n := range 4 {
		wg.Go(func() {
			for i := n; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				id := fmt.Sprintf("%02d-guest%d", i%records, n)
				if err := w.Insert(t.Context(), w.Resource, id, record("guest", int64(i))); err != nil {
					t.Error(err)
				}
				if err := w.Delete(t.Context(), w.Resource, id); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range rounds {
		there := 0
		for _, row := range w.scanned(t, s, w.Resource, 3) {
			if row.Data.String("name") == "first" {
				there++
			}
		}
		if there != records {
			t.Errorf("Scan met %d of the %d records that were there all the time", there, records)
		}
	}
}

// lists holds that a resource is listed as soon as it is there.
func lists(t *testing.T, w *world) {
	l, ok := w.Source.(cdc.Lister)
	if !ok || w.Create == nil {
		return
	}
	if err := w.Create(t.Context(), "created"); err != nil {
		t.Fatal(err)
	}
	names := l.Resources()
	if !slices.IsSorted(names) || !slices.Contains(names, w.Resource) || !slices.Contains(names, "created") {
		t.Errorf("Resources gave %v, want %s and created among them, sorted", names, w.Resource)
	}
}
