package replicator_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/memory"
)

// refusal makes a Before that refuses every delivery for good while it is on.
func refusal() (on *atomic.Bool, before func(context.Context, []replicator.Delivery) error) {
	on = new(atomic.Bool)
	on.Store(true)
	return on, func(_ context.Context, batch []replicator.Delivery) error {
		if !on.Load() {
			return nil
		}
		answer := &replicator.BatchError{Errs: make([]error, len(batch))}
		for i := range answer.Errs {
			answer.Errs[i] = replicator.Permanent(errors.New("the column is missing"))
		}
		return answer
	}
}

func retry(t *testing.T, r *replicator.Replicator, q replicator.Query) int {
	t.Helper()
	n, err := r.Retry(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// statuses counts the rows that a query selects by their status.
func statuses(t *testing.T, r *replicator.Replicator, q replicator.Query) map[string]int {
	t.Helper()
	n := map[string]int{}
	for row, err := range r.Log(t.Context(), q) {
		if err != nil {
			t.Fatal(err)
		}
		n[row.Status]++
	}
	return n
}

// A thousand failures of a hundred records, sent again when the cause is mended: the
// destination of state holds the newest, that of events saw each change once, in order.
func TestRetryAfterTheCauseIsMended(t *testing.T) {
	const records, writes = 100, 10
	s, dir := newShelf(), t.TempDir()
	bad, before := refusal()
	state := memory.New(memory.Options{Before: before, Items: 1})
	events := memory.New(memory.Options{Events: true, Before: before})
	options := replicator.Options{Dir: dir, Destinations: []replicator.Destination{
		{Name: "state", Driver: state, Routes: replicator.Routes("r")},
		{Name: "events", Driver: events, Routes: replicator.Routes("r")},
	}}
	r := start(t, s, options)
	for n := range int64(writes) {
		for id := range records {
			if err := s.put(t.Context(), "r", fmt.Sprint(id), replicator.Record{"id": fmt.Sprint(id), "n": n}); err != nil {
				t.Fatal(err)
			}
		}
		flush(t, r)
	}
	if n := statuses(t, r, replicator.Query{}); n[replicator.StatusFailed] != 2*records*writes {
		t.Fatalf("%v", n)
	}
	halt(t, r)
	bad.Store(false)
	r = start(t, s, options)
	// Some of the records are written while it is under way.
	var writers sync.WaitGroup
	writers.Go(func() {
		for id := range 10 {
			if err := s.put(t.Context(), "r", fmt.Sprint(id), replicator.Record{"id": fmt.Sprint(id), "n": writes}); err != nil {
				t.Error(err)
			}
		}
		if err := s.remove(t.Context(), "r", "99"); err != nil {
			t.Error(err)
		}
	})
	for range 2 { // the second finds nothing, or what is on the road already
		retry(t, r, replicator.Query{Status: replicator.StatusFailed})
	}
	writers.Wait()
	flush(t, r)
	if got := statuses(t, r, replicator.Query{Destination: "events"}); got[replicator.StatusReplicated] != records*writes || len(got) != 1 {
		t.Errorf("events: %v", got)
	}
	if got := statuses(t, r, replicator.Query{Destination: "state"}); got[replicator.StatusReplicated]+got[replicator.StatusSuperseded] != records*writes {
		t.Errorf("state: %v", got)
	}
	versions := map[string][]uint64{}
	for _, e := range events.Events("r") {
		if e.Origin == replicator.OriginReplayed {
			versions[e.RecordID] = append(versions[e.RecordID], e.Version)
		}
	}
	for id, v := range versions {
		if len(v) != writes || !slices.IsSorted(v) {
			t.Errorf("record %s: %v", id, v)
		}
	}
	if len(versions) != records {
		t.Errorf("events of %d records", len(versions))
	}
	rows := state.Records("r")
	if len(rows) != records-1 {
		t.Errorf("%d rows", len(rows))
	}
	for _, row := range rows {
		want := int64(writes - 1)
		if len(row.String("id")) == 1 {
			want = writes
		}
		if row.Int("n") != want {
			t.Errorf("%v", row)
		}
	}
	countsAddUp(t, r)
}

// What is on the road has a row while it is, and Retry and Discard leave it alone.
func TestTheLogShowsWhatIsOnTheRoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		var up atomic.Bool
		d := memory.New(memory.Options{Events: true, Before: func(_ context.Context, batch []replicator.Delivery) error {
			if up.Load() {
				return nil
			}
			return replicator.Unavailable(errors.New("connection refused"))
		}})
		r := start(t, s, replicator.Options{Destinations: []replicator.Destination{{Name: "d", Driver: d, Routes: replicator.Routes("r")}}})
		for id := range 3 {
			if err := s.put(t.Context(), "r", fmt.Sprint(id), replicator.Record{"n": int64(id)}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Hour)
		since := replicator.Query{Status: replicator.StatusFailed, Since: time.Now().Add(-5 * time.Minute)}
		var rows []replicator.LogRow
		for row, err := range r.Log(t.Context(), since) {
			if err != nil {
				t.Fatal(err)
			}
			rows = append(rows, row)
		}
		if len(rows) == 0 || !rows[0].WillRetry || rows[0].Error != "connection refused" || rows[0].Attempts == 0 || rows[0].RetryCount != 0 ||
			rows[0].Replicator != "d" || !rows[0].Data.Has("n") {
			t.Fatalf("%+v", rows)
		}
		if n := retry(t, r, replicator.Query{}); n != 0 {
			t.Errorf("%d were put back", n)
		}
		up.Store(true)
		flush(t, r)
		if n := statuses(t, r, replicator.Query{}); len(n) != 0 {
			t.Errorf("%v", n)
		}
		halt(t, r)
	})
}

// Discarded rows stay for the reader and are sent no more; those of a destination that is
// not configured can be discarded too.
func TestDiscard(t *testing.T) {
	s, dir := newShelf(), t.TempDir()
	bad, before := refusal()
	d := memory.New(memory.Options{Events: true, Before: before})
	r := start(t, s, replicator.Options{Dir: dir, Destinations: []replicator.Destination{{Name: "d", Driver: d, Routes: replicator.Routes("r")}}})
	for _, id := range []string{"a", "b", "c"} {
		if err := s.put(t.Context(), "r", id, replicator.Record{"id": id}); err != nil {
			t.Fatal(err)
		}
	}
	flush(t, r)
	if n, err := r.Discard(t.Context(), replicator.Query{RecordID: "a"}); n != 1 || err != nil {
		t.Errorf("%d (%v)", n, err)
	}
	bad.Store(false)
	if n := retry(t, r, replicator.Query{RecordID: "b"}); n != 1 {
		t.Errorf("%d were put back", n)
	}
	flush(t, r)
	if events := d.Events("r"); len(events) != 1 || events[0].RecordID != "b" {
		t.Errorf("%v", events)
	}
	halt(t, r)
	r = start(t, s, replicator.Options{Dir: dir, Retired: []string{"d"}, Destinations: []replicator.Destination{
		{Name: "other", Driver: memory.New(memory.Options{}), Routes: replicator.Routes("r")},
	}})
	if n := retry(t, r, replicator.Query{}); n != 0 {
		t.Errorf("%d were put back", n)
	}
	if n, err := r.Discard(t.Context(), replicator.Query{Destination: "d"}); n != 1 || err != nil {
		t.Errorf("%d (%v)", n, err)
	}
	want := map[string]int{replicator.StatusDiscarded: 2, replicator.StatusReplicated: 1}
	if n := statuses(t, r, replicator.Query{}); fmt.Sprint(n) != fmt.Sprint(want) {
		t.Errorf("%v", n)
	}
}

// Without a running replicator there is no Retry.
func TestRetryNeedsAStart(t *testing.T) {
	r, err := replicator.New(newShelf(), replicator.Options{Dir: t.TempDir(), Destinations: to(newEvents(), "r")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Retry(t.Context(), replicator.Query{}); err == nil {
		t.Error("no error")
	}
	if _, err := r.Discard(t.Context(), replicator.Query{}); err == nil {
		t.Error("no error")
	}
}
