package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/webhook"
	"github.com/s3db-go/replicator/examples/internal/sink"
	"github.com/s3db-go/replicator/internal/testbed"
)

func TestCustom(t *testing.T) {
	for name, database := range map[string]func(testing.TB) string{
		"memory":     func(testing.TB) string { return "" },
		"PostgreSQL": testbed.Postgres,
	} {
		t.Run(name, func(t *testing.T) {
			receiver, err := sink.NewReceiver()
			if err != nil {
				t.Fatal(err)
			}
			defer receiver.Close()
			var out strings.Builder
			hook := webhook.Options{URL: receiver.URL, SigningSecrets: []string{receiver.Secret}}
			err = run(t.Context(), &out, t.TempDir(), sink.NewTables(database(t)), hook, func() error { return checkHooks(receiver) })
			if err != nil || !strings.HasSuffix(out.String(), "as they must be\n") {
				t.Errorf("%v\n%s", err, out.String())
			}
		})
	}
}

// TestFolder: the store gives back what was put into it, whatever the ids are, and in
// pieces.
func TestFolder(t *testing.T) {
	store, err := newFolder(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{"a", "b/../c", "ü ?", "z"}
	for i, id := range ids {
		if err := store.put(t.Context(), "things", id, replicator.Record{"n": i}); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.remove(t.Context(), "things", "a"); err != nil {
		t.Fatal(err)
	}
	var found []string
	for after := ""; ; after = found[len(found)-1] {
		rows, err := store.scan(t.Context(), "things", after, 2)
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) == 0 {
			break
		}
		for _, row := range rows {
			if want := slices.Index(ids, row.RecordID); row.Data.Int("n") != int64(want) || row.Data.String("id") != row.RecordID {
				t.Errorf("%s holds %v", row.RecordID, row.Data)
			}
			found = append(found, row.RecordID)
		}
	}
	slices.Sort(found)
	if want := []string{"b/../c", "z", "ü ?"}; !slices.Equal(found, want) {
		t.Errorf("found %q, want %q", found, want)
	}
	if names := store.resources(); !slices.Equal(names, []string{"things"}) {
		t.Errorf("resources are %q", names)
	}
}
