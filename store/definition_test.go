package store_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/store"
)

func TestDefinitionFaults(t *testing.T) {
	db := open(t, "memory://x", store.WithPassphrase("p"))
	faulty := map[string]any{
		"typo": "strnig", "money": "money:99", "geo": "geo:alt", "obj": map[string]any{"type": "number", "part": "string"}, "num": 42,
		"mod": "string|requierd", "both": "string|required|optional", "twice": "number|min:1|min:2", "min": "number|min:x", "bool": "boolean|max:3",
		"int": "string|integer", "items": "string|items:string", "ips": "array|items:ip5", "dflt": "number|default:x", "odd": "email|default:number1",
		"arg": "string:3", "_v": "string", "a.b": "string", "id": "string", "": "string", "in": store.Attributes{"deep": "nope"}, "empty": "",
	}
	_, err := db.CreateResource(t.Context(), store.Definition{Name: "bad/name", Attributes: faulty})
	v, ok := errors.AsType[*store.ValidationError](err)
	if !ok {
		t.Fatalf("CreateResource gave %v", err)
	}
	got := map[string]string{}
	for _, f := range v.Faults {
		got[f.Attribute] += f.Reason
	}
	if len(got) != len(faulty) || !strings.HasPrefix(got["in.deep"], `type "nope" is not known; the types are string, number,`) || got["money"] != "holds at most 30 decimals" || !strings.Contains(got["obj"], `say "string|optional"`) ||
		!strings.Contains(got[""], "the name of a resource can't hold '/'") || !strings.Contains(got["odd"], "the original would read") {
		t.Errorf("%d faults of %d: %v", len(got), len(faulty), v)
	}
	if len(db.Resources()) != 0 {
		t.Errorf("created %v", db.Resources())
	}
}

// catalogue gives the parts of s3db.json that the tests look at.
type catalogue struct {
	Version   string
	Resources map[string]struct {
		CurrentVersion string
		Versions       map[string]struct {
			Hash       string
			Attributes map[string]any
			Behavior   string
			Timestamps bool
		}
		SchemaRegistry struct {
			NextIndex int
			Mapping   map[string]int
			Burned    []struct {
				Index     int
				Attribute string
			}
		}
	}
}

func readCatalogue(t *testing.T, db *store.DB) (c catalogue, text string) {
	t.Helper()
	_, body, err := store.GetRaw(t.Context(), db, "s3db.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, &c); err != nil {
		t.Fatal(err)
	}
	return c, string(body)
}

// TestVersions goes through the life of a definition: numbers are given in sorted
// order, kept for ever, and burned when their attribute goes.
func TestVersions(t *testing.T) {
	eachBackend(t, func(t *testing.T, connection string) {
		db := open(t, connection)
		define := func(timestamps bool, attributes store.Attributes) {
			t.Helper()
			if _, err := db.CreateResource(t.Context(), store.Definition{Name: "r", Attributes: attributes, Timestamps: timestamps}); err != nil {
				t.Fatal(err)
			}
		}
		define(false, store.Attributes{"b": "string", "a": "string", "n": store.Attributes{"y": "number", "x": "number"}})
		c, first := readCatalogue(t, db)
		r := c.Resources["r"]
		if diff := cmp.Diff(map[string]int{"a": 0, "b": 1, "n.x": 2, "n.y": 3, "n": 4}, r.SchemaRegistry.Mapping); diff != "" || r.CurrentVersion != "v1" || c.Version != "1" {
			t.Errorf("%s: -want +got\n%s", r.CurrentVersion, diff)
		}
		if _, err := db.Resource("r").Insert(t.Context(), store.Record{"id": "x", "a": "1", "b": "2", "n": map[string]any{"x": 3}}); err != nil {
			t.Fatal(err)
		}
		wantHeaders(t, db, "resource=r/data/id=x", map[string]string{"_v": "v1", "0": "1", "1": "2", "2": "3"})

		define(false, store.Attributes{"a": "string", "b": "string", "n": map[string]any{"x": "number", "y": "number"}})
		if _, again := readCatalogue(t, db); again != first {
			t.Error("the same definition changed the catalogue")
		}

		define(false, store.Attributes{"a": "string", "c": "string"})
		c, _ = readCatalogue(t, db)
		r = c.Resources["r"]
		if diff := cmp.Diff(map[string]int{"a": 0, "c": 5}, r.SchemaRegistry.Mapping); diff != "" || r.CurrentVersion != "v2" || len(r.Versions) != 2 {
			t.Errorf("%s: -want +got\n%s", r.CurrentVersion, diff)
		}
		if len(r.SchemaRegistry.Burned) != 4 || r.SchemaRegistry.NextIndex != 6 {
			t.Errorf("burned %v, next %d", r.SchemaRegistry.Burned, r.SchemaRegistry.NextIndex)
		}
		got, err := db.Resource("r").Get(t.Context(), "x")
		if diff := cmp.Diff(store.Record{"id": "x", "a": "1"}, got); diff != "" || err != nil {
			t.Errorf("%v: -want +got\n%s", err, diff)
		}

		define(true, store.Attributes{"a": "string", "b": "string"})
		c, _ = readCatalogue(t, db)
		r = c.Resources["r"]
		if diff := cmp.Diff(map[string]int{"a": 0, "b": 6, "createdAt": 7, "updatedAt": 8}, r.SchemaRegistry.Mapping); diff != "" || r.CurrentVersion != "v3" {
			t.Errorf("%s: -want +got\n%s", r.CurrentVersion, diff)
		}
		got, err = db.Resource("r").Get(t.Context(), "x")
		if got.Has("b") || err != nil {
			t.Errorf("a new attribute read an old one's value: %v (%v)", got, err)
		}
		if s, _, err := db.Describe(t.Context(), "r"); s.Version != 3 || err != nil {
			t.Errorf("described as version %d (%v)", s.Version, err)
		}
	})
}

func wantHeaders(t *testing.T, db *store.DB, key string, want map[string]string) {
	t.Helper()
	got, body, err := store.GetRaw(t.Context(), db, key)
	if diff := cmp.Diff(want, got); diff != "" || len(body) > 0 || err != nil {
		t.Errorf("%s: body %q, %v, headers -want +got\n%s", key, body, err, diff)
	}
}

// TestReopen: what one process defined and wrote, the next one reads.
func TestReopen(t *testing.T) {
	dir := "file://" + t.TempDir()
	users(t, open(t, dir))
	rec := store.Record{"id": "x", "name": "Al", "email": "a@x.io", "address": map[string]any{"city": "Rome"}}
	if err := open(t, dir).Resource("users").Put(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	again := open(t, dir)
	wantStored(t, again.Resource("users"), "x", rec, rec)
	if diff := cmp.Diff([]string{"users"}, again.Resources()); diff != "" {
		t.Error(diff)
	}
}

// TestForeignCatalogues: nothing is written over what is not understood.
func TestForeignCatalogues(t *testing.T) {
	for name, text := range map[string]string{
		"newer":   `{"version":"2","resources":{}}`,
		"damaged": `{"version":"1","resources":`,
	} {
		dir := "file://" + t.TempDir() + "?sync=off"
		early := open(t, dir)
		putRaw(t, early, "s3db.json", nil, text)
		if _, err := store.Open(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "nothing was changed") {
			t.Errorf("%s: Open gave %v", name, err)
		}
		if _, err := early.CreateResource(t.Context(), store.Definition{Name: "r"}); err == nil {
			t.Errorf("%s: CreateResource succeeded", name)
		}
		if _, body, _ := store.GetRaw(t.Context(), early, "s3db.json"); string(body) != text {
			t.Errorf("%s: the catalogue became %s", name, body)
		}
	}

	// A resource that is not understood is in the way of nobody else, and survives that
	// another one is defined.
	db := open(t, "file://"+t.TempDir()+"?sync=off")
	putRaw(t, db, "s3db.json", nil, `{"resources":{
		"m":{"currentVersion":"v1","versions":{"v1":{"attributes":{"m":"enum"},"hash":"x","odd":1}},"schemaRegistry":{"nextIndex":1,"mapping":{"m":0}}},
		"o":{"currentVersion":"v1","versions":{"v1":{"attributes":{"s":"string"},"behavior":"body-never"}},"schemaRegistry":{"nextIndex":1,"mapping":{"s":0}}},
		"p":{"currentVersion":"v1","versions":{"v1":{"attributes":{"s":"secret"},"partitions":{"byS":{"fields":{"s":"string"}}}}},"schemaRegistry":{"nextIndex":1,"mapping":{"s":0}}},
		"empty":{}}}`)
	create(t, db, "r", store.Attributes{"s": "string"})
	if diff := cmp.Diff([]string{"m", "o", "p", "r"}, db.Resources()); diff != "" {
		t.Error(diff)
	}
	if _, err := db.Resource("m").Get(t.Context(), "x"); err == nil || !strings.HasPrefix(err.Error(), `store: m: m: type "enum" is not known`) {
		t.Errorf("Get gave %v", err)
	}
	for name, reason := range map[string]string{"o": `the resource has the behavior "body-never", which is not known`, "p": "the resource has the partition byS, which is by \"s\", which would then stand in the clear"} {
		if _, err := db.Resource(name).Get(t.Context(), "x"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Get gave %v", err)
		}
		if _, err := db.Resource(name).Insert(t.Context(), store.Record{"s": "x"}); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("Insert gave %v", err)
		}
	}
	if _, err := db.CreateResource(t.Context(), store.Definition{Name: "o"}); err == nil || !strings.Contains(err.Error(), "body-never") {
		t.Errorf("CreateResource gave %v", err)
	}
	if _, text := readCatalogue(t, db); !strings.Contains(text, `"odd": 1`) || !strings.Contains(text, `"enum"`) {
		t.Errorf("the catalogue became %s", text)
	}
}

func TestSizeLimit(t *testing.T) {
	db := open(t, "memory://x")
	r := create(t, db, "r", store.Attributes{"s": "string"})
	inHeaders := func(s string) bool {
		t.Helper()
		rec := store.Record{"id": "x", "s": s}
		if err := r.Put(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
		wantStored(t, r, "x", rec, rec)
		headers, body, err := store.GetRaw(t.Context(), db, "resource=r/data/id=x")
		if err != nil || (len(headers) == 2) != (len(body) == 0) {
			t.Fatalf("headers %v, body %.50q, %v", headers, body, err)
		}
		size := 0
		for k, v := range headers {
			size += len(k) + len(v)
		}
		if size > 2048 {
			t.Errorf("headers of %d bytes", size)
		}
		return len(body) == 0
	}
	// As measured with the original: 2038 bytes of one attribute fit.
	if !inHeaders(strings.Repeat("x", 2038)) || inHeaders(strings.Repeat("x", 2039)) {
		t.Error("the limit is not at 2038 bytes")
	}
	if inHeaders(strings.Repeat("é", 1000)) {
		t.Error("text was counted before it was encoded")
	}
}

func TestConnectionStrings(t *testing.T) {
	for _, bad := range []string{
		"", " ", "/var/lib", "KEY:canary@bucket", "canary://x", "s3://KEY:canary@", "s3://KEY:canary@/prefix", "s3://canary@bucket",
		"s3://:canary@bucket", "s3://KEY:can/ary@bucket", "s3://KEY:canary@bucket:9000", "s3://KEY:canary@bucket?endpoint=canary", "http://KEY:canary@host",
		"http://KEY:canary@/b", "https://canary@host/b", "minio://KEY:canary@host/b", "file://canary/x", "file://",
		"file:///x?sync=canary", "file:///x?other=canary", "memory://x?sync=off", "file:///x?passphrase=%zz canary", "file:///a#canary", "file://\x7fcanary",
	} {
		db, err := store.Open(t.Context(), bad, store.WithPassphrase("canary"))
		if err == nil || !strings.HasPrefix(err.Error(), "store: connection string: ") || strings.Contains(err.Error(), "canary") {
			t.Errorf("Open(%q) gave %v, %v", bad, db, err)
		}
	}
	t.Chdir(t.TempDir())
	create(t, open(t, "file://./rel/db"), "r", nil)
	if got := open(t, "file://../"+lastName(t)+"/rel/db").Resources(); len(got) != 1 {
		t.Errorf("by another relative path: %v", got)
	}
	a, b := open(t, "memory://same"), open(t, "memory://same")
	create(t, a, "r", nil)
	if len(b.Resources()) != 0 {
		t.Error("two stores in memory share their content")
	}
}

// TestAwkwardTexts: text that looks like one of the format's own words or marks is
// still that text.
func TestAwkwardTexts(t *testing.T) {
	db := open(t, "memory://x", store.WithPassphrase("p"))
	r := create(t, db, "r", store.Attributes{"s": "string", "l": "array|items:string", "j": "json", "c": "secret"})
	for _, text := range awkwardTexts {
		rec := store.Record{"id": "x", "s": text, "l": []any{text}, "j": text, "c": "-" + text}
		if err := r.Put(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
		wantStored(t, r, "x", rec, rec)
		rec = store.Record{"id": "x", "l": []any{text, ""}}
		if err := r.Put(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
		wantStored(t, r, "x", rec, rec)
		headers, _, err := store.GetRaw(t.Context(), db, "resource=r/data/id=x")
		for _, wire := range headers {
			if strings.TrimSpace(wire) != wire || strings.ContainsFunc(wire, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("%q would not survive in a header (%v)", wire, err)
			}
		}
	}
}

// TestBodyBesideHeaders: beside headers, a user-managed body is an old copy.
func TestBodyBesideHeaders(t *testing.T) {
	db := open(t, "memory://x")
	r := create(t, db, "r", store.Attributes{"a": "string", "b": "string"})
	putRaw(t, db, "resource=r/data/id=x", map[string]string{"_v": "v1", "0": "kept"}, `{"a":"old","b":"old","1":"old"}`)
	want := store.Record{"id": "x", "a": "kept"}
	wantStored(t, r, "x", want, want)
	putRaw(t, db, "resource=r/data/id=x", map[string]string{"_v": "v1"}, `{"0":"all","b":"here","_v":"v1"}`)
	want = store.Record{"id": "x", "a": "all", "b": "here"}
	wantStored(t, r, "x", want, want)
}

// TestLeftovers: what another writer left under a name of its own is read, kept by
// an update, and not to be written.
func TestLeftovers(t *testing.T) {
	db := open(t, "memory://x")
	r := create(t, db, "r", store.Attributes{"a": "string"})
	putRaw(t, db, "resource=r/data/id=x", map[string]string{"_v": "v1", "0": "1", "any_z": "left", "_etag": "x", "id": "y", "metadata_updatedat": "z"}, "")
	want := store.Record{"id": "x", "a": "2", "any_z": "left"}
	got, err := r.Update(t.Context(), "x", store.Record{"a": "2"})
	if err != nil {
		t.Fatal(err)
	}
	wantStored(t, r, "x", got, want)
	wantHeaders(t, db, "resource=r/data/id=x", map[string]string{"_v": "v1", "0": "2", "any_z": "left"})
	if _, err := r.Update(t.Context(), "x", store.Record{"any_z": "3"}); err == nil {
		t.Error("a field that is not declared was written")
	}
}

// TestRetiredSecrets: what was a secret in an earlier version is told, so that changes
// of that time don't leave in the clear.
func TestRetiredSecrets(t *testing.T) {
	db := open(t, "memory://test", store.WithPassphrase("p"))
	create(t, db, "r", store.Attributes{"a": "secret", "b": "secret", "kept": "secret", "o": store.Attributes{"pin": "secret", "hint": "string"}})
	create(t, db, "r", store.Attributes{"a": "string", "kept": "secret", "o": store.Attributes{"hint": "string"}})
	schema, ok, err := db.Describe(t.Context(), "r")
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	want := []cdc.Field{
		{Name: "a", Type: cdc.TypeString, Secret: true},
		{Name: "b", Type: cdc.TypeString, Secret: true},
		{Name: "o", Type: cdc.TypeObject, Fields: []cdc.Field{{Name: "pin", Type: cdc.TypeString, Secret: true}}},
	}
	if diff := cmp.Diff(want, schema.Retired); diff != "" {
		t.Errorf("retired (-want +got):\n%s", diff)
	}
}
