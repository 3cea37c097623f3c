package webhook_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/webhook"
	"github.com/s3db-go/replicator/store"
)

// TestGonePausesForGood: after a 410 the endpoint is left alone, with an event and over a
// restart, until someone resumes it; then it gets what it missed.
func TestGonePausesForGood(t *testing.T) {
	var gone atomic.Bool
	var requests, taken atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		if gone.Load() {
			w.WriteHeader(http.StatusGone)
			return
		}
		taken.Add(1)
	}))
	defer srv.Close()
	db, err := store.Open(t.Context(), "memory://shop")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	users, err := db.CreateResource(t.Context(), store.Definition{Name: "users", Attributes: store.Attributes{"name": "string|optional"}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := replicator.New(db, replicator.Options{Dir: t.TempDir(), Destinations: []replicator.Destination{
		{Name: "crm", Driver: webhook.New(webhook.Options{URL: srv.URL}), Routes: replicator.Routes("users")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	events, cancel := r.Subscribe(replicator.Paused)
	defer cancel()
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	gone.Store(true)
	insert := func() {
		t.Helper()
		if _, err := users.Insert(t.Context(), store.Record{"name": "Ann"}); err != nil {
			t.Fatal(err)
		}
	}
	insert()
	select {
	case e := <-events:
		if e.Destination != "crm" || e.Err == nil || !strings.Contains(e.Err.Error(), "410 Gone") {
			t.Errorf("the event is %+v", e)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("no event")
	}
	insert()
	if err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	asked := requests.Load()
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer r.Stop(t.Context())
	insert()
	if s := r.Stats().Destinations["crm"]; s.Paused == nil || s.Waiting != 3 || requests.Load() != asked {
		t.Errorf("after a restart: %+v, and %d more requests", s, requests.Load()-asked)
	}
	gone.Store(false)
	if err := r.Resume(t.Context(), "crm"); err != nil {
		t.Fatal(err)
	}
	if err := r.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if taken.Load() != 3 {
		t.Errorf("%d changes were taken after the pause, want 3", taken.Load())
	}
}
