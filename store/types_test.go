package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/bcrypt"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/store"
)

var sameDecimals = cmp.Comparer(func(a, b cdc.Decimal) bool { return a.Cmp(b) == 0 })

// TestTypes: what a caller writes is stored as the original stores it, and read in the
// one form that there is.
func TestTypes(t *testing.T) {
	for _, c := range []struct {
		definition string
		told       any
		stored     string
		read       any
	}{
		{"money", 19.99, "$wf", mustDecimal("19.99")},
		{"money", 1.005, "$1C", mustDecimal("1")},
		{"money:4", "1.2345", "", nil},
		{"crypto", mustDecimal("0.00000001"), "$1", mustDecimal("0.00000001")},
		{"decimal", 0.125, "^d", mustDecimal("0.13")},
		{"decimal", -0.125, "^-c", mustDecimal("-0.12")},
		{"decimal", -5.5, "^-8S", mustDecimal("-5.5")},
		{"decimal", 0, "^0", mustDecimal("0")},
		{"decimal:0", mustDecimal("-2.5"), "^-2", mustDecimal("-2")},
		{"geo:lat", 90, "~cbgdO", 90.0},
		{"geo:lat", 91, "", nil},
		{"geo:lon", -180, "~0", -180.0},
		{"geo:lat:3", -23.55052, "~hhL", -23.551000000000002},
		{"geo:point", []any{0, 0}, "~65D6U~cbgdO", map[string]any{"latitude": 0.0, "longitude": 0.0}},
		{"geo:point", map[string]any{"lat": -90, "lon": 180}, "~0~omwrC", map[string]any{"latitude": -90.0, "longitude": 180.0}},
		{"geo:point", map[string]any{"lat": 1}, "", nil},
		{"uuid", "550E8400-E29B-41D4-A716-446655440000", "1yzBHq49i4y833Iawe1yOjy8", "550e8400-e29b-41d4-a716-446655440000"},
		{"ip4", "127.0.0.1", "fwAAAQ==", "127.0.0.1"},
		{"ip4", "127.0.0.256", "", nil},
		{"ip6", "2001:DB8:0:0::1", "IAENuAAAAAAAAAAAAAAAAQ==", "2001:db8::1"},
		{"ip6", "::ffff:192.0.2.1", "AAAAAAAAAAAAAP//wAACAQ==", "::ffff:c000:201"},
		{"mac", "AA-BB-CC-DD-EE-FF", "0RiYGo9Lp", "aa:bb:cc:dd:ee:ff"},
		{"cidr", "10.0.0.0/8", "0blXcA8", "10.0.0.0/8"},
		{"cidr", "10.0.0.0/33", "", nil},
		{"semver", "v1.2.3", "4cFl", "1.2.3"},
		{"semver", "1.1000.1", "", nil},
		{"phone", "+55 (11) 99999-9999", "1z2ASgSr", "+5511999999999"},
		{"color", "#F57", "18da7", "#ff5577"},
		{"duration", "1h30m", "mEMM", "PT1H30M"},
		{"duration", "PT0.5S", "84", "PT0.500S"},
		{"duration", time.Hour, "", nil},
		{"ean", "4006381333931", "118x8XMN5", "4006381333931"},
		{"ean", "123456789", "", nil},
		{"timeonly", "10:20", "2w5q0", "10:20:00.000"},
		{"timeonly", "24:00", "", nil},
		{"locale", "pt_br", "pt-BR", "pt-BR"},
		{"currency", "usd", "USD", "USD"},
		{"country", "br", "BR", "BR"},
		{"cron", " */5  * * * * ", "*/5 * * * *", "*/5 * * * *"},
		{"any", 12, "12", "12"},
		{"any", []any{1}, "", nil},
		{"buffer", []byte{0, 255}, "AP8=", []byte{0, 255}},
		{"bits:16", []byte{1}, "", nil},
		{"date", "2024-03-15", "", nil},
	} {
		db := open(t, "memory://x")
		r := create(t, db, "r", store.Attributes{"v": c.definition})
		_, err := r.Insert(t.Context(), store.Record{"id": "x", "v": c.told})
		if c.read == nil {
			if v, ok := errors.AsType[*store.ValidationError](err); !ok || v.Faults[0].Attribute != "v" || v.RecordID != "x" {
				t.Errorf("%s: %v gave %v", c.definition, c.told, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v gave %v", c.definition, c.told, err)
			continue
		}
		headers, _, err := store.GetRaw(t.Context(), db, "resource=r/data/id=x")
		if err != nil || headers["0"] != c.stored {
			t.Errorf("%s: %v is stored as %q, want %q (%v)", c.definition, c.told, headers["0"], c.stored, err)
		}
		got, err := r.Get(t.Context(), "x")
		if diff := cmp.Diff(store.Record{"id": "x", "v": c.read}, got, sameDecimals); diff != "" || err != nil {
			t.Errorf("%s: %v, -want +got\n%s", c.definition, err, diff)
		}
	}
}

// TestPasswords: a password is stored as a hash that the original can check, a hash as
// it is, and neither is hashed again.
func TestPasswords(t *testing.T) {
	db := open(t, "memory://x")
	r := create(t, db, "users", store.Attributes{"p": "password|min:8", "a": "password:argon2id", "n": "number"})
	got, err := r.Insert(t.Context(), store.Record{"id": "x", "p": "correct horse", "a": "battery staple"})
	if err != nil {
		t.Fatal(err)
	}
	hash := got.String("p")
	full := "$2a$12$" + strings.TrimPrefix(hash, "$c$")
	if err := bcrypt.CompareHashAndPassword([]byte(full), []byte("correct horse")); err != nil {
		t.Errorf("%s: %v", hash, err)
	}
	if parts := strings.Split(got.String("a"), "$"); len(parts) != 4 || parts[1] != "j|g|3|4" {
		t.Errorf("argon2id gave %s", got.String("a"))
	}
	again, err := r.Update(t.Context(), "x", store.Record{"n": 1})
	if err != nil || again.String("p") != hash || again.String("a") != got.String("a") {
		t.Errorf("after an update: %v (%v)", again, err)
	}
	if err := r.Put(t.Context(), store.Record{"id": "y", "p": full}); err != nil {
		t.Fatal(err)
	}
	if copied, err := r.Get(t.Context(), "y"); err != nil || copied.String("p") != hash {
		t.Errorf("a hash became %v (%v)", copied, err)
	}
	for _, bad := range []any{"", "short", strings.Repeat("long", 20), 12345678} {
		if _, err := r.Insert(t.Context(), store.Record{"p": bad}); err == nil {
			t.Errorf("%v was taken", bad)
		} else if text, _ := bad.(string); text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("the error quotes the password: %v", err)
		}
	}
	s, _, err := db.Describe(t.Context(), "users")
	if f, _ := s.Field("p"); !f.Secret || err != nil {
		t.Errorf("a password is described as %+v (%v)", f, err)
	}
}

// TestGeneratedIDs makes ids of every kind, and goes on after another store has.
func TestGeneratedIDs(t *testing.T) {
	eachBackend(t, func(t *testing.T, connection string) {
		for generator, want := range map[string][]string{
			"incremental":          {"1", "2", "3", "4"},
			"incremental:1000":     {"1000", "1001", "1002", "1003"},
			"incremental:ORD-0009": {"ORD-0009", "ORD-0010", "ORD-0011", "ORD-0012"},
		} {
			db := open(t, connection)
			r := defined(t, db, store.Definition{Name: "r", IDGenerator: generator, Attributes: store.Attributes{"n": "number"}})
			first, err := r.Insert(t.Context(), store.Record{"n": 1})
			if err != nil {
				t.Fatal(err)
			}
			more, err := r.InsertMany(t.Context(), []store.Record{{"n": 2}, {"n": 3}})
			if err != nil {
				t.Fatal(err)
			}
			// Somebody took the next one.
			if _, err := r.Insert(t.Context(), store.Record{"id": want[3]}); err != nil {
				t.Fatal(err)
			}
			last, err := r.Insert(t.Context(), store.Record{"n": 4})
			if err != nil {
				t.Fatal(err)
			}
			got := []string{first.String("id"), more[0].String("id"), more[1].String("id"), want[3]}
			if diff := cmp.Diff(want, got); diff != "" || last.String("id") == want[3] {
				t.Errorf("%s: then %s, -want +got\n%s", generator, last.String("id"), diff)
			}
			if def, err := r.Definition(); err != nil || def.IDGenerator != generator {
				t.Errorf("%s became %q (%v)", generator, def.IDGenerator, err)
			}
			for _, id := range append(got, last.String("id")) {
				if err := r.Delete(t.Context(), id); err != nil {
					t.Fatal(err)
				}
			}
			defined(t, db, store.Definition{Name: "r", IDSize: 12, Attributes: store.Attributes{"n": "number"}})
			if rec, err := r.Insert(t.Context(), store.Record{"n": 5}); err != nil || len(rec.String("id")) != 12 {
				t.Errorf("an id of 12 is %q (%v)", rec.String("id"), err)
			} else if err := r.Delete(t.Context(), rec.String("id")); err != nil {
				t.Fatal(err)
			}
			if err := store.RemoveRaw(t.Context(), db, "resource=r/sequence=id/value"); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestSequenceUnderLoad: no two of many writers get the same number.
func TestSequenceUnderLoad(t *testing.T) {
	db := open(t, "memory://x")
	r := defined(t, db, store.Definition{Name: "r", IDGenerator: "incremental", Attributes: store.Attributes{"n": "number"}})
	var writers sync.WaitGroup
	for range 8 {
		writers.Go(func() {
			for range 20 {
				if _, err := r.Insert(context.Background(), store.Record{"n": 1}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	if n, err := r.Count(t.Context()); n != 160 || err != nil {
		t.Errorf("%d records (%v)", n, err)
	}
}

// TestSequenceOfTheOriginal: numbers go on where the original stopped, whichever way it
// wrote its times.
func TestSequenceOfTheOriginal(t *testing.T) {
	for _, text := range []string{`{"value":3,"name":"id","createdAt":1700000000000}`, `{"value":3,"name":"id","createdAt":"2026-11-23T06:39:29.545Z","updatedAt":"2026-11-23T06:39:29.595Z"}`} {
		db := open(t, "memory://x")
		r := defined(t, db, store.Definition{Name: "r", IDGenerator: "incremental"})
		putRaw(t, db, "resource=r/sequence=id/value", nil, text)
		if rec, err := r.Insert(t.Context(), store.Record{}); err != nil || rec.String("id") != "3" {
			t.Errorf("%v (%v)", rec, err)
		}
	}
}

// TestDialects: what the original takes for required is said in the catalogue, and what
// it says there is understood.
func TestDialects(t *testing.T) {
	dir := "file://" + t.TempDir() + "?sync=off"
	db := open(t, dir)
	attributes := store.Attributes{"a": "string", "b": "string|required", "c": "string|optional", "n": store.Attributes{"in": "number|min:1"}}
	create(t, db, "r", attributes)
	_, text := readCatalogue(t, db)
	var c struct {
		Resources map[string]struct {
			Versions map[string]struct{ Attributes map[string]any }
		}
	}
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"a": "string|optional", "b": "string|required", "c": "string|optional", "n": map[string]any{"in": "number|min:1|optional"}}
	if diff := cmp.Diff(want, c.Resources["r"].Versions["v1"].Attributes); diff != "" {
		t.Errorf("catalogue -want +got\n%s", diff)
	}
	def, err := db.Resource("r").Definition()
	if diff := cmp.Diff(store.Attributes{"a": "string", "b": "string|required", "c": "string", "n": store.Attributes{"in": "number|min:1"}}, def.Attributes); diff != "" || err != nil {
		t.Errorf("%v, definition -want +got\n%s", err, diff)
	}
	if _, err := db.CreateResource(t.Context(), def); err != nil {
		t.Fatal(err)
	}
	if _, again := readCatalogue(t, db); again != text {
		t.Error("its own definition changed the catalogue")
	}

	// A resource of the original: required without a word, rules that are not known here,
	// and attributes in object form.
	foreign := strings.Replace(text, `"resources": {`, `"resources": {"o": {"currentVersion":"v1","versions":{"v1":{"attributes":{
		"a":"string","p":"string|pattern:^x|optional","n":{"type":"number","optional":true},"l":{"type":"array","items":"number","optional":true}}}},
		"schemaRegistry":{"nextIndex":9,"mapping":{"a":0,"p":1,"n.type":2,"n.optional":3,"l.type":4,"l.items":5,"l.optional":6,"n":7,"l":8}}},`, 1)
	putRaw(t, db, "s3db.json", nil, foreign)
	db = open(t, dir)
	r := db.Resource("o")
	if _, err := r.Insert(t.Context(), store.Record{"p": "y"}); err == nil || !strings.Contains(err.Error(), "a: is required") {
		t.Errorf("Insert gave %v", err)
	}
	rec := store.Record{"id": "x", "a": "1", "n": 25.0, "l": []any{1.5, 100.0}}
	got, err := r.Insert(t.Context(), rec)
	if err != nil {
		t.Fatal(err)
	}
	wantStored(t, r, "x", got, rec)
	wantHeaders(t, db, "resource=o/data/id=x", map[string]string{"_v": "v1", "0": "1", "7": "25", "8": "1.5|1C"})
	def, err = r.Definition()
	if err != nil {
		t.Fatal(err)
	}
	def.Attributes["more"] = "string"
	if _, err := db.CreateResource(t.Context(), def); err != nil {
		t.Fatal(err)
	}
	wantStored(t, r, "x", rec, rec)
	if def.Attributes["bad"] = "string|pattern:^y"; second(db.CreateResource(t.Context(), def)) == nil {
		t.Error("a new rule that is not known was taken")
	}
}

// TestShortKeysAreNoNames: no attribute is called like a short key that is in use; the
// original would mix them up.
func TestShortKeysAreNoNames(t *testing.T) {
	db := open(t, "memory://x")
	attributes := store.Attributes{}
	for name := range strings.SplitSeq("0 1 2 a b c d e f g h i j k l m n", " ") {
		attributes[name] = "string"
	}
	create(t, db, "r", attributes)
	for _, key := range store.ShortKeys(db, "r", keys(attributes)) {
		if _, taken := attributes[key]; taken {
			t.Errorf("the short key %s is an attribute's name", key)
		}
	}
}
