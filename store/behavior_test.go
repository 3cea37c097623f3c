package store_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/s3db-go/replicator/store"
)

func defined(t testing.TB, db *store.DB, def store.Definition) *store.Resource {
	t.Helper()
	r, err := db.CreateResource(t.Context(), def)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestBehaviorLimits holds the limits at which each behavior does something else, as
// they were measured with the original: of one value beside the version.
func TestBehaviorLimits(t *testing.T) {
	for behavior, most := range map[string]int{"user-managed": 2038, "enforce-limits": 2038, "body-overflow": 2041, "truncate-data": 2027} {
		db := open(t, "memory://x")
		r := defined(t, db, store.Definition{Name: "r", Behavior: behavior, Attributes: store.Attributes{"s": "string"}})
		for size := most - 1; size <= most+1; size++ {
			rec := store.Record{"id": "x", "s": strings.Repeat("x", size)}
			err := r.Put(t.Context(), rec)
			headers, body, _ := store.GetRaw(t.Context(), db, "resource=r/data/id=x")
			inline := err == nil && len(body) == 0 && headers["0"] == rec["s"]
			if inline != (size <= most) {
				t.Errorf("%s: %d bytes: %v, body of %d bytes, headers of %d", behavior, size, err, len(body), len(headers))
			}
		}
	}
}

// TestShortHeaders: of the two encodings of text that is not ASCII the shorter is taken,
// so that as much as possible stays out of the body.
func TestShortHeaders(t *testing.T) {
	db := open(t, "memory://x")
	r := create(t, db, "r", store.Attributes{"s": "string"})
	for text, mark := range map[string]string{strings.Repeat("x", 1900) + "é": "u:", strings.Repeat("é", 700): "b:"} {
		rec := store.Record{"id": "x", "s": text}
		if err := r.Put(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
		wantStored(t, r, "x", rec, rec)
		headers, _, err := store.GetRaw(t.Context(), db, "resource=r/data/id=x")
		if !strings.HasPrefix(headers["0"], mark) || err != nil {
			t.Errorf("%.10s… begins with %.5q (%v), want %s", text, headers["0"], err, mark)
		}
	}
}

// TestEnforceLimitsKeepsWhatIsThere: a record over the limit is refused with everything
// that a caller needs to know, and changes nothing.
func TestEnforceLimitsKeepsWhatIsThere(t *testing.T) {
	eachBackend(t, func(t *testing.T, connection string) {
		db := open(t, connection)
		r := defined(t, db, store.Definition{Name: "r", Behavior: "enforce-limits", Attributes: store.Attributes{"s": "string"}})
		rec := store.Record{"id": "x", "s": "here"}
		if err := r.Put(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
		for _, s := range []string{strings.Repeat("x", 3000), strings.Repeat("é", 1000)} {
			_, err := r.Update(t.Context(), "x", store.Record{"s": s})
			v, ok := errors.AsType[*store.ValidationError](err)
			if !ok || v.Resource != "r" || v.RecordID != "x" || !strings.Contains(err.Error(), "bytes of metadata, and the behavior enforce-limits allows 2043") {
				t.Errorf("Update gave %v", err)
			}
		}
		wantStored(t, r, "x", rec, rec)
	})
}

// TestTruncateData: the smallest values are kept, the first that does not fit becomes
// empty, and what follows is gone.
func TestTruncateData(t *testing.T) {
	db := open(t, "memory://x")
	r := defined(t, db, store.Definition{Name: "r", Behavior: "truncate-data",
		Attributes: store.Attributes{"a": "string", "b": "string", "c": "string", "n": "number|integer", "z": "json"}})
	rec := store.Record{"id": "x", "a": strings.Repeat("a", 1500), "b": strings.Repeat("b", 1000), "c": strings.Repeat("c", 1200), "n": 7, "z": nil}
	got, err := r.Insert(t.Context(), rec)
	if err != nil {
		t.Fatal(err)
	}
	wantStored(t, r, "x", got, store.Record{"id": "x", "b": rec["b"], "c": "", "n": int64(7), "z": nil})
	headers, body, err := store.GetRaw(t.Context(), db, "resource=r/data/id=x")
	if headers["_truncated"] != "true" || len(body) > 0 || err != nil {
		t.Errorf("headers %v, body %q, %v", headers, body, err)
	}
}

// TestBodyOverflow: the largest values go into the body, and come back.
func TestBodyOverflow(t *testing.T) {
	db := open(t, "memory://x")
	r := defined(t, db, store.Definition{Name: "r", Behavior: "body-overflow",
		Attributes: store.Attributes{"a": "string", "b": "string", "l": "array|items:string", "n": "number"}})
	rec := store.Record{"id": "x", "a": strings.Repeat("a", 1500), "b": strings.Repeat("b", 1600), "l": []any{""}, "n": 1.5}
	if err := r.Put(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	wantStored(t, r, "x", rec, rec)
	headers, body, err := store.GetRaw(t.Context(), db, "resource=r/data/id=x")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"_v": "v1", "_overflow": "true", "0": strings.Repeat("a", 1500), "3": "1.5"}, headers); diff != "" {
		t.Errorf("headers -want +got\n%s", diff)
	}
	if want := `{"1":"` + strings.Repeat("b", 1600) + `","2":[""]}`; string(body) != want {
		t.Errorf("body %.80q", body)
	}
}

// TestBodyOnly: the headers say no more than how to read the body.
func TestBodyOnly(t *testing.T) {
	db := open(t, "memory://x")
	r := defined(t, db, store.Definition{Name: "r", Behavior: "body-only", Attributes: store.Attributes{"b": "number", "a": "string"}})
	rec := store.Record{"id": "x", "a": "é", "b": nil}
	if err := r.Put(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	wantStored(t, r, "x", rec, rec)
	headers, body, err := store.GetRaw(t.Context(), db, "resource=r/data/id=x")
	if diff := cmp.Diff(map[string]string{"_v": "v1", "_map": `{"a":"0","b":"1"}`}, headers); diff != "" || err != nil {
		t.Errorf("%v, headers -want +got\n%s", err, diff)
	}
	if string(body) != `{"0":"é","1":null,"_v":"v1"}` {
		t.Errorf("body %s", body)
	}
}

// TestNamesOfShortKeys: an attribute that comes later may have the name of a short key that
// another one has by then. Each keeps its own value, wherever it is stored.
func TestNamesOfShortKeys(t *testing.T) {
	for _, behavior := range []string{"body-only", "body-overflow", "user-managed", "enforce-limits", "truncate-data"} {
		db := open(t, "memory://x")
		attributes := store.Attributes{}
		for i := range 12 {
			attributes[fmt.Sprint("x", i)] = "string"
		}
		defined(t, db, store.Definition{Name: "r", Behavior: behavior, Attributes: attributes})
		attributes["a"], attributes["b"], attributes["0"] = "string", "string", "string"
		r := defined(t, db, store.Definition{Name: "r", Behavior: behavior, Attributes: attributes})
		want := store.Record{"id": "x"}
		for name := range attributes {
			want[name] = "that of " + name
		}
		if err := r.Put(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		got, err := r.Get(t.Context(), "x")
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v %s", behavior, err, diff)
		}
	}
}

// TestChangedBehavior: a record is read as the behavior has it that it was written
// under, although the original looks at the present one alone.
func TestChangedBehavior(t *testing.T) {
	def := store.Definition{Name: "r", Attributes: store.Attributes{"a": "string", "b": "string"}}
	rec := store.Record{"id": "x", "a": "small", "b": strings.Repeat("b", 3000)}
	for _, behavior := range []string{"body-overflow", "body-only", "user-managed"} {
		for _, later := range []string{"user-managed", "enforce-limits", "truncate-data", "body-overflow", "body-only"} {
			db := open(t, "memory://x")
			def.Behavior = behavior
			r := defined(t, db, def)
			if err := r.Put(t.Context(), rec); err != nil {
				t.Fatal(err)
			}
			def.Behavior = later
			defined(t, db, def)
			got, err := r.Get(t.Context(), "x")
			if diff := cmp.Diff(rec, got); diff != "" || err != nil {
				t.Errorf("%s, then %s: %v, -want +got\n%.300s", behavior, later, err, diff)
			}
		}
	}
}

// TestChangedTypes: a value is read as the type has it that it was written under, and
// given in the present one, if that holds it.
func TestChangedTypes(t *testing.T) {
	for _, c := range []struct {
		was, is   any
		told, now any
	}{
		{"string", "number", "25", 25.0},
		{"string", "number", "no number", nil},
		{"number", "string", 25.5, "25.5"},
		{"number|integer", "number", 100, 100.0},
		{"number", "number|integer", 2.5, nil},
		{"money", "decimal:4", 19.99, mustDecimal("19.9900")},
		{"string", "secret", "in the clear", "in the clear"},
		{"boolean", "string", true, "true"},
		{"datetime", "string", "2024-03-15T10:20:30.456Z", "2024-03-15T10:20:30.456Z"},
		{"string", "json", "12", "12"},
		{"uuid", "string", "550e8400-e29b-41d4-a716-446655440000", "550e8400-e29b-41d4-a716-446655440000"},
		{"string", store.Attributes{"part": "string"}, "no object", nil},
		{store.Attributes{"part": "string"}, "string", map[string]any{"part": "a"}, nil},
	} {
		db := open(t, "memory://x", store.WithPassphrase("p"))
		r := create(t, db, "r", store.Attributes{"v": c.was})
		if _, err := r.Insert(t.Context(), store.Record{"id": "x", "v": c.told}); err != nil {
			t.Fatal(err)
		}
		before, err := r.Get(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		create(t, db, "r", store.Attributes{"v": c.is})
		want := store.Record{"id": "x"}
		if c.now != nil {
			want["v"] = c.now
		}
		got, err := r.Get(t.Context(), "x")
		if diff := cmp.Diff(want, got, sameDecimals); diff != "" || err != nil {
			t.Errorf("%s, then %s: %v, -want +got\n%s", c.was, c.is, err, diff)
		}
		recast, err := r.Recast(before)
		if diff := cmp.Diff(want, recast, sameDecimals); diff != "" || err != nil {
			t.Errorf("%s, recast to %s: %v, -want +got\n%s", c.was, c.is, err, diff)
		}
		again, err := r.Update(t.Context(), "x", nil)
		if diff := cmp.Diff(want, again, sameDecimals); diff != "" || err != nil {
			t.Errorf("%s, then %s, written again: %v, -want +got\n%s", c.was, c.is, err, diff)
		}
	}
}
