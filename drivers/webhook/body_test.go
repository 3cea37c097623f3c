package webhook_test

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/webhook"
)

// captured is a server that keeps the last request, and takes everything.
type captured struct {
	*httptest.Server
	header http.Header
	body   string
	count  int
}

func capture(t *testing.T) *captured {
	c := &captured{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		c.header, c.body, c.count = r.Header, string(b), c.count+1
	}))
	t.Cleanup(c.Close)
	return c
}

// three is a batch: a record comes, changes and goes.
func three() []cdc.Delivery {
	update, remove := insert, insert
	update.ChangeID, update.Op, update.Version, update.Before = cdc.ID{4, 5}, cdc.Updated, 8, insert.Record
	update.Record = cdc.Record{"id": "u1", "email": "ann@example.org"}
	remove.ChangeID, remove.Op, remove.Version, remove.Record, remove.Before = cdc.ID{6}, cdc.Deleted, 9, nil, update.Record
	return []cdc.Delivery{insert, update, remove}
}

func TestBatchIsOneRequest(t *testing.T) {
	srv := capture(t)
	d := webhook.New(webhook.Options{URL: srv.URL, BatchSize: 10})
	defer d.Close()
	if limits := d.Limits("users"); limits.Items != 10 || !limits.Ordered || !limits.Events {
		t.Errorf("limits are %+v", limits)
	}
	if err := d.Apply(t.Context(), three()); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Batch []struct{ ID, Action string }
	}
	if err := json.Unmarshal([]byte(srv.body), &got); err != nil || srv.count != 1 || len(got.Batch) != 3 {
		t.Fatalf("%d requests, the last: %s (%v)", srv.count, srv.body, err)
	}
	for i, delivery := range three() {
		if got.Batch[i].ID != delivery.ChangeID.String() {
			t.Errorf("place %d has %s, want %s", i, got.Batch[i].ID, delivery.ChangeID)
		}
	}
	if op := srv.header.Get("Replicator-Operation"); op != "" {
		t.Errorf("a batch of several operations says that it is %s", op)
	}

	// The same batch again has the same id, another one has another.
	first := srv.header.Get("webhook-id")
	d.Apply(t.Context(), three())
	if again := srv.header.Get("webhook-id"); again != first {
		t.Errorf("a repeat of %s has the id %s", first, again)
	}
	d.Apply(t.Context(), three()[:2])
	if other := srv.header.Get("webhook-id"); other == first {
		t.Errorf("another batch has the id %s too", other)
	}
	d.Apply(t.Context(), three()[:1])
	if one := srv.header.Get("webhook-id"); one != insert.ChangeID.String() {
		t.Errorf("a batch of one has the id %s, want its change's", one)
	}
}

// TestBatchFailsAsAWhole: the engine then finds the one at fault.
func TestBatchFailsAsAWhole(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) }))
	defer srv.Close()
	d := webhook.New(webhook.Options{URL: srv.URL, BatchSize: 10})
	defer d.Close()
	err := d.Apply(t.Context(), three())
	if _, byItem := errors.AsType[*cdc.BatchError](err); byItem || cdc.FaultOf(err) != cdc.RecordFault {
		t.Errorf("error is %s: %v", cdc.FaultOf(err), err)
	}
}

func TestBatchOverItsBytesIsNotSent(t *testing.T) {
	srv := capture(t)
	d := webhook.New(webhook.Options{URL: srv.URL, BatchSize: 10, BatchBytes: 500})
	defer d.Close()
	if err := d.Apply(t.Context(), three()); cdc.FaultOf(err) != cdc.RecordFault || srv.count != 0 {
		t.Errorf("%d requests, error is %s: %v", srv.count, cdc.FaultOf(err), err)
	}
	large := insert
	large.Record = cdc.Record{"id": strings.Repeat("x", 1000)}
	if err := d.Apply(t.Context(), []cdc.Delivery{large}); err != nil || srv.count != 1 {
		t.Errorf("a large one alone: %d requests, %v", srv.count, err)
	}
}

func TestCloudEvents(t *testing.T) {
	srv := capture(t)
	one := webhook.New(webhook.Options{URL: srv.URL, Body: webhook.CloudEvents, Source: "https://shop.example/db"})
	many := webhook.New(webhook.Options{URL: srv.URL, Body: webhook.CloudEvents, BatchSize: 5})
	defer one.Close()
	defer many.Close()

	if err := apply(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	const want = `{"specversion":"1.0","id":"01020300-0000-0000-0000-000000000000","source":"https://shop.example/db","type":"users.inserted",` +
		`"subject":"u1","time":"2026-02-28T12:00:00.000000Z","sequence":"00000000000000000007","datacontenttype":"application/json",` +
		`"data":{"before":null,"after":{"email":"ann@example.com","id":"u1","note":"Größe"}}}`
	if kind := srv.header.Get("Content-Type"); kind != "application/cloudevents+json" || srv.body != want {
		t.Errorf("%s\n%s, want\n%s", kind, srv.body, want)
	}

	if err := many.Apply(t.Context(), three()); err != nil {
		t.Fatal(err)
	}
	var events []map[string]any
	if err := json.Unmarshal([]byte(srv.body), &events); err != nil || len(events) != 3 || events[2]["type"] != "users.deleted" {
		t.Errorf("%s (%v)", srv.body, err)
	}
	if kind := srv.header.Get("Content-Type"); kind != "application/cloudevents-batch+json" {
		t.Errorf("a batch is %s", kind)
	}
}

func TestMarshal(t *testing.T) {
	srv := capture(t)
	own := func(d cdc.Delivery) ([]byte, error) {
		switch d.Op {
		case cdc.Updated:
			return nil, errors.New("no updates here")
		case cdc.Deleted:
			panic("canary " + d.RecordID)
		}
		return []byte("<user>" + d.RecordID + "</user>"), nil
	}
	d := webhook.New(webhook.Options{URL: srv.URL, Marshal: own, Headers: map[string]string{"Content-Type": "text/xml"}})
	defer d.Close()
	err := d.Apply(t.Context(), three())
	answer, ok := errors.AsType[*cdc.BatchError](err)
	if !ok || srv.count != 1 || srv.body != "<user>u1</user>" || srv.header.Get("Content-Type") != "text/xml" {
		t.Fatalf("%d requests, the last %s: %v", srv.count, srv.body, err)
	}
	if answer.Errs[0] != nil {
		t.Errorf("an insert gives %v", answer.Errs[0])
	}
	for i, want := range map[int]string{1: "webhook: option Marshal: no updates here", 2: "webhook: option Marshal panicked in "} {
		if err := answer.Errs[i]; cdc.FaultOf(err) != cdc.RecordFault || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("error is %s: %v, want %q", cdc.FaultOf(err), err, want)
		}
	}

	batch := webhook.New(webhook.Options{URL: srv.URL, Marshal: own, BatchSize: 5})
	defer batch.Close()
	if err := batch.Apply(t.Context(), three()[:1]); cdc.FaultOf(err) != cdc.RecordFault || !strings.Contains(err.Error(), "not JSON") {
		t.Errorf("XML in a batch: %v", err)
	}
}

func TestPanicOfSignFailsTheAttempt(t *testing.T) {
	d := webhook.New(webhook.Options{URL: "http://127.0.0.1:1", Sign: func(*http.Request, []byte) error { panic("canary") }})
	err := apply(t.Context(), d)
	if err == nil || cdc.FaultOf(err) != cdc.Transient || !strings.HasPrefix(err.Error(), "webhook: option Sign panicked in ") || strings.Contains(err.Error(), "canary") {
		t.Errorf("error is %s: %v", cdc.FaultOf(err), err)
	}
}

// TestGzip: several requests, since writers are used again, and the signature is that
// of what a receiver reads.
func TestGzip(t *testing.T) {
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	srv := capture(t)
	d := webhook.New(webhook.Options{URL: srv.URL, Gzip: true, SigningSecrets: []string{secret}})
	defer d.Close()
	for _, delivery := range three() {
		if err := d.Apply(t.Context(), []cdc.Delivery{delivery}); err != nil {
			t.Fatal(err)
		}
		unpacked, err := gzip.NewReader(strings.NewReader(srv.body))
		if err != nil || srv.header.Get("Content-Encoding") != "gzip" {
			t.Fatalf("%v, encoding %q", err, srv.header.Get("Content-Encoding"))
		}
		body, err := io.ReadAll(unpacked)
		if err != nil || !strings.Contains(string(body), delivery.ChangeID.String()) {
			t.Errorf("%s (%v)", body, err)
		}
		if err := webhook.Verify(srv.header, body, secret); err != nil {
			t.Error(err)
		}
	}
}
