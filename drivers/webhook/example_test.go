package webhook_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/webhook"
)

const secret = "whsec_c29tZSB0aGlydHkgdHdvIGJ5dGVzIG9mIHNlY3JldCE="

// A receiver takes only what is signed, and each webhook-id once.
func ExampleVerify() {
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err == nil {
			err = webhook.Verify(r.Header, body, secret)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		fmt.Printf("%s: %s\n", r.Header.Get("replicator-operation"), body)
		w.WriteHeader(http.StatusNoContent)
	}))
	defer receiver.Close()

	d := webhook.New(webhook.Options{URL: receiver.URL, SigningSecrets: []string{secret}, Body: webhook.Bare})
	defer d.Close()
	if err := d.Apply(context.Background(), []cdc.Delivery{{
		Change: cdc.Change{Op: cdc.Inserted, Resource: "orders", RecordID: "o1"},
		Target: "orders", Record: cdc.Record{"id": "o1", "total": 99.5},
	}}); err != nil {
		log.Fatal(err)
	}
	// Output: inserted: {"id":"o1","total":99.5}
}

// Options at fault are told all at once; the replicator's New asks for it.
func ExampleNew() {
	d := webhook.New(webhook.Options{URL: "ftp://crm.example.com", Auth: webhook.Bearer("t0ken"), SigningSecrets: []string{"short"}})
	fmt.Println(d.Validate())
	fmt.Println(webhook.Bearer("t0ken")) // a credential does not show
	// Output:
	// webhook: URL must be http://host/… or https://host/…
	// webhook: SigningSecrets[0] is not "whsec_" and base64 of random bytes, as openssl rand -base64 24 gives
	// webhook.Auth
}
