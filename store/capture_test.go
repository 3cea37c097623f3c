package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/store"
)

// keeper is a recorder that wants everything, keeps it, and can find it stale.
type keeper struct {
	mu      sync.Mutex // guards changes and ends
	changes []cdc.Change
	ends    []string
	stale   func() // called once by Begin, which then says that the record is stale
}

func (k *keeper) Wants(string, cdc.Op) bool { return true }

func (k *keeper) Begin(_ context.Context, changes ...cdc.Change) ([]cdc.Pending, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if stale := k.stale; stale != nil {
		k.stale = nil
		stale()
		return nil, cdc.ErrStale
	}
	out := make([]cdc.Pending, len(changes))
	for i := range changes {
		out[i] = k
	}
	k.changes = append(k.changes, changes...)
	return out, nil
}

func (k *keeper) Append(context.Context, ...cdc.Change) error { return nil }
func (k *keeper) Commit()                                     { k.end("commit") }
func (k *keeper) Abort()                                      { k.end("abort") }
func (k *keeper) Doubt(error)                                 { k.end("doubt") }

func (k *keeper) end(how string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ends = append(k.ends, how)
}

func capture(t *testing.T, db *store.DB) *keeper {
	t.Helper()
	k := &keeper{}
	release, err := db.Capture(k)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return k
}

func TestCancelledWhileWaiting(t *testing.T) {
	db := open(t, "memory://x")
	r := create(t, db, "r", nil)
	db.WithLock("r", "x", func() {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := r.Insert(ctx, store.Record{"id": "x"}); !errors.Is(err, context.Canceled) {
			t.Errorf("Insert gave %v", err)
		}
	})
	if _, err := r.Insert(t.Context(), store.Record{"id": "x"}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// TestResultsAreTheCallers: changing what a write was given or gave back changes
// neither what is stored nor what was announced.
func TestResultsAreTheCallers(t *testing.T) {
	db := open(t, "memory://x")
	recorder := capture(t, db)
	r := create(t, db, "r", store.Attributes{"j": "json", "b": "buffer"})
	record := func(text string) store.Record {
		return store.Record{"id": "x", "b": []byte(text), "j": map[string]any{"k": text, "l": []any{[]any{text}, map[string]any{"m": text}}}}
	}
	change := func(rec store.Record) {
		copy(rec["b"].([]byte), "w")
		j := rec["j"].(map[string]any)
		l := j["l"].([]any)
		j["k"], l[0].([]any)[0], l[1].(map[string]any)["m"] = "w", "w", "w"
		l[0] = "w"
	}
	given := record("v")
	got, err := r.Insert(t.Context(), given)
	if err != nil {
		t.Fatal(err)
	}
	change(given)
	change(got)
	read, err := r.Get(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	change(read)
	want := record("v")
	wantStored(t, r, "x", want, want)
	if !recorder.changes[0].Data.Equal(want) {
		t.Errorf("announced %v", recorder.changes[0].Data)
	}
}

// TestPlainResultsAreTheCallers is the same for a record in which only the fields
// themselves can be changed.
func TestPlainResultsAreTheCallers(t *testing.T) {
	db := open(t, "memory://x")
	recorder := capture(t, db)
	r := create(t, db, "r", store.Attributes{"a": "string", "n": "number"})
	given, want := store.Record{"id": "x", "a": "v", "n": 1.5}, store.Record{"id": "x", "a": "v", "n": 1.5}
	got, err := r.Insert(t.Context(), given)
	if err != nil {
		t.Fatal(err)
	}
	read, err := r.Get(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range []store.Record{given, got, read} {
		rec["a"] = "w"
		delete(rec, "n")
	}
	wantStored(t, r, "x", want, want)
	if !recorder.changes[0].Data.Equal(want) {
		t.Errorf("announced %v", recorder.changes[0].Data)
	}
}

// hesitant is a keeper that finds the first announcement stale, and keeps it all the same.
type hesitant struct {
	*keeper
	first []cdc.Change
}

func (h *hesitant) Begin(ctx context.Context, changes ...cdc.Change) ([]cdc.Pending, error) {
	if h.first == nil {
		h.first = changes
		return nil, cdc.ErrStale
	}
	return h.keeper.Begin(ctx, changes...)
}

// TestAnnouncedAnew: a record that is announced twice is another one the second time,
// and who was told of the first may keep it as it was.
func TestAnnouncedAnew(t *testing.T) {
	for what, write := range map[string]func(context.Context, *store.Resource, store.Record) error{
		"insert": func(ctx context.Context, r *store.Resource, rec store.Record) error {
			_, err := r.Insert(ctx, rec)
			return err
		},
		"put": func(ctx context.Context, r *store.Resource, rec store.Record) error { return r.Put(ctx, rec) },
	} {
		db := open(t, "memory://x")
		r := create(t, db, "r", store.Attributes{"a": "string"})
		recorder := &hesitant{keeper: &keeper{}}
		release, err := db.Capture(recorder)
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		want := store.Record{"id": "x", "a": "v"}
		if err := write(t.Context(), r, store.Record{"id": "x", "a": "v"}); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		recorder.changes[0].Data["a"] = "w"
		if first := recorder.first[0].Data; !first.Equal(want) {
			t.Errorf("%s: what was announced first is now %v", what, first)
		}
		wantStored(t, r, "x", want, want)
	}
}

// TestAnnouncedAsRead: what the format can't hold exactly is returned and announced
// as it will be read.
func TestAnnouncedAsRead(t *testing.T) {
	db := open(t, "memory://x")
	recorder := capture(t, db)
	r := create(t, db, "r", store.Attributes{"e": "embedding", "j": "json", "t": "datetime", "d": "dateonly"})
	at := time.Date(2026, 1, 2, 3, 4, 5, 678_912_345, time.UTC)
	price, err := cdc.ParseDecimal("1.50")
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.Insert(t.Context(), store.Record{"id": "x", "t": at, "d": at.Truncate(24 * time.Hour), "e": []float64{0.12345678, -0.0000004},
		"j": []any{at, []byte("hi"), price, json.Number("2")}})
	if err != nil {
		t.Fatal(err)
	}
	want := store.Record{"id": "x", "t": at.Truncate(time.Millisecond), "d": "2026-01-02", "e": []any{0.123457, 0.0},
		"j": []any{"2026-01-02T03:04:05.678912Z", "aGk=", 1.5, int64(2)}}
	wantStored(t, r, "x", got, want)
	if data := recorder.changes[0].Data; !data.Equal(want) {
		t.Errorf("announced %v", data)
	}
}

// TestStaleIsReadAgain: when an earlier write turns out to have been applied late,
// the record is read again before the new write is announced.
func TestStaleIsReadAgain(t *testing.T) {
	db := open(t, "memory://x")
	r := create(t, db, "r", store.Attributes{"a": "string", "b": "string"})
	recorder := capture(t, db)
	if _, err := r.Insert(t.Context(), store.Record{"id": "x", "a": "1"}); err != nil {
		t.Fatal(err)
	}
	recorder.stale = func() {
		putRaw(t, db, "resource=r/data/id=x", map[string]string{"_v": "v1", "0": "late"}, "")
	}
	got, err := r.Update(t.Context(), "x", store.Record{"b": "2"})
	if err != nil {
		t.Fatal(err)
	}
	want := store.Record{"id": "x", "a": "late", "b": "2"}
	wantStored(t, r, "x", got, want)
	if c := recorder.changes[1]; c.Before.String("a") != "late" || !c.Data.Equal(want) {
		t.Errorf("announced %v after %v", c.Data, c.Before)
	}
}

// TestStaleUpsertHasNoDefaults: what an Upsert would have inserted does not get into
// the record that was there after all.
func TestStaleUpsertHasNoDefaults(t *testing.T) {
	db := open(t, "memory://x")
	r := create(t, db, "r", store.Attributes{"a": "string|default:new", "b": "string"})
	recorder := capture(t, db)
	recorder.stale = func() {
		putRaw(t, db, "resource=r/data/id=x", map[string]string{"_v": "v1", "0": "late"}, "")
	}
	got, err := r.Upsert(t.Context(), store.Record{"id": "x", "b": "2"})
	if err != nil {
		t.Fatal(err)
	}
	wantStored(t, r, "x", got, store.Record{"id": "x", "a": "late", "b": "2"})
}
