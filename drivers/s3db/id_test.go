package s3db_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/s3db"
)

// TestIDs writes records under keys and looks for them under the ids expected.
func TestIDs(t *testing.T) {
	db := openStore(t, "memory://backup")
	d := openDriver(t, s3db.Options{Store: db})
	for id, key := range map[string]cdc.Record{
		"u1":                       {"id": "u1"},
		"with~tilde":               {"id": "with~tilde"},
		"~":                        {"id": "~"},
		"a~2Fb":                    {"id": "a/b"},
		"a~7E2Fb":                  {"id": "a~2Fb"},
		"~7En5":                    {"id": "~n5"},
		"~2E":                      {"id": "."},
		"b~0A":                     {"id": "b\n"},
		"x~2Emeta.json":            {"id": "x.meta.json"},
		"x.meta.json.bak":          {"id": "x.meta.json.bak"},
		"ann@example.com":          {"email": "ann@example.com"},
		"with~7Etilde":             {"email": "with~tilde"},
		"https:~2F~2Fx.org~2F~25":  {"url": "https://x.org/%"},
		"~2E~2E":                   {"name": ".."},
		"line~0A":                  {"name": "line\n"},
		"~n42":                     {"no": int64(42)},
		"~n4.2":                    {"no": decimal(t, "4.20")},
		"~n-0.5":                   {"no": -0.5},
		"~b1":                      {"yes": true},
		"~t2026-02-28T12:00:00.5Z": {"at": time.Date(2026, 2, 28, 12, 0, 0, 5e8, time.UTC)},
		"acme~.~n7":                {"tenant": "acme", "user": int64(7)},
	} {
		if err := deliver(t.Context(), d, insert(key, cdc.Record{"marker": id})); err != nil {
			t.Errorf("key %v: %v", key, err)
			continue
		}
		got, err := db.Resource("users").Get(t.Context(), id)
		if err != nil || got.String("marker") != id {
			t.Errorf("key %v is not under %q: %v, %v", key, id, got, err)
		}
	}
	for _, key := range []cdc.Record{
		{}, {"id": strings.Repeat("canary/", 30)}, {"id": ""}, {"no": nil}, {"tags": []any{"a"}}, {"long": strings.Repeat("canary", 100)},
	} {
		err := deliver(t.Context(), d, insert(key, cdc.Record{"marker": "x"}))
		if cdc.FaultOf(err) != cdc.RecordFault {
			t.Errorf("key %v gives a %s error: %v", key, cdc.FaultOf(err), err)
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("the key shows in: %v", err)
		}
	}
}

// TestBadOldKey: the record can't be moved from where no record can be.
func TestBadOldKey(t *testing.T) {
	db := openStore(t, "memory://backup")
	d := openDriver(t, s3db.Options{Store: db})
	moved := insert(cdc.Record{"no": int64(1)}, cdc.Record{"no": int64(1)})
	moved.OldKey = cdc.Record{"no": nil}
	if err := deliver(t.Context(), d, moved); cdc.FaultOf(err) != cdc.RecordFault {
		t.Errorf("error is %s: %v", cdc.FaultOf(err), err)
	}
	if got := records(t, db, "users"); len(got) != 0 {
		t.Errorf("written all the same: %v", got)
	}
}

// TestKeysAreNotShown: an id that was made from a key is content of the row.
func TestKeysAreNotShown(t *testing.T) {
	d := openDriver(t, s3db.Options{Store: openStore(t, "memory://backup")})
	for _, note := range []any{"text", true} {
		err := deliver(t.Context(), d, insert(cdc.Record{"email": "canary@example.com"}, cdc.Record{"note": note}))
		if note == "text" {
			if err != nil {
				t.Fatal(err)
			}
		} else if err == nil || strings.Contains(err.Error(), "canary") || cdc.FaultOf(err) != cdc.RecordFault {
			t.Errorf("error is %s: %v", cdc.FaultOf(err), err)
		}
	}
}

// TestShortKeysLeaveTheReason: an id of one letter is not looked for within words.
func TestShortKeysLeaveTheReason(t *testing.T) {
	d := openDriver(t, s3db.Options{Store: openStore(t, "memory://backup")})
	first := insert(cdc.Record{"code": "e"}, cdc.Record{"note": "text"})
	second := insert(cdc.Record{"code": "e"}, cdc.Record{"note": true})
	if err := deliver(t.Context(), d, first); err != nil {
		t.Fatal(err)
	}
	const want = "s3db: store: users …: note: must be a string, not a boolean"
	if err := deliver(t.Context(), d, second); err == nil || err.Error() != want {
		t.Errorf("error is %v, want %s", err, want)
	}
}

// TestIDsAreDistinct: of two keys of the same columns, each has its own record, and
// a delete takes only its own.
func TestIDsAreDistinct(t *testing.T) {
	db := openStore(t, "memory://backup")
	d := openDriver(t, s3db.Options{Store: db})
	check := func(t interface{ Fatalf(string, ...any) }, a, b cdc.Record) {
		remove := insert(b, nil)
		remove.Op = cdc.Deleted
		err := errors.Join(
			deliver(context.Background(), d, insert(a, cdc.Record{"marker": "a"})),
			deliver(context.Background(), d, insert(b, cdc.Record{"marker": "b"})),
			deliver(context.Background(), d, remove),
		)
		var left []cdc.Record
		for r, err := range db.Resource("users").List(context.Background()) {
			if err != nil {
				t.Fatalf("list: %v", err)
			}
			left = append(left, r)
		}
		if err != nil || len(left) != 1 || left[0].String("marker") != "a" {
			t.Fatalf("keys %v and %v: left is %v, %v", a, b, left, err)
		}
		if err := db.Resource("users").Delete(context.Background(), left[0].String("id")); err != nil {
			t.Fatalf("delete: %v", err)
		}
	}
	for _, pair := range [][2]cdc.Record{
		{{"a": "x.", "b": "y"}, {"a": "x", "b": ".y"}},
		{{"a": "x~.", "b": "y"}, {"a": "x", "b": "~.y"}},
		{{"a": "", "b": "x"}, {"a": "x", "b": ""}},
		{{"a": int64(5)}, {"a": "5"}},
		{{"a": int64(5)}, {"a": "~n5"}},
		{{"a": int64(1)}, {"a": true}},
		{{"a": true}, {"a": "~b1"}},
		{{"a": "/"}, {"a": "~2F"}},
		{{"a": ""}, {"a": "~"}},
		{{"id": "/"}, {"id": "~2F"}},
		{{"id": "~2F"}, {"id": "~7E2F"}},
		{{"id": int64(5)}, {"id": "~n5"}},
		{{"id": true}, {"id": "~b1"}},
		{{"id": "x.meta.json"}, {"id": "x~2Emeta.json"}},
		{{"a": ".."}, {"a": "~2E~2E"}},
	} {
		check(t, pair[0], pair[1])
		check(t, pair[1], pair[0])
	}
	text := rapid.StringOf(rapid.SampledFrom([]rune(`a~.2EnbtF/\%=0 ü`)))
	value := rapid.OneOf(
		rapid.Map(text, func(s string) any { return s }),
		rapid.Map(rapid.Int64Range(-20, 20), func(n int64) any { return n }),
		rapid.Map(rapid.Bool(), func(b bool) any { return b }),
	)
	rapid.Check(t, func(rt *rapid.T) {
		a, b := cdc.Record{"id": value.Draw(rt, "a.id")}, cdc.Record{"id": value.Draw(rt, "b.id")}
		if !a.Equal(b) && a["id"] != "" && b["id"] != "" { // an id is not empty
			check(rt, a, b)
		}
	})
	rapid.Check(t, func(rt *rapid.T) {
		a := cdc.Record{"a": value.Draw(rt, "a.a"), "b": value.Draw(rt, "a.b")}
		b := cdc.Record{"a": value.Draw(rt, "b.a"), "b": value.Draw(rt, "b.b")}
		if !a.Equal(b) {
			check(rt, a, b)
		}
	})
}

func decimal(t *testing.T, text string) cdc.Decimal {
	t.Helper()
	d, err := cdc.ParseDecimal(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
