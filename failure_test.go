package replicator_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/memory"
)

// With Hold a record's later changes follow the one that failed into the log; with
// Remove a row that no longer passes its filter goes.
func TestHoldAndRemove(t *testing.T) {
	s := newShelf()
	held := memory.New(memory.Options{Events: true, Before: func(_ context.Context, batch []replicator.Delivery) error {
		answer := &replicator.BatchError{Errs: make([]error, len(batch))}
		for i, d := range batch {
			if d.Record.Int("total") == 13 {
				answer.Errs[i] = replicator.Permanent(errors.New("unlucky"))
			}
		}
		return answer
	}})
	rows := memory.New(memory.Options{})
	r, err := replicator.New(s, replicator.Options{Dir: t.TempDir(), Concurrency: 2, Destinations: []replicator.Destination{
		{Name: "held", Driver: held, Routes: replicator.Routes("orders"), OnFailure: replicator.Hold, Rate: 1000},
		{Name: "rows", Driver: rows, Routes: []replicator.Route{{
			From: "orders", OnLeave: replicator.Remove, ShouldReplicate: func(c replicator.Change) bool { return c.Data.Int("total") >= 10 },
		}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, total := range []int64{12, 13, 9} {
		if err := s.put(t.Context(), "orders", "o1", replicator.Record{"total": total}); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	var statuses []string
	for row, err := range r.Log(t.Context(), replicator.Query{Destination: "held"}) {
		if err != nil {
			t.Fatal(err)
		}
		statuses = append(statuses, row.Status)
	}
	slices.Sort(statuses)
	if !slices.Equal(statuses, []string{replicator.StatusFailed, replicator.StatusHeld}) {
		t.Errorf("the log has %v", statuses)
	}
	if n := r.Stats().Destinations["held"]; n.Replicated != 1 || n.Failed != 2 {
		t.Errorf("%+v", n)
	}
	if n := len(rows.Records("orders")); n != 0 {
		t.Errorf("%d rows are left", n)
	}
	if err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}
