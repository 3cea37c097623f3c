package store_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/s3db-go/replicator/store"
)

func TestSecrets(t *testing.T) {
	dir := "file://" + t.TempDir() + "?sync=off"
	attributes := store.Attributes{"s": "secret|min:3", "in": store.Attributes{"t": "secret"}}
	r := create(t, open(t, dir, store.WithPassphrase("right")), "r", attributes)
	const canary = "hunter2-canary"
	rec := store.Record{"id": "x", "s": canary, "in": map[string]any{"t": canary}}
	if _, err := r.Insert(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	wantStored(t, r, "x", rec, rec)
	files := 0
	err := filepath.WalkDir(strings.TrimSuffix(strings.TrimPrefix(dir, "file://"), "?sync=off"), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files++
			if data, _ := os.ReadFile(path); strings.Contains(string(data), canary) {
				t.Errorf("%s holds the secret", path)
			}
		}
		return err
	})
	if err != nil || files < 4 {
		t.Errorf("looked at %d files (%v)", files, err)
	}

	again := open(t, dir+"&passphrase=right")
	wantStored(t, again.Resource("r"), "x", rec, rec)

	_, err = open(t, dir, store.WithPassphrase("wrong")).Resource("r").Get(t.Context(), "x")
	if err == nil || !regexp.MustCompile(`^store: r x: (s|in\.t): can't be decrypted with this passphrase$`).MatchString(err.Error()) {
		t.Errorf("under a wrong passphrase: %v", err)
	}
	none := open(t, dir)
	if _, err = none.Resource("r").Get(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), "needs a passphrase") {
		t.Errorf("without a passphrase: %v", err)
	}
	if _, err := none.CreateResource(t.Context(), store.Definition{Name: "other", Attributes: attributes}); err == nil {
		t.Error("a secret was declared without a passphrase")
	}
	for _, bad := range []any{json.Number(canary), []string{canary}, map[string]any{canary: func() {}}, canary + "\xff", "null"} {
		_, err := r.Update(t.Context(), "x", store.Record{"s": bad, "in": map[string]any{"t": bad}})
		if err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("Update gave %v", err)
		}
	}
}

// TestReadsWhatTheOriginalEncrypted holds a value that the original made.
func TestReadsWhatTheOriginalEncrypted(t *testing.T) {
	db := open(t, "memory://x", store.WithPassphrase("golden-pass"))
	create(t, db, "r", store.Attributes{"s": "secret"})
	putRaw(t, db, "resource=r/data/id=x", map[string]string{"0": "w9yntyqLjev3K+ssKhwucQCk/eOnQb6azsJFYifpNHgrPXf45FiRg1RfEUqkmMkZ"}, "")
	got, err := db.Resource("r").Get(t.Context(), "x")
	if err != nil || got["s"] != "hush" {
		t.Errorf("read %v, %v", got, err)
	}
}
