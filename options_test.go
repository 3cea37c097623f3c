package replicator_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/memory"
	"github.com/s3db-go/replicator/drivers/s3db"
	"github.com/s3db-go/replicator/drivers/webhook"
	"github.com/s3db-go/replicator/store"
)

// TestOptionsFaults: New tells every fault at once, each with its destination and
// field.
func TestOptionsFaults(t *testing.T) {
	shared := memory.New(memory.Options{})
	keep := func(c replicator.Change) (replicator.Record, error) { return c.Data, nil }
	for name, tt := range map[string]struct {
		o    replicator.Options
		want []string // each on a line of its own
	}{
		"nothing": {replicator.Options{}, []string{"Dir is empty", "Destinations is empty"}},
		"journal": {
			replicator.Options{Dir: "d", MaxJournalBytes: 1000, MinFreeBytes: -1, OnFull: 7, Retain: replicator.Retain{Bytes: -1}, Destinations: to(shared, "r")},
			[]string{"MaxJournalBytes is 1000", "MinFreeBytes is -1", "OnFull is 7", "Retain is {-1 0s}"},
		},
		"volatile": {
			replicator.Options{Volatile: true, Sync: replicator.SyncNever, Destinations: to(shared, "r")},
			[]string{"Volatile keeps nothing on disk"},
		},
		"numbers": {
			replicator.Options{Dir: "d", MaxRetries: -2, Timeout: -time.Second, GiveUpAfter: -1, Concurrency: 1, Destinations: []replicator.Destination{
				{Name: "a", Driver: memory.New(memory.Options{}), Routes: replicator.Routes("r"), OnFailure: 2, Rate: -1},
				{Name: "b", Driver: memory.New(memory.Options{}), Routes: replicator.Routes("r")},
			}},
			[]string{"MaxRetries is -2", "Timeout is -1s", "GiveUpAfter is -1ns", "Concurrency is 1; each of the 2",
				`destination "a": OnFailure is 2`, `destination "a": Rate is -1`},
		},
		"destinations": {
			replicator.Options{Dir: "d", Destinations: []replicator.Destination{
				{},
				{Name: "a", Driver: shared},
				{Name: "a", Driver: shared, Routes: replicator.Routes("r")},
				{Name: "b", Driver: (*memory.Driver)(nil), Routes: replicator.Routes("r")},
			}},
			[]string{
				"Destinations[0]: Driver is nil", "Destinations[0]: Routes is empty",
				`destination "a": Routes is empty`,
				`destination "a": Name is used twice, by Destinations[1] and Destinations[2]`, `destination "a": Driver is shared with "a"`,
				`destination "b": Driver is nil`,
			},
		},
		"names": {
			replicator.Options{Dir: "d", Destinations: []replicator.Destination{{Name: strings.Repeat("A", 65), Driver: shared, Routes: replicator.Routes("r")}}},
			[]string{"Name must be text of at most 64 bytes"},
		},
		"routes": {
			replicator.Options{Dir: "d", Destinations: []replicator.Destination{{Name: "a", Driver: shared, Routes: []replicator.Route{
				{},
				{From: "r", Actions: 64},
				{From: "s", Key: []string{"", "x", "x"}},
				{From: "t", Schema: &replicator.Schema{}},
				{From: "u", Transform: keep}, {From: "u", To: "u"},
			}}}},
			[]string{
				`destination "a": Routes[0].From is empty`, `Routes[1].Actions has an unknown operation`, "Routes[2].Key[0] is empty",
				`Routes[2].Key names "x" twice`, "Routes[3].Schema is the shape", `Routes[4] and Routes[5] both carry "u" to "u"`,
			},
		},
		"retired": {
			replicator.Options{Dir: "d", Destinations: to(shared, "r"), Retired: []string{"memory"}},
			[]string{`destination "memory": is configured and in Retired`},
		},
		"drivers": {
			replicator.Options{Dir: "d", Destinations: []replicator.Destination{
				{Name: "backup", Driver: s3db.New(s3db.Options{}), Routes: replicator.Routes("r")},
				{Name: "crm", Driver: webhook.New(webhook.Options{SigningSecrets: []string{"a", "b"}}), Routes: replicator.Routes("r")},
				{Name: "far", Driver: s3db.New(s3db.Options{ConnectionString: "data/backup"}), Routes: replicator.Routes("r")},
				{Name: "meta", Driver: webhook.New(webhook.Options{URL: "http://169.254.169.254/"}), Routes: replicator.Routes("r")},
			}},
			[]string{
				`destination "backup": Driver: s3db: ConnectionString is empty`,
				`destination "crm": Driver: webhook: URL is empty`,
				`destination "crm": Driver: webhook: SigningSecrets[0]`, `destination "crm": Driver: webhook: SigningSecrets[1]`,
				`destination "far": Driver: s3db: ConnectionString: it has no scheme; want `,
				`destination "meta": Driver: webhook: URL: link-local`,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := replicator.New(newShelf(), tt.o)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("nothing says %q", want)
				}
			}
			if lines := strings.Split(err.Error(), "\n"); len(lines) < len(tt.want) {
				t.Errorf("%d lines for %d faults", len(lines), len(tt.want))
			}
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if !strings.HasPrefix(line, "replicator: ") {
					t.Errorf("the line %q does not say whose fault it is", line)
				}
			}
			if t.Failed() {
				t.Log(err)
			}
		})
	}
}

func TestSourceFaults(t *testing.T) {
	o := replicator.Options{Dir: "d", Destinations: to(memory.New(memory.Options{}), "r")}
	if _, err := replicator.New(nil, o); err == nil || !strings.Contains(err.Error(), "source is nil") {
		t.Errorf("no source: %v", err)
	}
	_, err := replicator.New(replicator.NewSource(replicator.SourceOptions{SecondLook: -1}), o)
	if err == nil || !strings.Contains(err.Error(), "Get is nil") || !strings.Contains(err.Error(), "SecondLook") {
		t.Errorf("no Get: %v", err)
	}
}

// TestFaultsAtStart: what is certainly wrong is told by Start, what may pass is not.
func TestFaultsAtStart(t *testing.T) {
	ctx := t.Context()
	db, err := store.Open(ctx, "memory://", store.WithPassphrase("p"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.CreateResource(ctx, store.Definition{Name: "users", Attributes: store.Attributes{"token": "secret"}}); err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	r, err := replicator.New(db, replicator.Options{
		Dir: t.TempDir(), Logger: slog.New(slog.NewTextHandler(&lines, nil)),
		Destinations: []replicator.Destination{
			{Name: "backup", Driver: s3db.New(s3db.Options{ConnectionString: "memory://"}), Routes: replicator.Routes("user", "users")},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(ctx); err == nil || !strings.Contains(err.Error(), "backup: users") || !strings.Contains(err.Error(), "set Options.Passphrase") {
		t.Errorf("a secret without a passphrase: %v", err)
	}
	if !strings.Contains(lines.String(), "resource=user\n") {
		t.Errorf("nothing says that there is no resource user: %s", &lines)
	}

	// A destination that nobody listens at may be there tomorrow.
	r = start(t, db, replicator.Options{Destinations: to(webhook.New(webhook.Options{URL: "http://127.0.0.1:1/"}), "users")})
	if _, err := db.Resource("users").Insert(ctx, store.Record{"token": "x"}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, r, func() bool { return r.Stats().Destinations["webhook"].BreakerOpen })
	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	err = r.Flush(short)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "webhook: 1 change waits in the journal (webhook: ") {
		t.Errorf("Flush: %v, want it to say what waits and why", err)
	}
	if err := r.Stop(short); err == nil || !strings.HasPrefix(err.Error(), "replicator: stop: webhook: 1 change waits in the journal (webhook: ") {
		t.Errorf("Stop: %v, want it to say what waits and why", err)
	}
}

// TestOrphanedCursor: a destination that is taken out of the options is not forgotten
// in silence.
func TestOrphanedCursor(t *testing.T) {
	s, dir := newShelf(), t.TempDir()
	old := memory.New(memory.Options{Before: func(context.Context, []replicator.Delivery) error {
		return replicator.Unavailable(context.DeadlineExceeded)
	}})
	r := start(t, s, replicator.Options{Dir: dir, Destinations: []replicator.Destination{{Name: "old", Driver: old, Routes: replicator.Routes("r")}}})
	for _, id := range []string{"1", "2", "3"} {
		if err := s.put(t.Context(), "r", id, replicator.Record{"v": 1}); err != nil {
			t.Fatal(err)
		}
	}
	halt(t, r)

	o := replicator.Options{Dir: dir, Destinations: to(memory.New(memory.Options{}), "r")}
	r, err := replicator.New(s, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context()); err == nil || !strings.Contains(err.Error(), `"old", for which 3 changes wait`) {
		t.Errorf("Start: %v", err)
	}
	o.Retired = []string{"old"}
	start(t, s, o)
}
