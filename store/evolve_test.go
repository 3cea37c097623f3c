package store_test

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/store"
)

// TestRecordsSurviveDefinitions: what a record holds in an attribute stays there through every
// change of the definition that keeps this attribute, whatever comes and goes beside it. Names
// are such that look like the short keys in objects.
func TestRecordsSurviveDefinitions(t *testing.T) {
	names := rapid.SampledFrom([]string{"a", "b", "0", "1", "2", "3", "9", "10", "name"})
	values := map[string]*rapid.Generator[any]{
		"string": text().AsAny(), "number": number().AsAny(), "number|integer": rapid.Int64().AsAny(), "boolean": rapid.Bool().AsAny(),
		"secret": rapid.StringMatching("[a-z]{1,9}").AsAny(), "array|items:string": rapid.Just[any]([]any{"x", "y|z"}),
	}
	// Nothing is refused or cut by these.
	behaviors := rapid.SampledFrom([]string{"user-managed", "body-overflow", "body-only"})
	ids := rapid.SampledFrom([]string{"one", "two"})
	rapid.Check(t, func(t *rapid.T) {
		db, err := store.Open(t.Context(), "memory://x", store.WithPassphrase("a passphrase"))
		if err != nil {
			t.Fatal(err)
		}
		attributes, want := store.Attributes{}, map[string]store.Record{}
		redefine := func(t *rapid.T) *store.Resource {
			for _, name := range rapid.SliceOfNDistinct(names, 1, 5, rapid.ID).Draw(t, "names") {
				if _, there := attributes[name]; there {
					delete(attributes, name)
					for _, rec := range want {
						delete(rec, name)
					}
				} else if rapid.IntRange(0, 4).Draw(t, "nested") == 0 {
					attributes[name] = store.Attributes{"0": "string", "a": "number"}
				} else {
					attributes[name] = rapid.SampledFrom(keys(values)).Draw(t, "definition")
				}
			}
			r, err := db.CreateResource(t.Context(), store.Definition{Name: "r", Attributes: maps.Clone(attributes), Behavior: behaviors.Draw(t, "behavior")})
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		write := func(t *rapid.T, r *store.Resource) {
			id, rec := ids.Draw(t, "id"), store.Record{}
			for _, name := range slices.Sorted(maps.Keys(attributes)) {
				definition, isText := attributes[name].(string)
				switch {
				case rapid.IntRange(0, 3).Draw(t, name+" is there") == 0:
				case isText:
					rec[name] = values[definition].Draw(t, name)
				default:
					rec[name] = map[string]any{"0": "part", "a": 1.5}
				}
			}
			err := error(nil)
			if old := want[id]; old != nil && rapid.Bool().Draw(t, "update") {
				_, err = r.Update(t.Context(), id, rec)
				maps.Copy(old, rec)
			} else {
				rec["id"] = id
				want[id], err = rec, r.Put(t.Context(), rec)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		for range rapid.IntRange(2, 8).Draw(t, "definitions") {
			r := redefine(t)
			for range rapid.IntRange(0, 3).Draw(t, "writes") {
				write(t, r)
			}
			for id, rec := range want {
				got, err := r.Get(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				for name, v := range rec {
					if !cdc.Equal(got[name], v) {
						t.Fatalf("%s of %s is read back as %v, want %v", name, id, got[name], v)
					}
				}
			}
		}
	})
}

// TestUnknownNameOfAShortKey: what another writer calls like a short key of ours is read, and
// takes nothing from the attribute that has the key.
func TestUnknownNameOfAShortKey(t *testing.T) {
	db := open(t, "memory://x")
	r := defined(t, db, store.Definition{Name: "r", Attributes: store.Attributes{"ours": "string", "more": "string"}, Behavior: "body-only"})
	ours := store.ShortKeys(db, "r", []string{"ours"})[0]
	headers := map[string]string{"_v": "v1", "_map": `{"ours":"` + ours + `","` + ours + `":"z"}`}
	if err := store.PutRaw(t.Context(), db, "resource=r/data/id=x", headers, `{"`+ours+`":"kept","z":"theirs"}`, ""); err != nil {
		t.Fatal(err)
	}
	before, err := r.Get(t.Context(), "x")
	if err != nil || before["ours"] != "kept" || before[ours] != "theirs" {
		t.Fatalf("read %v (%v)", before, err)
	}
	if _, err := r.Update(t.Context(), "x", store.Record{"more": "more"}); err != nil {
		t.Fatal(err)
	}
	after, err := r.Get(t.Context(), "x")
	if err != nil || after["ours"] != "kept" || after["more"] != "more" {
		t.Errorf("after an update: %v (%v)", after, err)
	}
}
