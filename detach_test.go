package replicator_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/memory"
	"github.com/s3db-go/replicator/store"
)

// padded gives a memory store with a resource whose records fill a journal.
func padded(t *testing.T) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), "memory://padded")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	_, err = db.CreateResource(t.Context(), store.Definition{Name: "r", Attributes: store.Attributes{"n": "number|integer", "pad": "string"}})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// TestDetachedIsBackfilled: a state destination that was detached equals the source when
// it is back, over a restart in between; an event destination has lost what the log says.
func TestDetachedIsBackfilled(t *testing.T) {
	db := padded(t)
	var down atomic.Bool
	down.Store(true)
	away := func(context.Context, []replicator.Delivery) error {
		if down.Load() {
			return replicator.Unavailable(errors.New("it is down"))
		}
		return nil
	}
	state, events := memory.New(memory.Options{Before: away}), memory.New(memory.Options{Events: true, Before: away})
	o := replicator.Options{Dir: t.TempDir(), MaxJournalBytes: 1 << 20, OnFull: replicator.DetachSlowest, Destinations: []replicator.Destination{
		{Name: "state", Driver: state, Routes: replicator.Routes("r"), Backfill: replicator.BackfillOptions{ChunkSize: 10}},
		{Name: "events", Driver: events, Routes: replicator.Routes("r")},
	}}
	r := start(t, db, o)
	const n = 320 // more than fits
	for i := range n {
		rec := bulk(i)
		rec["id"] = fmt.Sprint(i % 100)
		if _, err := db.Resource("r").Upsert(t.Context(), rec); err != nil {
			t.Fatalf("write %d: %v\n%s", i, err, describe(r))
		}
	}
	halt(t, r)
	down.Store(false)
	r = start(t, db, o)
	progress, cancel := r.Subscribe(replicator.BackfillProgress)
	defer cancel()
	for e := range progress {
		if e.Destination != "state" {
			t.Errorf("%s is backfilled", e.Destination)
		}
		if e.Done {
			break
		}
	}
	flush(t, r)
	if diff := cmp.Diff(readAllOf(t, db, "r"), state.Records("r")); diff != "" {
		t.Errorf("source (-) and destination (+) differ:\n%s", diff)
	}
	lost := map[string]bool{}
	for _, row := range failedRows(t, r) {
		if strings.Contains(row.Error, "the journal was full") {
			lost[row.Destination] = true
		}
	}
	if !lost["state"] || !lost["events"] || len(events.Events("r")) == n {
		t.Errorf("lost by %v, %d events", lost, len(events.Events("r")))
	}
}

// TestDetachBesideAStuckCall: a destination whose call does not return while it is
// detached goes on as soon as it has.
func TestDetachBesideAStuckCall(t *testing.T) {
	s, gate := newShelf(), make(chan struct{})
	var calls atomic.Int64
	d := memory.New(memory.Options{Before: func(context.Context, []replicator.Delivery) error {
		if calls.Add(1) == 1 {
			<-gate // deaf to its context
		}
		return nil
	}})
	r := start(t, s, replicator.Options{MaxJournalBytes: 1 << 20, OnFull: replicator.DetachSlowest, Destinations: to(d, "r")})
	detached, cancel := r.Subscribe(replicator.JournalPressure)
	defer cancel()
	const n = 300 // more than fits
	for i := range n {
		if err := s.put(t.Context(), "r", fmt.Sprint(i), bulk(i)); err != nil {
			t.Fatalf("write %d: %v\n%s", i, err, describe(r))
		}
	}
	for e := range detached {
		if e.Destination != "" {
			break
		}
	}
	waitFor(t, r, func() bool {
		return strings.Contains(r.Stats().Destinations["memory"].Err, "a call from before has not returned")
	})
	if h := r.Health(); h.Status != replicator.HealthUnhealthy {
		t.Errorf("%+v", h)
	}
	close(gate)
	if err := s.put(t.Context(), "r", "last", bulk(n)); err != nil {
		t.Fatal(err)
	}
	flush(t, r)
	if d.Records("r")["last"] == nil || r.Stats().Destinations["memory"].Err != "" {
		t.Error(describe(r))
	}
}
