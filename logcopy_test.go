package replicator_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/memory"
	"github.com/s3db-go/replicator/store"
)

const logName = "plg_replicator_logs"

// copied gives what the copy has, in the guide's form of a query, by record and status.
func copied(t *testing.T, db *store.DB, filter store.Filter) (found []string) {
	t.Helper()
	for row, err := range db.Resource(logName).Query(t.Context(), filter, store.QueryOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, fmt.Sprint(row["recordId"], " ", row["status"], " ", row["willRetry"]))
	}
	slices.Sort(found)
	return found
}

func TestLogIsCopiedIntoTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, err := store.Open(t.Context(), "memory://copied", store.WithPassphrase("p"))
		if err != nil {
			t.Fatal(err)
		}
		orders, err := db.CreateResource(t.Context(), store.Definition{Name: "orders",
			Attributes: store.Attributes{"total": "number", "note": "string", "more": "string", "card": "secret"}})
		if err != nil {
			t.Fatal(err)
		}
		d, all := newSwitched(), memory.New(memory.Options{})
		o := replicator.Options{Dir: t.TempDir(), Log: replicator.LogOptions{Resource: logName}, Destinations: []replicator.Destination{
			{Name: "analytics", Driver: d, Routes: replicator.Routes("orders")},
			{Name: "everything", Driver: all, Routes: replicator.Routes("*")},
		}}
		r := start(t, db, o)
		insert := func(rec store.Record) {
			t.Helper()
			if _, err := orders.Insert(t.Context(), rec); err != nil {
				t.Fatal(err)
			}
		}
		expect := func(what string, filter store.Filter, want ...string) {
			t.Helper()
			time.Sleep(3 * time.Second)
			synctest.Wait()
			if got := copied(t, db, filter); !slices.Equal(got, want) {
				t.Errorf("%s: the copy has %q, want %q", what, got, want)
			}
		}
		insert(store.Record{"id": "fine", "total": 1})
		flush(t, r)
		expect("without failures", nil)

		d.answer(replicator.Permanent(errors.New("value too long")))
		insert(store.Record{"id": "bad", "total": 1, "card": "canary-4111", "note": strings.Repeat("n", 9000), "more": strings.Repeat("m", 5000)})
		flush(t, r)
		expect("one failure", nil, "bad failed false")
		row, err := db.Resource(logName).Get(t.Context(), copiedID(t, r, "bad"))
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(row)
		if err != nil || strings.Contains(string(text), "canary") {
			t.Errorf("the copy's row tells a secret (%v): %s", err, text)
		}
		data, _ := row["data"].(map[string]any)
		if state, err := json.Marshal(data); err != nil || len(state) > 8<<10 || data["id"] == nil && data["total"] == nil || data["more"] == nil || data["note"] != nil {
			t.Errorf("%d bytes of the state are copied (%v), its fields %q", len(state), err, fieldsOf(data))
		}
		if row["createdAt"] != "2000-01-01" || row["destination"] != "analytics" || row["operation"] != "inserted" || !strings.Contains(fmt.Sprint(row["error"]), "value too long") {
			t.Errorf("the copy's row is %s", text)
		}
		since := func(d time.Duration) map[string]any { return map[string]any{"$gte": time.Now().Add(-d).UnixMilli()} }
		expect("the guide's queries", store.Filter{"status": "failed", "resource": "orders", "timestamp": since(time.Hour), "retryCount": map[string]any{"$lt": 3}}, "bad failed false")
		expect("by destination", store.Filter{"destination": "everything"})
		expect("of the last second", store.Filter{"timestamp": since(time.Second)})

		// What is on the road is there too, refreshed, and goes when it arrives.
		d.answer(replicator.Unavailable(errors.New("connection refused")))
		insert(store.Record{"id": "waits", "total": 1})
		expect("on the road", store.Filter{"status": "failed"}, "bad failed false", "waits failed true")
		time.Sleep(time.Hour)
		expect("for an hour", store.Filter{"status": "failed", "timestamp": since(5 * time.Minute)}, "waits failed true")
		d.answer(nil)
		flush(t, r)
		expect("when it has arrived", nil, "bad failed false")

		if n, err := r.Retry(t.Context(), replicator.Query{Status: replicator.StatusFailed}); n != 1 || err != nil {
			t.Fatalf("retried %d, %v", n, err)
		}
		flush(t, r)
		expect("after Retry", nil, "bad replicated false")
		if s := r.Stats().LogCopy; s != (replicator.LogCopyStats{}) {
			t.Errorf("the copy says that it is behind: %+v", s)
		}
		if rows := all.Records(logName); len(rows) != 0 {
			t.Errorf("the log was replicated: %v", rows)
		}

		// A row that was on the road when the process ended, and has arrived since.
		d.answer(replicator.Unavailable(errors.New("connection refused")))
		insert(store.Record{"id": "crossed", "total": 1})
		expect("before the end", nil, "bad replicated false", "crossed failed true")
		halt(t, r)
		d.answer(nil)
		if r, err = replicator.New(db, o); err != nil {
			t.Fatal(err)
		}
		if err := r.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		flush(t, r)
		expect("in the next run", nil, "bad replicated false")
		halt(t, r)

		// A copy that begins later has what was there before.
		o.Log.Resource = ""
		r = start(t, db, o)
		halt(t, r)
		if err := db.Resource(logName).Delete(t.Context(), copiedFirst(t, db)); err != nil {
			t.Fatal(err)
		}
		o.Log.Resource = logName
		r = start(t, db, o)
		expect("begun anew", nil, "bad replicated false")
		halt(t, r)
	})
}

func fieldsOf(m map[string]any) (names []string) {
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func copiedID(t *testing.T, r *replicator.Replicator, record string) string {
	t.Helper()
	for row, err := range r.Log(t.Context(), replicator.Query{RecordID: record}) {
		if err != nil {
			t.Fatal(err)
		}
		return row.ID
	}
	t.Fatalf("the log has no row of %q", record)
	return ""
}

func copiedFirst(t *testing.T, db *store.DB) string {
	t.Helper()
	for row, err := range db.Resource(logName).List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		return row.String("id")
	}
	t.Fatal("the copy is empty")
	return ""
}

func TestLogCopyFaults(t *testing.T) {
	db, err := store.Open(t.Context(), "memory://faults")
	if err != nil {
		t.Fatal(err)
	}
	for want, c := range map[string]struct {
		source   replicator.Source
		resource string
		route    string
	}{
		`must begin with "plg_"`:       {db, "logs", "r"},
		"each failure of it":           {db, logName, logName},
		"can't keep a copy of the log": {newShelf(), logName, "r"},
	} {
		_, err := replicator.New(c.source, replicator.Options{Dir: t.TempDir(), Log: replicator.LogOptions{Resource: c.resource}, Destinations: to(memory.New(memory.Options{}), c.route)})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v, want one with %q", err, want)
		}
	}
}
