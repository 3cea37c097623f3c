package replicator_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/memory"
	"github.com/s3db-go/replicator/drivers/s3db"
	"github.com/s3db-go/replicator/drivers/webhook"
	"github.com/s3db-go/replicator/store"
)

// TestPlainRouteOnEveryDriver: a route with nothing but From carries every operation of
// every record, unchanged, under the same name, whatever the driver; one whose Transform
// gives nothing sends nothing.
func TestPlainRouteOnEveryDriver(t *testing.T) {
	ctx := t.Context()
	db, err := store.Open(ctx, "memory://")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	users, err := db.CreateResource(ctx, store.Definition{Name: "users", Attributes: store.Attributes{"name": "string", "n": "number|integer"}})
	if err != nil {
		t.Fatal(err)
	}
	copied, err := store.Open(ctx, "memory://")
	if err != nil {
		t.Fatal(err)
	}
	defer copied.Close()

	var mu sync.Mutex // guards posted
	var posted []string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
		var body struct{ Resource, RecordID, Operation string }
		if err := json.NewDecoder(q.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		posted = append(posted, body.Operation+" "+body.Resource+"/"+body.RecordID)
	}))
	defer server.Close()

	state, events, silent := memory.New(memory.Options{}), newEvents(), newEvents()
	plain := replicator.Routes("users")
	r := start(t, db, replicator.Options{Destinations: []replicator.Destination{
		{Name: "state", Driver: state, Routes: plain},
		{Name: "events", Driver: events, Routes: plain},
		{Name: "s3db", Driver: s3db.New(s3db.Options{Store: copied}), Routes: plain},
		{Name: "webhook", Driver: webhook.New(webhook.Options{URL: server.URL}), Routes: plain},
		{Name: "silent", Driver: silent, Routes: []replicator.Route{{From: "users", Transform: func(replicator.Change) (replicator.Record, error) {
			return nil, nil
		}}}},
	}})
	for _, id := range []string{"stays", "goes"} {
		if _, err := users.Insert(ctx, store.Record{"id": id, "name": "Ann", "n": 1}); err != nil {
			t.Fatal(err)
		}
		flush(t, r) // so that a state destination gets the insert by itself
		if _, err := users.Update(ctx, id, store.Record{"n": 2}); err != nil {
			t.Fatal(err)
		}
	}
	if err := users.Delete(ctx, "goes"); err != nil {
		t.Fatal(err)
	}
	flush(t, r)

	want := store.Record{"id": "stays", "name": "Ann", "n": int64(2)}
	if got := state.Records("users"); len(got) != 1 || !got["stays"].Equal(want) {
		t.Errorf("memory holds %v", got)
	}
	if got := readAllOf(t, copied, "users"); len(got) != 1 || !got["stays"].Equal(want) {
		t.Errorf("s3db holds %v", got)
	}
	all := []string{"inserted users/stays", "updated users/stays", "inserted users/goes", "updated users/goes", "deleted users/goes"}
	var arrived []string
	for _, e := range events.Events("users") {
		arrived = append(arrived, e.Op.String()+" "+e.Target+"/"+e.RecordID)
	}
	slices.Sort(all)
	slices.Sort(arrived)
	slices.Sort(posted)
	if !slices.Equal(arrived, all) || !slices.Equal(posted, all) {
		t.Errorf("the events are %v, the requests %v, want %v", arrived, posted, all)
	}
	if n := r.Stats().Destinations["silent"]; len(silent.Events("users")) != 0 || n.Skipped != 5 || n.Wanted != 5 {
		t.Errorf("silent: %+v, %v", n, silent.Events("users"))
	}
}
