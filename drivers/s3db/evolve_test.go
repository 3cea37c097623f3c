package s3db_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/s3db"
	"github.com/s3db-go/replicator/store"
)

// TestFormerRecordsFit: what was written before fields got another type fits them when it
// comes after, and changes no type in its turn. What is written now has to fit by itself.
func TestFormerRecordsFit(t *testing.T) {
	db := openStore(t, "memory://backup")
	d := openDriver(t, s3db.Options{Store: db})
	for i, age := range []string{"string", "number|integer"} {
		schema := cdc.Schema{Resource: "users", Version: i + 1, Key: []string{"id"}, Fields: []cdc.Field{
			{Name: "age", Native: age}, {Name: "tags", Native: "array|items:string"}, {Name: "name", Native: "string"},
		}}
		if err := d.SyncSchema(t.Context(), "users", schema); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		version int
		record  cdc.Record
		want    cdc.Record // nil if it is refused
	}{
		{1, cdc.Record{"age": "12", "name": "Ann"}, cdc.Record{"age": int64(12), "name": "Ann"}},
		{1, cdc.Record{"age": "twelve", "name": "Ann"}, cdc.Record{"name": "Ann"}},
		{1, cdc.Record{"age": 12.5, "tags": "one", "name": "Ann"}, cdc.Record{"name": "Ann"}},
		{1, cdc.Record{"age": nil, "tags": []any{"a"}}, cdc.Record{"age": nil, "tags": []any{"a"}}},
		{2, cdc.Record{"age": "12"}, nil},
		{0, cdc.Record{"age": "12"}, nil},
	} {
		test.record["id"] = "x"
		delivery := insert(cdc.Record{"id": "x"}, test.record)
		delivery.SchemaVersion = test.version
		err := deliver(t.Context(), d, delivery)
		if test.want == nil {
			if cdc.FaultOf(err) != cdc.RecordFault {
				t.Errorf("version %d: %v gives a %s error: %v", test.version, test.record, cdc.FaultOf(err), err)
			}
			continue
		}
		test.want["id"] = "x"
		if got, readErr := db.Resource("users").Get(t.Context(), "x"); err != nil || readErr != nil || !got.Equal(test.want) {
			t.Errorf("version %d: %v is %v (%v, %v), want %v", test.version, test.record, got, err, readErr, test.want)
		}
	}
	if def, err := db.Resource("users").Definition(); err != nil || def.Attributes["age"] != "number|integer" {
		t.Errorf("age is %v, %v", def.Attributes["age"], err)
	}
}

// TestCopyFollowsDefinitions: while a resource is defined anew beside its writes, no record is
// given up, and the copy has what the source has.
func TestCopyFollowsDefinitions(t *testing.T) {
	price, err := cdc.ParseDecimal("12.25")
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]*rapid.Generator[any]{
		"string": rapid.String().AsAny(), "string|required": rapid.StringMatching("[a-z]{1,9}").AsAny(), "secret": rapid.StringMatching("[a-z]{1,9}").AsAny(),
		"number": rapid.Float64Range(-1e9, 1e9).AsAny(), "number|integer": rapid.Int64().AsAny(), "boolean": rapid.Bool().AsAny(),
		"datetime": rapid.Just[any](time.UnixMilli(1700000000123).UTC()), "money": rapid.Just[any](price),
		"array|items:string": rapid.Just[any]([]any{"x", "y|z"}), "object": rapid.Just[any](map[string]any{"k": "v"}),
	}
	open := func(name string) *store.DB { return openStore(t, "memory://"+name) }
	definitions := rapid.SampledFrom(slices.Sorted(maps.Keys(values)))
	rapid.Check(t, func(t *rapid.T) {
		source, backup := open("source"), open("backup")
		r, err := replicator.New(source, replicator.Options{Volatile: true, Destinations: []replicator.Destination{{
			Name: "backup", Driver: s3db.New(s3db.Options{Store: backup}), Routes: replicator.Routes("r"),
		}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer r.Stop(t.Context())
		attributes, changes := store.Attributes{}, map[string]int{}
		for range rapid.IntRange(1, 5).Draw(t, "definitions") {
			for _, name := range rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "0", "1"}), 1, 3).Draw(t, "names") {
				// Once more, and what is left out may be one that the source can read again.
				if changes[name]++; changes[name] <= 2 {
					attributes[name] = definitions.Draw(t, "definition")
				}
			}
			of, err := source.CreateResource(t.Context(), store.Definition{
				Name: "r", Attributes: maps.Clone(attributes), Timestamps: rapid.Bool().Draw(t, "timestamps"),
				Behavior: rapid.SampledFrom([]string{"user-managed", "body-overflow", "body-only"}).Draw(t, "behavior"),
			})
			if err != nil {
				t.Fatal(err)
			}
			for i := range rapid.IntRange(0, 4).Draw(t, "writes") {
				rec := store.Record{"id": fmt.Sprint(i)}
				for _, name := range slices.Sorted(maps.Keys(attributes)) {
					if definition := attributes[name].(string); definition == "string|required" || rapid.Bool().Draw(t, name+" is there") {
						rec[name] = values[definition].Draw(t, name)
					}
				}
				if _, err := of.Upsert(t.Context(), rec); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := r.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		for row, err := range r.Log(t.Context(), replicator.Query{}) {
			t.Fatalf("given up: %s (%v)", row.Error, err)
		}
		for want, err := range source.Resource("r").List(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			got, err := backup.Resource("r").Get(t.Context(), want.String("id"))
			if err != nil {
				t.Fatal(err)
			}
			// What the source can't read any more in its new type may stay at the copy.
			for name, v := range want {
				if !cdc.Equal(got[name], v) {
					t.Fatalf("%s of %s is %v, want %v", name, want["id"], got[name], v)
				}
			}
		}
	})
}
