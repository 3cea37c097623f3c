package cdc_test

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/s3db-go/replicator/cdc"
)

const uuid = "0198a2b3-c4d5-7e6f-8a9b-0c1d2e3f4a5b"

func TestIDAsText(t *testing.T) {
	var id cdc.ID
	if !id.IsZero() || id.String() != "00000000-0000-0000-0000-000000000000" {
		t.Errorf("the zero ID is %s", id)
	}
	if err := id.UnmarshalText([]byte(uuid)); err != nil || id.String() != uuid || id.IsZero() {
		t.Errorf("%s is read as %s (%v)", uuid, id, err)
	}
	if err := id.UnmarshalText([]byte(strings.ToUpper(uuid))); err != nil || id.String() != uuid {
		t.Errorf("upper case is read as %s (%v)", id, err)
	}
	for _, bad := range []string{"", uuid[1:], uuid + "0", strings.ReplaceAll(uuid, "-", "0"), "x" + uuid[1:], uuid[:35] + "-"} {
		was := id
		if err := id.UnmarshalText([]byte(bad)); err == nil || id != was {
			t.Errorf("%q is read as %s (%v)", bad, id, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		want := cdc.ID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		var got cdc.ID
		if b, err := want.MarshalText(); err != nil || got.UnmarshalText(b) != nil || got != want {
			t.Fatalf("%s comes back as %s", want, got)
		}
	})
}

func TestOpAsText(t *testing.T) {
	for op, want := range map[cdc.Op]string{
		0: "none", cdc.Inserted: "inserted", cdc.Updated: "updated", cdc.Deleted: "deleted",
		cdc.Inserted | cdc.Deleted: "inserted|deleted", cdc.AllOps: "inserted|updated|deleted",
	} {
		text, err := op.MarshalText()
		if err != nil || string(text) != want || op.String() != want {
			t.Errorf("%d is written %q (%v), want %q", op, text, err, want)
		}
		var got cdc.Op
		if err := got.UnmarshalText(text); err != nil || got != op {
			t.Errorf("%q is read as %s (%v)", text, got, err)
		}
	}
	if s := (cdc.Updated | 8).String(); s != "updated|Op(8)" {
		t.Errorf("an unknown operation prints %q", s)
	}
	op := cdc.Updated
	for _, bad := range []string{"", "Inserted", "insert", "inserted|", "inserted, updated"} {
		if err := op.UnmarshalText([]byte(bad)); err == nil || op != cdc.Updated {
			t.Errorf("%q is read as %s (%v)", bad, op, err)
		}
	}
}

func TestOpIsASet(t *testing.T) {
	for op := range cdc.AllOps + 1 {
		if got, want := op.Single(), op == 1 || op == 2 || op == 4; got != want {
			t.Errorf("%s.Single() is %v", op, got)
		}
		if !op.Has(0) || !op.Has(op) || op.Has(cdc.AllOps) != (op == cdc.AllOps) {
			t.Errorf("%s.Has is wrong", op)
		}
	}
}

func TestOriginAsText(t *testing.T) {
	for origin, want := range map[cdc.Origin]string{
		cdc.Live: "live", cdc.Snapshot: "snapshot", cdc.Resolved: "resolved", cdc.Replayed: "replayed",
	} {
		text, err := origin.MarshalText()
		if err != nil || string(text) != want {
			t.Errorf("%d is written %q (%v), want %q", origin, text, err, want)
		}
		got := cdc.Origin(99)
		if err := got.UnmarshalText(text); err != nil || got != origin {
			t.Errorf("%q is read as %s (%v)", text, got, err)
		}
	}
	if s := cdc.Origin(9).String(); s != "Origin(9)" {
		t.Errorf("an unknown origin prints %q", s)
	}
	origin := cdc.Replayed
	if err := origin.UnmarshalText([]byte("Live")); err == nil || origin != cdc.Replayed {
		t.Errorf("an unknown text is read as %s (%v)", origin, err)
	}
}

func TestTypeAsText(t *testing.T) {
	for typ := cdc.TypeAny; typ <= cdc.TypeObject; typ++ {
		text, err := typ.MarshalText()
		got := cdc.Type(99)
		if err != nil || string(text) != typ.String() || got.UnmarshalText(text) != nil || got != typ {
			t.Errorf("%q is read as %s (%v)", text, got, err)
		}
	}
	typ := cdc.TypeBool
	for _, bad := range []string{"", "String", "Type(99)"} {
		if err := typ.UnmarshalText([]byte(bad)); err == nil || typ != cdc.TypeBool {
			t.Errorf("%q is read as %s (%v)", bad, typ, err)
		}
	}
}

func TestIDAndOpInJSON(t *testing.T) {
	type row struct {
		ID     cdc.ID
		Op     cdc.Op
		Origin cdc.Origin
		Total  cdc.Decimal
	}
	b, err := json.Marshal(row{ID: cdc.ID{15: 1}, Op: cdc.Updated, Origin: cdc.Resolved, Total: decimal(t, "1.50")})
	want := `{"ID":"00000000-0000-0000-0000-000000000001","Op":"updated","Origin":"resolved","Total":1.50}`
	if err != nil || string(b) != want {
		t.Errorf("got %s (%v), want %s", b, err, want)
	}
}

func TestChangePrintsNoData(t *testing.T) {
	c := cdc.Change{
		ChangeID: cdc.ID{15: 1}, Seq: 7, Op: cdc.Updated, Resource: "users", RecordID: "u1",
		Data: cdc.Record{"password": "hunter2"}, Before: cdc.Record{"password": "hunter1"},
	}
	want := "updated users/u1 (00000000-0000-0000-0000-000000000001, seq 7)"
	if got := c.String(); got != want {
		t.Errorf("prints %q, want %q", got, want)
	}
	if k := c.RecordKey(); k != (cdc.Key{Resource: "users", RecordID: "u1"}) || k.String() != "users/u1" {
		t.Errorf("the record's key is %s", k)
	}
}

func TestSchemaField(t *testing.T) {
	s := cdc.Schema{Fields: []cdc.Field{{Name: "a", Type: cdc.TypeInt}, {Name: "b", Type: cdc.TypeDate}}}
	if f, ok := s.Field("b"); !ok || f.Type != cdc.TypeDate {
		t.Errorf("field b is %+v, %v", f, ok)
	}
	if _, ok := s.Field("c"); ok {
		t.Error("there is a field c")
	}
	if cdc.TypeAny.String() != "any" || cdc.TypeObject.String() != "object" || cdc.Type(99).String() != "Type(99)" {
		t.Error("types print wrongly")
	}
}
