package replicator_test

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/memory"
	"github.com/s3db-go/replicator/drivers/s3db"
	"github.com/s3db-go/replicator/drivers/webhook"
	"github.com/s3db-go/replicator/store"
)

// The canaries: a secret attribute's value, and the credentials of the options.
const (
	secretCanary     = "canary-of-a-secret-attribute"
	credentialCanary = "canary-of-a-credential"
)

// TestPromise10SecretsStaySecret sends secrets and credentials everywhere and looks
// for them in whatever comes out. The journal's encryption is in TestEncryption.
func TestPromise10SecretsStaySecret(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	db, err := store.Open(ctx, "file://"+filepath.ToSlash(dir)+"/source", store.WithPassphrase(credentialCanary))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	users, err := db.CreateResource(ctx, store.Definition{
		Name: "users", Attributes: store.Attributes{"name": "string", "password": "secret", "vault": store.Attributes{"pin": "secret", "hint": "string"}},
	})
	if err != nil {
		t.Fatal(err)
	}

	var out strings.Builder // what came out, wherever it did
	var mu sync.Mutex
	saw := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(&out, format+"\n", args...)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		saw("webhook got %s", body)
		if strings.Contains(string(body), "refused") {
			// A careless server: it repeats what it was sent, token and all.
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, "bad request %s with %s", body, q.Header.Get("Authorization"))
		}
	}))
	defer server.Close()

	plain := memory.New(memory.Options{Events: true})
	named := memory.New(memory.Options{Events: true})
	shaped := memory.New(memory.Options{Events: true})
	hook := webhook.New(webhook.Options{
		URL: server.URL + "/?key=" + credentialCanary, Auth: webhook.Bearer(credentialCanary),
		Headers: map[string]string{"X-Api-Key": credentialCanary},
	})
	backup := s3db.New(s3db.Options{ConnectionString: "file://" + filepath.ToSlash(dir) + "/backup", Passphrase: credentialCanary})
	broken := func(c replicator.Change) bool { panic(c.Data.String("password")) }
	o := replicator.Options{
		Dir: filepath.Join(dir, "replicator"),
		Log: replicator.LogOptions{Successes: true},
		Destinations: []replicator.Destination{
			{Name: "plain", Driver: plain, Routes: replicator.Routes("users")},
			{Name: "shaped", Driver: shaped, Routes: []replicator.Route{{From: "users", Transform: func(c replicator.Change) (replicator.Record, error) {
				return c.Data, nil // with all that it may have
			}}}},
			{Name: "named", Driver: named, Routes: []replicator.Route{{From: "users", Secrets: []string{"password"}}}},
			{Name: "broken", Driver: memory.New(memory.Options{}), Routes: replicator.Routes("users"), ShouldReplicate: broken},
			{Name: "hook", Driver: hook, Routes: replicator.Routes("users")},
			{Name: "backup", Driver: backup, Routes: replicator.Routes("users")},
		},
	}
	r := start(t, db, o)
	events, cancel := r.Subscribe(replicator.AllKinds)
	defer cancel()

	for _, name := range []string{"Ann", "refused"} {
		u, err := users.Insert(ctx, store.Record{"name": name, "password": secretCanary, "vault": map[string]any{"pin": secretCanary, "hint": "none"}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := users.Update(ctx, u.String("id"), store.Record{"name": name + "!"}); err != nil {
			t.Fatal(err)
		}
		if name == "Ann" {
			continue
		}
		if err := users.Delete(ctx, u.String("id")); err != nil {
			t.Fatal(err)
		}
	}
	flush(t, r)

	for _, d := range []*memory.Driver{plain, shaped} {
		for _, e := range d.Events("users") {
			saw("delivery %+v", e)
		}
	}
	rows := 0
	for row, err := range r.Log(ctx, replicator.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(row)
		if err != nil {
			t.Fatal(err)
		}
		saw("log %+v %s", row, text)
		rows++
	}
	ends := 0
	for _, d := range r.Stats().Destinations {
		ends += int(d.Wanted)
	}
	for _, e := range heard(t, events, ends) {
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		saw("event %+v %s %v", e, text, e.Err)
	}
	saw("stats %+v health %+v options %+v drivers %v %v", r.Stats(), r.Health(), o, hook, backup)
	_, err = replicator.New(db, replicator.Options{Destinations: []replicator.Destination{
		{Driver: s3db.New(s3db.Options{ConnectionString: "nonsense://key:" + credentialCanary + "@"})},
		{Driver: webhook.New(webhook.Options{URL: "nonsense://key:" + credentialCanary + "@", SigningSecrets: []string{credentialCanary}})},
	}})
	saw("faults of options %v", err)
	_, err = users.Insert(ctx, store.Record{"name": 7, "password": []any{secretCanary}})
	saw("fault of a record %v", err)

	for line := range strings.SplitSeq(out.String(), "\n") {
		for _, canary := range []string{secretCanary, credentialCanary} {
			if i := strings.Index(line, canary); i >= 0 {
				t.Errorf("%s: …%s", canary, line[max(0, i-200):min(len(line), i+60)])
			}
		}
	}
	if st := r.Stats().Destinations; st["hook"].Failed == 0 || st["broken"].Failed == 0 || rows < 10 || strings.Count(out.String(), "Ann") < 10 {
		t.Errorf("too little came out to look at: %d rows, %+v", rows, st)
	}

	// Where a route names it, and encrypted in a bucket, it arrives.
	arrived := false
	for _, e := range named.Events("users") {
		arrived = arrived || e.Record.String("password") == secretCanary
		if strings.Contains(fmt.Sprint(e.Record["vault"]), secretCanary) {
			t.Error("a secret that the route does not name arrived with one that it does")
		}
	}
	if !arrived {
		t.Error("the secret that the route names did not arrive")
	}
	copied, err := store.Open(ctx, "file://"+filepath.ToSlash(dir)+"/backup", store.WithPassphrase(credentialCanary))
	if err != nil {
		t.Fatal(err)
	}
	defer copied.Close()
	for u, err := range copied.Resource("users").List(ctx) {
		if err != nil || u.String("password") != secretCanary {
			t.Errorf("the backup holds %v, %v", u, err)
		}
	}
	for _, bucket := range []string{"source", "backup"} {
		err := filepath.WalkDir(filepath.Join(dir, bucket), func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			data, err := os.ReadFile(path)
			if strings.Contains(string(data), secretCanary) || strings.Contains(string(data), credentialCanary) {
				t.Errorf("%s holds a secret in the clear", path)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}
