package webhook_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/webhook"
)

// TestSignature verifies as the specification tells receivers to.
func TestSignature(t *testing.T) {
	secrets := []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"}
	var header http.Header
	var body []byte
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		header = r.Header
		body, _ = io.ReadAll(r.Body)
	}))
	defer srv.Close()
	d := webhook.New(webhook.Options{URL: srv.URL, SigningSecrets: secrets})
	defer d.Close()
	before := time.Now().Unix()
	if err := apply(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if id := header.Get("webhook-id"); id != insert.ChangeID.String() {
		t.Errorf("webhook-id is %q, want the change's id", id)
	}
	at, err := strconv.ParseInt(header.Get("webhook-timestamp"), 10, 64)
	if err != nil || at < before || at > time.Now().Unix() {
		t.Errorf("webhook-timestamp is %q, want the time of the attempt", header.Get("webhook-timestamp"))
	}
	signatures := strings.Split(header.Get("webhook-signature"), " ")
	if len(signatures) != 2 {
		t.Fatalf("webhook-signature is %q, want one per secret", signatures)
	}
	for i, secret := range secrets {
		key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
		mac := hmac.New(sha256.New, key)
		fmt.Fprintf(mac, "%s.%s.%s", header.Get("webhook-id"), header.Get("webhook-timestamp"), body)
		if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); signatures[i] != want {
			t.Errorf("signature %d is %q, want %q", i, signatures[i], want)
		}
	}
}

func TestRequest(t *testing.T) {
	var got *http.Request
	var body []byte
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
	}))
	defer srv.Close()
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("ann:p@ss"))
	for name, test := range map[string]struct {
		opts webhook.Options
		want map[string]string
	}{
		"defaults": {
			webhook.Options{URL: srv.URL},
			map[string]string{"Content-Type": "application/json", "User-Agent": "replicator-webhook", "Webhook-Signature": "", "Authorization": ""},
		},
		"bearer wins over headers": {
			webhook.Options{URL: srv.URL, Auth: webhook.Bearer("t1"), Headers: map[string]string{"authorization": "x", "user-agent": "me", "X-A": "1"}},
			map[string]string{"Authorization": "Bearer t1", "User-Agent": "me", "X-A": "1"},
		},
		"basic":        {webhook.Options{URL: srv.URL, Auth: webhook.Basic("ann", "p@ss")}, map[string]string{"Authorization": basic}},
		"basic in url": {webhook.Options{URL: strings.Replace(srv.URL, "://", "://ann:p%40ss@", 1)}, map[string]string{"Authorization": basic}},
		"api key":      {webhook.Options{URL: srv.URL, Auth: webhook.APIKey("x-api-key", "k1")}, map[string]string{"X-Api-Key": "k1"}},
		"own signature": {
			webhook.Options{URL: srv.URL, Sign: func(r *http.Request, body []byte) error {
				r.Header.Set("X-Sum", fmt.Sprintf("%x", sha256.Sum256(body)))
				return nil
			}},
			nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := webhook.New(test.opts)
			defer d.Close()
			if err := errors.Join(d.Validate(), apply(t.Context(), d)); err != nil {
				t.Fatal(err)
			}
			for header, want := range test.want {
				if v := got.Header.Get(header); v != want {
					t.Errorf("%s is %q, want %q", header, v, want)
				}
			}
			if test.opts.Sign != nil && got.Header.Get("X-Sum") != fmt.Sprintf("%x", sha256.Sum256(body)) {
				t.Error("Sign was not given the body that was sent")
			}
			if got.Method != "POST" {
				t.Errorf("method is %s", got.Method)
			}
		})
	}

	d := webhook.New(webhook.Options{URL: srv.URL, Method: "put", Body: webhook.Bare, Headers: map[string]string{"Host": "virtual.example"}})
	defer d.Close()
	if err := apply(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if want := `{"email":"ann@example.com","id":"u1","note":"Größe"}`; string(body) != want {
		t.Errorf("bare body is %s, want %s", body, want)
	}
	if got.Method != "PUT" || got.Host != "virtual.example" {
		t.Errorf("request is %s for host %s", got.Method, got.Host)
	}
}

func TestSignErrorFailsTheAttempt(t *testing.T) {
	d := webhook.New(webhook.Options{URL: "http://127.0.0.1:1", Sign: func(*http.Request, []byte) error {
		return cdc.Unavailable(errors.New("key service is away"))
	}})
	if err := apply(t.Context(), d); cdc.FaultOf(err) != cdc.DestinationFault || !strings.Contains(err.Error(), "key service") {
		t.Errorf("error is %s: %v", cdc.FaultOf(err), err)
	}
}

func TestFaultyOptionsAreNeverSent(t *testing.T) {
	if err := apply(t.Context(), webhook.New(webhook.Options{})); cdc.FaultOf(err) != cdc.DestinationFault {
		t.Errorf("error is %s: %v", cdc.FaultOf(err), err)
	}
}

func TestAuthDoesNotShowItself(t *testing.T) {
	for _, auth := range []webhook.Auth{webhook.Bearer(token), webhook.Basic("ann", token), webhook.APIKey("X-Key", token)} {
		encoded := base64.StdEncoding.EncodeToString([]byte("ann:" + token))
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			for _, v := range []any{auth, &auth, webhook.Options{Auth: auth}} {
				if text := fmt.Sprintf(format, v); strings.Contains(text, token) || strings.Contains(text, encoded) {
					t.Errorf("%s of a %T shows the credential: %s", format, v, text)
				}
			}
		}
	}
}

func Example() {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Println(r.Header.Get("Authorization"), string(body))
		w.WriteHeader(http.StatusAccepted)
	}))
	defer srv.Close()

	d := webhook.New(webhook.Options{URL: srv.URL, Auth: webhook.Bearer("t0k3n"), Body: webhook.Bare})
	defer d.Close()
	err := d.Apply(context.Background(), []cdc.Delivery{{
		Change: cdc.Change{Op: cdc.Inserted, Resource: "users", RecordID: "u1"},
		Target: "users",
		Key:    cdc.Record{"id": "u1"},
		Record: cdc.Record{"id": "u1", "name": "Alice"},
	}})
	fmt.Println(err)
	// Output:
	// Bearer t0k3n {"id":"u1","name":"Alice"}
	// <nil>
}
