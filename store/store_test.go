package store_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/store"
)

func users(t *testing.T, db *store.DB) *store.Resource {
	t.Helper()
	return create(t, db, "users", store.Attributes{
		"name":    "string|required|min:2|max:20",
		"email":   "email|required",
		"age":     "number|integer|min:18",
		"score":   "number",
		"role":    "string|default:guest",
		"active":  "boolean|default:true",
		"joined":  "datetime",
		"address": store.Attributes{"city": "string|required", "zip": "string", "geo": map[string]any{"lat": "number"}},
		"tags":    "array|items:string|max:3",
		"extra":   "json",
	})
}

func TestWrites(t *testing.T) {
	eachBackend(t, func(t *testing.T, connection string) {
		ctx := t.Context()
		r := users(t, open(t, connection))
		joined := time.Date(2026, 2, 3, 4, 5, 6, 789_123_456, time.FixedZone("", 3600))

		got, err := r.Insert(ctx, store.Record{"name": "Alice", "email": "a@x.io", "age": 30, "score": 7, "joined": joined,
			"address": map[string]string{"city": "Rome", "zip": "1"}, "tags": []string{"a", "b"}})
		if err != nil {
			t.Fatal(err)
		}
		id := got.String("id")
		if !regexp.MustCompile(`^[A-Za-z0-9_-]{22}$`).MatchString(id) {
			t.Errorf("made the id %q", id)
		}
		want := store.Record{"id": id, "name": "Alice", "email": "a@x.io", "age": int64(30), "score": 7.0, "role": "guest", "active": true,
			"joined": joined.UTC().Truncate(time.Millisecond), "address": map[string]any{"city": "Rome", "zip": "1"}, "tags": []any{"a", "b"}}
		wantStored(t, r, id, got, want)

		got, err = r.Update(ctx, id, store.Record{"age": 31, "address": map[string]any{"zip": "2", "geo": map[string]any{}}, "extra": map[string]any{"k": 1}})
		if err != nil {
			t.Fatal(err)
		}
		want["age"], want["extra"] = int64(31), map[string]any{"k": int64(1)}
		want["address"] = map[string]any{"city": "Rome", "zip": "2", "geo": map[string]any{}}
		wantStored(t, r, id, got, want)

		got, err = r.Update(ctx, id, store.Record{"extra": map[string]any{"other": nil}, "score": nil})
		if err != nil {
			t.Fatal(err)
		}
		want["extra"], want["score"] = map[string]any{"other": nil}, nil
		wantStored(t, r, id, got, want)

		got, err = r.Replace(ctx, id, store.Record{"name": "Al", "email": "b@x.io", "active": false})
		if err != nil {
			t.Fatal(err)
		}
		want = store.Record{"id": id, "name": "Al", "email": "b@x.io", "role": "guest", "active": false}
		wantStored(t, r, id, got, want)

		got, err = r.Upsert(ctx, store.Record{"id": id, "role": "admin"})
		if err != nil {
			t.Fatal(err)
		}
		want["role"] = "admin"
		wantStored(t, r, id, got, want)

		if _, err = r.Upsert(ctx, store.Record{"id": "new", "role": "admin"}); err == nil {
			t.Error("Upsert of a new record without what is required succeeded")
		}
		got, err = r.Upsert(ctx, store.Record{"id": "new", "name": "Bob", "email": "b@x.io"})
		if err != nil {
			t.Fatal(err)
		}
		wantStored(t, r, "new", got, store.Record{"id": "new", "name": "Bob", "email": "b@x.io", "role": "guest", "active": true})

		// Put writes exactly what it is given, fit or not, as long as the types are right.
		put := store.Record{"id": "copy", "age": int64(3), "email": "none", "tags": []any{"1", "2", "3", "4"}}
		if err := r.Put(ctx, put); err != nil {
			t.Fatal(err)
		}
		wantStored(t, r, "copy", put, put)

		if err := r.Delete(ctx, "copy"); err != nil {
			t.Fatal(err)
		}
		for what, err := range map[string]error{
			"Get":     second(r.Get(ctx, "copy")),
			"Update":  second(r.Update(ctx, "copy", store.Record{"age": 40})),
			"Replace": second(r.Replace(ctx, "copy", store.Record{"name": "Al", "email": "b@x.io"})),
			"Delete":  r.Delete(ctx, "copy"),
		} {
			if !errors.Is(err, store.ErrNotFound) || err.Error() != "store: users copy: no such record" {
				t.Errorf("%s of what is not there: %v", what, err)
			}
		}
		_, err = r.Insert(ctx, store.Record{"id": "new", "name": "Bob", "email": "b@x.io"})
		if !errors.Is(err, store.ErrExists) {
			t.Errorf("Insert over a record: %v", err)
		}
	})
}

func second[T any](_ T, err error) error { return err }

// wantStored checks what a write returned, and that Get gives the same.
func wantStored(t *testing.T, r *store.Resource, id string, returned, want store.Record) {
	t.Helper()
	if diff := cmp.Diff(want, returned); diff != "" {
		t.Fatalf("returned: -want +got\n%s", diff)
	}
	got, err := r.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("stored: -want +got\n%s", diff)
	}
}

func TestManyEachForItself(t *testing.T) {
	eachBackend(t, func(t *testing.T, connection string) {
		ctx := t.Context()
		r := create(t, open(t, connection), "r", store.Attributes{"n": "number|integer"})
		if _, err := r.Insert(ctx, store.Record{"id": "b"}); err != nil {
			t.Fatal(err)
		}
		got, err := r.InsertMany(ctx, []store.Record{{"id": "a", "n": 1}, {"id": "b", "n": 2}, {"n": 3}})
		if !errors.Is(err, store.ErrExists) || len(got) != 3 || got[0] == nil || got[1] != nil || got[2].Int("n") != 3 {
			t.Errorf("InsertMany gave %v, %v", got, err)
		}
		if n, err := r.Count(ctx); n != 3 || err != nil {
			t.Errorf("Count is %d, %v", n, err)
		}
		if err := r.DeleteMany(ctx, "a", "none", "b", "a"); !errors.Is(err, store.ErrNotFound) || strings.Contains(err.Error(), "\n") {
			t.Errorf("DeleteMany gave %v", err)
		}
		if n, err := r.Count(ctx); n != 1 || err != nil {
			t.Errorf("Count is %d, %v", n, err)
		}
		// What is not valid keeps all from being written, and is told as a whole.
		_, err = r.InsertMany(ctx, []store.Record{{"id": "c"}, {"id": "d", "n": "x"}, {"id": "e/"}, {"id": "c"}})
		if err == nil || strings.Count(err.Error(), "store: r") != 3 {
			t.Errorf("InsertMany gave %v", err)
		}
		if n, _ := r.Count(ctx); n != 1 {
			t.Errorf("InsertMany of what is not valid wrote: Count is %d", n)
		}
	})
}

func TestAllFaultsAtOnce(t *testing.T) {
	db := open(t, "memory://x")
	recorder := capture(t, db)
	r := users(t, db)
	_, err := r.Insert(t.Context(), store.Record{
		"id": "u/1", "name": "A", "email": "nobody", "age": 17.5, "score": int64(1<<53 + 1), "joined": "today",
		"address": map[string]any{"zip": 5, "street": "x"}, "tags": []any{"1", 2}, "extra": func() {}, "phone": "1",
	})
	v, ok := errors.AsType[*store.ValidationError](err)
	if !ok {
		t.Fatalf("Insert gave %v", err)
	}
	wantFaults(t, v, "address.city", "address.street", "address.zip", "age", "email", "extra", "id", "joined", "name", "phone", "score", "tags")

	_, err = r.Insert(t.Context(), store.Record{
		"id": "u1", "name": "A", "email": "nobody", "age": 17.5, "address": map[string]any{"zip": 5, "street": "x"},
	})
	v, ok = errors.AsType[*store.ValidationError](err)
	if !ok || v.Resource != "users" || v.RecordID != "u1" {
		t.Fatalf("Insert gave %v", err)
	}
	wantFaults(t, v, "address.city", "address.street", "address.zip", "age", "email", "name")
	if !strings.HasPrefix(v.Error(), "store: users u1: address.city: is required; address.street: is not declared; ") {
		t.Errorf("reads %q", v)
	}
	_, err = r.Insert(t.Context(), store.Record{"id": "u1", "age": 3, "tags": []any{"1", "2", "3", "4"}})
	v, _ = errors.AsType[*store.ValidationError](err)
	wantFaults(t, v, "age", "email", "name", "tags")
	if len(recorder.changes) != 0 {
		t.Errorf("announced %v", recorder.changes)
	}
}

func wantFaults(t *testing.T, v *store.ValidationError, want ...string) {
	t.Helper()
	var got []string
	for _, f := range v.Faults {
		got = append(got, f.Attribute)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("faults of %v: -want +got\n%s", v, diff)
	}
}

func TestTooLarge(t *testing.T) {
	db := open(t, "memory://x")
	recorder := capture(t, db)
	r := create(t, db, "r", store.Attributes{"s": "string"})
	_, err := r.Insert(t.Context(), store.Record{"id": "x", "s": strings.Repeat("x", 32<<20)})
	if v, ok := errors.AsType[*store.ValidationError](err); !ok || !strings.HasPrefix(v.Error(), "store: r x: takes 33554") {
		t.Errorf("Insert gave %.200v", err)
	}
	if _, err := r.Get(t.Context(), "x"); !errors.Is(err, store.ErrNotFound) || len(recorder.changes) > 0 {
		t.Errorf("it was written or announced")
	}
}

func TestIDs(t *testing.T) {
	eachBackend(t, func(t *testing.T, connection string) {
		r := create(t, open(t, connection), "r", nil)
		if _, err := r.Insert(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{"", ".", "..", "a/b", `a\b`, "a=b", "a%b", "a\x00", "a\n", "x.meta.json", strings.Repeat("x", 201), strings.Repeat("x", 300), "\xff"} {
			_, err := r.Insert(t.Context(), store.Record{"id": id})
			if _, ok := errors.AsType[*store.ValidationError](err); !ok {
				t.Errorf("Insert under %q gave %v", id, err)
			}
			if _, err := r.Get(t.Context(), id); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("Get of %q gave %v", id, err)
			}
			if err := r.Delete(t.Context(), id); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("Delete of %q gave %v", id, err)
			}
		}
		for _, id := range []string{"a b", "é", "+&@", "a.b", "~", strings.Repeat("x", 200), "日本", "-"} {
			if _, err := r.Insert(t.Context(), store.Record{"id": id}); err != nil {
				t.Errorf("Insert under %q: %v", id, err)
			}
			if _, err := r.Get(t.Context(), id); err != nil {
				t.Errorf("Get of %q: %v", id, err)
			}
		}
	})
}

func TestTimestamps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := open(t, "memory://x")
		r, err := db.CreateResource(t.Context(), store.Definition{Name: "r", Attributes: store.Attributes{"s": "string"}, Timestamps: true})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now().UTC()
		times := func(rec store.Record, err error) [2]time.Duration {
			if err != nil {
				t.Fatal(err)
			}
			return [2]time.Duration{rec.Time("createdAt").Sub(start), rec.Time("updatedAt").Sub(start)}
		}
		want := func(got, want [2]time.Duration) {
			t.Helper()
			if got != want {
				t.Errorf("created and updated after %v, want %v", got, want)
			}
		}
		want(times(r.Insert(t.Context(), store.Record{"id": "x", "createdAt": "2001-01-01T00:00:00Z"})), [2]time.Duration{0, 0})
		time.Sleep(time.Hour)
		want(times(r.Update(t.Context(), "x", store.Record{"s": "1"})), [2]time.Duration{0, time.Hour})
		time.Sleep(time.Hour)
		want(times(r.Replace(t.Context(), "x", store.Record{"s": "2"})), [2]time.Duration{0, 2 * time.Hour})
		want(times(r.Upsert(t.Context(), store.Record{"id": "y"})), [2]time.Duration{2 * time.Hour, 2 * time.Hour})

		exact := store.Record{"id": "x", "s": "3", "createdAt": start.Add(time.Minute).Truncate(time.Millisecond)}
		if err := r.Put(t.Context(), exact); err != nil {
			t.Fatal(err)
		}
		wantStored(t, r, "x", exact, exact)
		def, err := r.Definition()
		if diff := cmp.Diff(store.Definition{Name: "r", Attributes: store.Attributes{"s": "string"}, Timestamps: true}, def); diff != "" || err != nil {
			t.Errorf("definition (%v): -want +got\n%s", err, diff)
		}
	})
}

func TestNoResource(t *testing.T) {
	db := open(t, "memory://x")
	r := db.Resource("later")
	if _, err := r.Get(t.Context(), "x"); !errors.Is(err, store.ErrNoResource) || err.Error() != "store: later: no such resource" {
		t.Errorf("Get gave %v", err)
	}
	if _, err := r.Insert(t.Context(), store.Record{}); !errors.Is(err, store.ErrNoResource) {
		t.Errorf("Insert gave %v", err)
	}
	for _, err := range r.List(t.Context()) {
		if !errors.Is(err, store.ErrNoResource) {
			t.Errorf("List gave %v", err)
		}
	}
	if _, ok, err := db.Read(t.Context(), "later", "x"); ok || err != nil {
		t.Errorf("Read gave %v, %v", ok, err)
	}
	if _, ok, err := db.Describe(t.Context(), "later"); ok || err != nil {
		t.Errorf("Describe gave %v, %v", ok, err)
	}
	create(t, db, "later", nil)
	if _, err := r.Insert(t.Context(), store.Record{"id": "x"}); err != nil {
		t.Errorf("the same handle, later: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if _, err := r.Get(t.Context(), "x"); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Get after Close gave %v", err)
	}
}

func TestDescribe(t *testing.T) {
	db := open(t, "memory://x", store.WithPassphrase("p"))
	create(t, db, "r", store.Attributes{"a": "number|required", "b": store.Attributes{"c": "array|items:number|integer"}, "d": "secret", "e": "dateonly"})
	got, ok, err := db.Describe(t.Context(), "r")
	want := cdc.Schema{Resource: "r", Version: 1, Key: []string{"id"}, Fields: []cdc.Field{
		{Name: "a", Type: cdc.TypeFloat, Required: true, Native: "number|required"},
		{Name: "b", Type: cdc.TypeObject, Fields: []cdc.Field{
			{Name: "c", Type: cdc.TypeArray, Fields: []cdc.Field{{Type: cdc.TypeInt}}, Native: "array|items:number|integer"},
		}},
		{Name: "d", Type: cdc.TypeString, Secret: true, Native: "secret"},
		{Name: "e", Type: cdc.TypeDate, Native: "dateonly"},
	}}
	if diff := cmp.Diff(want, got); diff != "" || !ok || err != nil {
		t.Errorf("%v %v -want +got\n%s", ok, err, diff)
	}
}
