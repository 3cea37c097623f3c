package route_test

import (
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/route"
)

func TestKey(t *testing.T) {
	ordersKey := route.Options{Limits: limits(cdc.Limits{Key: []string{"order", "line"}})}
	for _, test := range []struct {
		name string
		rule route.Rule
		o    route.Options
		c    *cdc.Change
		want cdc.Record
	}{
		{"the record id", route.Rule{}, route.Options{}, inserted(cdc.Record{"id": "u1"}), cdc.Record{"id": "u1"}},
		{"filled in", route.Rule{Transform: dropID}, route.Options{}, inserted(cdc.Record{"id": "u1"}), cdc.Record{"id": "u1"}},
		{"filled in where the rule names it", route.Rule{Key: []string{"id", "name"}, Transform: dropID}, route.Options{},
			inserted(cdc.Record{"id": "u1", "name": "Ann"}), cdc.Record{"id": "u1", "name": "Ann"}},
		{"an id of Transform's own", route.Rule{}, route.Options{}, inserted(cdc.Record{"id": "other"}), cdc.Record{"id": "other"}},
		{"the rule's before the target's", route.Rule{Key: []string{"name"}}, ordersKey,
			inserted(cdc.Record{"id": "u1", "name": "Ann", "order": "o", "line": int64(1)}), cdc.Record{"name": "Ann"}},
		{"the target's", route.Rule{}, ordersKey, inserted(cdc.Record{"id": "u1", "order": "o", "line": int64(1)}), cdc.Record{"order": "o", "line": int64(1)}},
		{"not all columns of the target's", route.Rule{}, ordersKey, inserted(cdc.Record{"id": "u1", "order": "o"}), cdc.Record{"id": "u1"}},
		{"of a delete, from its last state", route.Rule{Key: []string{"name"}}, route.Options{}, deleted(cdc.Record{"name": "Ann"}), cdc.Record{"name": "Ann"}},
		{"of a delete whose last state is not known", route.Rule{}, route.Options{}, deleted(nil), cdc.Record{"id": "u1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := delivered(t, test.rule, test.o, test.c)
			if diff := cmp.Diff(test.want, v.Delivery.Key); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAKeyThatCantBeBuiltNamesTheColumn(t *testing.T) {
	byName := route.Rule{Key: []string{"name"}}
	for _, test := range []struct {
		name string
		rule route.Rule
		o    route.Options
		c    *cdc.Change
		want string
	}{
		{"missing", byName, route.Options{}, inserted(cdc.Record{"id": "u1"}), `key column "name" is missing`},
		{"nil", byName, route.Options{}, inserted(cdc.Record{"name": nil}), `key column "name" is nil`},
		{"nil id", route.Rule{}, route.Options{}, inserted(cdc.Record{"id": nil}), `key column "id" is nil`},
		{"nil in the target's", route.Rule{}, route.Options{Limits: limits(cdc.Limits{Key: []string{"name"}})}, inserted(cdc.Record{"name": nil}), `key column "name" is nil`},
		{"a list", byName, route.Options{}, inserted(cdc.Record{"name": []any{"Ann"}}), `key column "name" holds a list`},
		{"unknown last state", byName, route.Options{}, deleted(nil), `key column "name" can't be told`},
		{"unknown last state, target's key", route.Rule{}, route.Options{Limits: limits(cdc.Limits{Key: []string{"name"}})}, deleted(nil), `key column "name" can't be told`},
	} {
		t.Run(test.name, func(t *testing.T) {
			contains(t, failed(t, test.rule, test.o, test.c), test.want)
		})
	}
}

func TestAnUpdateThatChangesTheKeyNamesTheOldOne(t *testing.T) {
	rule := route.Rule{Key: []string{"email"}}
	v := delivered(t, rule, route.Options{}, updated(cdc.Record{"email": "a@x"}, cdc.Record{"email": "b@x"}))
	if diff := cmp.Diff(cdc.Record{"email": "a@x"}, v.Delivery.OldKey); diff != "" {
		t.Error(diff)
	}
	before := delivered(t, rule, route.Options{}, inserted(cdc.Record{"email": "a@x"}))
	after := delivered(t, rule, route.Options{}, inserted(cdc.Record{"email": "b@x"}))
	if v.OldLane != before.Lane || v.Lane != after.Lane || v.Lane == v.OldLane {
		t.Errorf("lanes %q then %q, want %q then %q", v.OldLane, v.Lane, before.Lane, after.Lane)
	}

	for name, c := range map[string]*cdc.Change{
		"same key":           updated(cdc.Record{"email": "a@x", "n": int64(1)}, cdc.Record{"email": "a@x", "n": int64(2)}),
		"no key before":      updated(cdc.Record{}, cdc.Record{"email": "a@x"}),
		"before not known":   updated(nil, cdc.Record{"email": "a@x"}),
		"decimal, new scale": updated(cdc.Record{"email": decimal("1.50")}, cdc.Record{"email": decimal("1.5")}),
	} {
		if v := delivered(t, rule, route.Options{}, c); v.Delivery.OldKey != nil || v.OldLane != "" {
			t.Errorf("%s: old key %v, old lane %q", name, v.Delivery.OldKey, v.OldLane)
		}
	}
}

func decimal(s string) cdc.Decimal {
	d, err := cdc.ParseDecimal(s)
	if err != nil {
		panic(err)
	}
	return d
}

// TestLanesAreEqualExactlyWhenKeysAre compares every key with every other, of
// values and columns that look alike.
func TestLanesAreEqualExactlyWhenKeysAre(t *testing.T) {
	values := []any{
		"1", "i1", "", "u1", "\x00", "\x00\"id\"=i1", "\x00\"id\"=\"1\"", `a"="b`, "\xff", `\xff`,
		int64(1), int64(0), 1.0, 0.0, math.Copysign(0, -1), decimal("1"), decimal("1.0"), decimal("10"), decimal("0.0"),
		true, false, []byte("1"), []byte{}, time.UnixMicro(1).UTC(), time.UnixMicro(1).In(time.FixedZone("x", 3600)),
	}
	names := []string{"id", "a", `a"="b`, "a\x00"}
	var keys []cdc.Record
	for i, name := range names {
		for _, v := range values {
			keys = append(keys, cdc.Record{name: v})
			for _, other := range names[:i] {
				keys = append(keys, cdc.Record{name: v, other: "1"}, cdc.Record{name: "1", other: v})
			}
		}
	}
	lanes := make([]string, len(keys))
	for i, key := range keys {
		lanes[i] = delivered(t, route.Rule{Key: slices.Collect(maps.Keys(key))}, route.Options{}, inserted(key)).Lane
		for j := range i {
			if (lanes[i] == lanes[j]) != keys[i].Equal(keys[j]) {
				t.Errorf("keys %#v and %#v have the lanes %q and %q", keys[i], keys[j], lanes[i], lanes[j])
			}
		}
	}
}

func TestTheLaneOfAnIDIsTheID(t *testing.T) {
	for want, data := range map[string]cdc.Record{"u1": {"name": "Ann"}, "other": {"id": "other"}} {
		if v := delivered(t, route.Rule{}, route.Options{}, inserted(data)); v.Lane != want {
			t.Errorf("lane %q, want %q", v.Lane, want)
		}
	}
}

// A lane may be kept for long when its change is not: it holds no memory of the record, of
// which one string may be a part of many.
func TestLaneHoldsNoMemoryOfTheRecord(t *testing.T) {
	text := strings.Clone("u1 and other content")
	for name, id := range map[string]string{"the record's id": text[:2], "another": text[3:6]} {
		v := delivered(t, route.Rule{}, route.Options{}, inserted(cdc.Record{"id": id}))
		if v.Lane != id || v.Delivery.OrderKey != id {
			t.Errorf("%s: lane %q, ordering key %q", name, v.Lane, v.Delivery.OrderKey)
		}
		if unsafe.StringData(v.Lane) == unsafe.StringData(id) {
			t.Errorf("%s: the lane is a part of the record's text", name)
		}
	}
}
