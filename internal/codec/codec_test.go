package codec_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/codec"
)

var noon = time.Date(2026, 8, 1, 12, 0, 0, 123456000, time.UTC)

// order is a change of the size that most changes have: ten fields.
func order(op cdc.Op) cdc.Change {
	c := cdc.Change{
		ChangeID:      cdc.ID{1, 2, 3, 15: 16},
		Seq:           123456,
		Version:       uint64(noon.UnixMilli())<<16 | 7,
		Op:            op,
		Resource:      "orders",
		RecordID:      "ord_8f14e45fceea",
		Time:          noon,
		SchemaVersion: 3,
		Trace:         "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		Data: cdc.Record{
			"id":        "ord_8f14e45fceea",
			"customer":  "cus_9b74c9897bac",
			"status":    "paid",
			"total":     149.95,
			"items":     int64(3),
			"gift":      false,
			"createdAt": noon,
			"updatedAt": noon,
			"currency":  "EUR",
			"note":      nil,
		},
	}
	if op != cdc.Inserted {
		c.Before = c.Data.Clone()
		c.Before["status"] = "open"
	}
	return c
}

// exactly compares as the codec promises: types, float bits, decimal scales, and
// nil apart from empty.
var exactly = cmp.Options{
	// Otherwise cmp would ask Record.Equal, which compares by value.
	cmp.Transformer("fields", func(r cdc.Record) map[string]any { return r }),
	cmp.Comparer(func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }),
	cmp.Comparer(func(a, b cdc.Decimal) bool { return a == b }),
	cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) && a.Location() == b.Location() }),
}

func mustAppend(t testing.TB, c *cdc.Change) []byte {
	t.Helper()
	b, err := codec.AppendChange(nil, c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestChangeComesBackExactly(t *testing.T) {
	decimal := func(s string) cdc.Decimal {
		d, err := cdc.ParseDecimal(s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	for name, data := range map[string]cdc.Record{
		"nil":      nil,
		"empty":    {},
		"nothing":  {"": nil},
		"booleans": {"yes": true, "no": false},
		"integers": {"zero": int64(0), "max": int64(math.MaxInt64), "min": int64(math.MinInt64), "2^53+1": int64(1<<53 + 1)},
		"floats": {"zero": 0.0, "minus zero": math.Copysign(0, -1), "tiny": math.SmallestNonzeroFloat64, "max": math.MaxFloat64,
			"third": 1.0 / 3, "inf": math.Inf(-1), "a nan": math.Float64frombits(0x7ff8_0000_dead_beef)},
		"decimals": {"zero": cdc.Decimal{}, "scaled": decimal("1.50"), "unscaled": decimal("1.5"), "scaled zero": decimal("0.00"),
			"negative": decimal("-123456789012345678901234567890.000000001")},
		"text":  {"empty": "", "unicode": "naïve 日本 \U0001F600", "binary": "\x00\xff", "long": strings.Repeat("x", 1<<20)},
		"bytes": {"nil": []byte(nil), "empty": []byte{}, "some": []byte{0, 1, 255}},
		"times": {"now": noon, "zero": time.Time{}, "before 1970": time.Unix(-1, 999999000).UTC(),
			"far": time.Unix(math.MaxInt64, 0).UTC(), "farther": time.Unix(math.MinInt64, 0).UTC()},
		"arrays": {"nil": []any(nil), "empty": []any{}, "mixed": []any{nil, "a", int64(1), []any{[]any{}}}},
		"maps":   {"nil": map[string]any(nil), "empty": map[string]any{}, "nested": map[string]any{"a": map[string]any{"b": []byte("c")}}},
	} {
		t.Run(name, func(t *testing.T) {
			want := order(cdc.Updated)
			want.Data, want.Before = data, data
			b := mustAppend(t, &want)
			if len(b) != codec.SizeChange(&want) {
				t.Errorf("%d bytes, SizeChange said %d", len(b), codec.SizeChange(&want))
			}
			got, err := codec.DecodeChange(b, codec.NewInterner())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, exactly); diff != "" {
				t.Error(diff)
			}

			b, err = codec.AppendRecord(nil, data)
			if err != nil {
				t.Fatal(err)
			}
			record, err := codec.DecodeRecord(b, nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(data, record, exactly); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEveryFieldOfAChangeComesBack(t *testing.T) {
	for _, want := range []cdc.Change{
		{Op: cdc.Inserted},
		order(cdc.Inserted),
		order(cdc.Deleted),
		{Op: cdc.Deleted, Origin: cdc.Replayed, Seq: math.MaxUint64, Version: 1<<63 - 1, SchemaVersion: math.MaxInt},
		{Op: cdc.Updated, Origin: cdc.Resolved, SchemaVersion: -1, Trace: "t", Before: cdc.Record{}},
	} {
		got, err := codec.DecodeChange(mustAppend(t, &want), nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, exactly); diff != "" {
			t.Error(diff)
		}
	}
}

// The form is fixed: these bytes were written by the first version and must be
// read, and written, by every later one.
func TestFormIsFixed(t *testing.T) {
	fields := []struct {
		name  string
		value any
		bytes string
	}{
		{"nil", nil, "00"},
		{"false", false, "01"},
		{"true", true, "02"},
		{"int", int64(-300), "03 d704"},
		{"float", 1.5, "04 000000000000f83f"},
		{"decimal", func() cdc.Decimal { d, _ := cdc.ParseDecimal("-1.50"); return d }(), "05 05 2d312e3530"},
		{"string", "é", "06 02 c3a9"},
		{"bytes", []byte{0xff}, "07 02 ff"},
		{"nil bytes", []byte(nil), "07 00"},
		{"time", time.Unix(2, 3000).UTC(), "08 04 03"},
		{"array", []any{nil, true}, "09 03 00 02"},
		{"map", map[string]any{"a": int64(1)}, "0a 02 01 61 03 02"},
	}
	for _, f := range fields {
		want, err := hex.DecodeString(strings.ReplaceAll("21 02 01 6b"+f.bytes, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		r := cdc.Record{"k": f.value}
		got, err := codec.AppendRecord(nil, r)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: wrote %x (%v), want %x", f.name, got, err, want)
		}
		read, err := codec.DecodeRecord(want, nil)
		if diff := cmp.Diff(r, read, exactly); err != nil || diff != "" {
			t.Errorf("%s: read %v (%v)", f.name, read, err)
		}
	}

	c := cdc.Change{
		ChangeID: cdc.ID{0xaa, 15: 0xbb}, Seq: 1, Version: 300, Op: cdc.Updated, Resource: "r", RecordID: "id",
		Data: cdc.Record{}, Time: time.Unix(1, 0).UTC(), Origin: cdc.Snapshot, SchemaVersion: 2, Trace: "t",
	}
	want, err := hex.DecodeString(strings.ReplaceAll(
		"11 02 01 aa0000000000000000000000000000bb 01 ac02 02 00 04 01 72 02 6964 01 74 01 00", " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	if got := mustAppend(t, &c); !bytes.Equal(got, want) {
		t.Errorf("wrote %x, want %x", got, want)
	}
	read, err := codec.DecodeChange(want, nil)
	if diff := cmp.Diff(c, read, exactly); err != nil || diff != "" {
		t.Errorf("read %+v (%v)", read, err)
	}
}

func TestWhatDoesNotTravelIsRefused(t *testing.T) {
	deep := any(int64(1))
	for range cdc.MaxDepth + 1 {
		deep = []any{deep}
	}
	loop := map[string]any{}
	loop["a"] = loop
	local := time.FixedZone("CET", 3600)
	for name, c := range map[string]struct {
		spoil func(*cdc.Change)
		says  string
	}{
		"no operation":    {func(c *cdc.Change) { c.Op = 0 }, "none is not exactly one"},
		"two operations":  {func(c *cdc.Change) { c.Op = cdc.Inserted | cdc.Updated }, "inserted|updated"},
		"unknown origin":  {func(c *cdc.Change) { c.Origin = 4 }, "Origin(4)"},
		"an int":          {func(c *cdc.Change) { c.Data["n"] = 1 }, `data: "n": a int does not travel`},
		"a pointer":       {func(c *cdc.Change) { c.Before["n"] = new(int) }, `before: "n": a *int`},
		"a nested func":   {func(c *cdc.Change) { c.Data["a"] = []any{nil, map[string]any{"f": func() {}}} }, `"a": [1]: "f": a func()`},
		"a record inside": {func(c *cdc.Change) { c.Data["a"] = cdc.Record{} }, "cdc.Record"},
		"too deep":        {func(c *cdc.Change) { c.Data["a"] = deep }, "deeper than 100"},
		"itself":          {func(c *cdc.Change) { c.Data["a"] = loop }, "deeper than 100"},
		"local time":      {func(c *cdc.Change) { c.Data["t"] = noon.In(local) }, `"t": time is not UTC`},
		"nanoseconds":     {func(c *cdc.Change) { c.Data["t"] = noon.Add(1) }, `"t": time is not UTC in whole microseconds`},
		"change's time":   {func(c *cdc.Change) { c.Time = noon.Add(1) }, "orders/ord_8f14e45fceea: time is not"},
	} {
		t.Run(name, func(t *testing.T) {
			change := order(cdc.Updated)
			c.spoil(&change)
			got, err := codec.AppendChange([]byte("before"), &change)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error is %v, want it to say %q", err, c.says)
			}
			if string(got) != "before" {
				t.Errorf("dst became %q", got)
			}
		})
	}
}

func TestNormalizedDepthTravels(t *testing.T) {
	v := any("bottom")
	for range cdc.MaxDepth {
		v = []any{v}
	}
	r, err := cdc.Normalize(cdc.Record{"deep": v})
	if err != nil {
		t.Fatal(err)
	}
	b, err := codec.AppendRecord(nil, r)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := codec.DecodeRecord(b, nil); err != nil || !got.Equal(r) {
		t.Errorf("the deepest value that is normalized does not come back: %v", err)
	}
}

func TestDamagedInputIsRefused(t *testing.T) {
	good := order(cdc.Updated)
	whole := mustAppend(t, &good)
	if _, err := codec.DecodeChange(nil, nil); err == nil {
		t.Error("no bytes at all were accepted")
	}
	for n := range whole {
		if _, err := codec.DecodeChange(whole[:n], nil); err == nil {
			t.Fatalf("the first %d of %d bytes were accepted", n, len(whole))
		}
	}
	if _, err := codec.DecodeChange(append(slices.Clone(whole), 0), nil); err == nil || !strings.Contains(err.Error(), "1 bytes left over") {
		t.Errorf("a trailing byte: %v", err)
	}

	nested := strings.Repeat("09 02 ", cdc.MaxDepth+1) + "00"
	for name, c := range map[string]struct{ record, says string }{
		"another form":         {"11 01", "byte 1: unknown form 0x11"},
		"unknown tag":          {"21 02 01 61 0b", "byte 5: unknown tag 0x0b"},
		"name twice":           {"21 03 01 61 00 01 61 00", "a name occurs twice"},
		"text too long":        {"21 02 01 61 06 05 61", "ends too early"},
		"length of 2^64-1":     {"21 02 01 61 06 ffffffffffffffffff01", "ends too early"},
		"number too long":      {"21 02 01 61 03 ffffffffffffffffffff01", "malformed number"},
		"number without end":   {"21 02 01 61 03 ff", "malformed number"},
		"float cut":            {"21 02 01 61 04 00000000", "ends too early"},
		"microseconds too big": {"21 02 01 61 08 00 c0843d", "malformed time"},
		"fields too many":      {"21 ff01 01 61 00", "more elements than bytes"},
		"2^64-1 elements":      {"21 02 01 61 09 ffffffffffffffffff01", "more elements than bytes"},
		"bytes too many":       {"21 02 01 61 07 7f 00", "more elements than bytes"},
		"nested too deep":      {"21 02 01 61 " + nested, "deeper than 100"},
		"decimal no number":    {"21 02 01 61 05 01 78", "malformed decimal"},
		"decimal exponent":     {"21 02 01 61 05 03 316539", "malformed decimal"},
		"decimal not plain":    {"21 02 01 61 05 02 3031", "malformed decimal"},
	} {
		b, err := hex.DecodeString(strings.ReplaceAll(c.record, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		if r, err := codec.DecodeRecord(b, nil); err == nil || r != nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: gave %v, %v; want an error that says %q", name, r, err, c.says)
		}
	}
	for i, c := range map[int]string{1: "unknown operation", 2: "unknown origin"} {
		b := slices.Clone(whole)
		b[i] = 0x7f
		if _, err := codec.DecodeChange(b, nil); err == nil || !strings.Contains(err.Error(), c) {
			t.Errorf("byte %d damaged: %v, want %q", i, err, c)
		}
	}
}

func TestResultSharesNoMemoryWithTheInput(t *testing.T) {
	want := order(cdc.Updated)
	want.Data["bytes"] = []byte("some bytes")
	b := mustAppend(t, &want)
	in := codec.NewInterner()
	got, err := codec.DecodeChange(b, in)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		b[i] = 'X'
	}
	if diff := cmp.Diff(want, got, exactly); diff != "" {
		t.Error(diff)
	}
	// Nor does what the interner keeps.
	again, err := codec.DecodeChange(mustAppend(t, &want), in)
	if diff := cmp.Diff(want, again, exactly); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func TestAppendKeepsWhatIsThere(t *testing.T) {
	c := order(cdc.Inserted)
	b, err := codec.AppendChange([]byte("frame:"), &c)
	if err != nil {
		t.Fatal(err)
	}
	rest, found := bytes.CutPrefix(b, []byte("frame:"))
	if !found {
		t.Fatalf("wrote %q…", b[:10])
	}
	if got, err := codec.DecodeChange(rest, nil); err != nil || got.ChangeID != c.ChangeID {
		t.Errorf("read back %v, %v", got, err)
	}
}

func TestAllocations(t *testing.T) {
	c := order(cdc.Updated)
	b := mustAppend(t, &c)
	buf := make([]byte, 0, len(b))
	if n := testing.AllocsPerRun(100, func() { codec.AppendChange(buf, &c) }); n != 0 {
		t.Errorf("encoding into a buffer allocates %v times, want 0", n)
	}
	// Growing is one allocation, of which the race detector may make two.
	grow := testing.AllocsPerRun(100, func() { buf = slices.Grow([]byte(nil), len(b)) })
	if n := testing.AllocsPerRun(100, func() { codec.AppendChange(nil, &c) }); n > grow {
		t.Errorf("encoding allocates %v times, growing a slice once %v", n, grow)
	}
	if n := testing.AllocsPerRun(100, func() { codec.SizeChange(&c) }); n != 0 {
		t.Errorf("SizeChange allocates %v times, want 0", n)
	}
	in := codec.NewInterner()
	with := testing.AllocsPerRun(100, func() { codec.DecodeChange(b, in) })
	without := testing.AllocsPerRun(100, func() { codec.DecodeChange(b, nil) })
	// The names of ten fields, twice, and of the resource.
	if without-with != 21 {
		t.Errorf("decoding allocates %v times with interned names, %v without; want 21 less", with, without)
	}
}

// Short strings come into the map together, long ones and what is no string alone: any
// number of them, in any mixture.
func TestAnyNumberOfStringsComesBack(t *testing.T) {
	for n := range 40 {
		for _, size := range []int{0, 1, 63, 64, 65} {
			want := cdc.Record{"list": []any{"a", "b"}, "long": strings.Repeat("l", 100), "number": int64(n)}
			for i := range n {
				want[fmt.Sprint("field", i)] = strings.Repeat(string(rune('a'+i)), size)
			}
			b, err := codec.AppendRecord(nil, want)
			if err != nil {
				t.Fatal(err)
			}
			got, err := codec.DecodeRecord(b, nil)
			if diff := cmp.Diff(want, got, exactly); err != nil || diff != "" {
				t.Fatalf("%d strings of %d bytes: %v %s", n, size, err, diff)
			}
		}
	}
}

// Eight short strings are one text and one array of values.
func TestShortStringsAreAllocatedTogether(t *testing.T) {
	allocations := func(value any) float64 {
		r := cdc.Record{}
		for i := range 8 {
			r[fmt.Sprint("field", i)] = value
		}
		b, err := codec.AppendRecord(nil, r)
		if err != nil {
			t.Fatal(err)
		}
		in := codec.NewInterner()
		return testing.AllocsPerRun(100, func() { codec.DecodeRecord(b, in) })
	}
	if n := allocations("a short string") - allocations(nil); n != 2 {
		t.Errorf("eight short strings take %v allocations, want 2", n)
	}
}

// Two names that look alike to the table of recent ones are both remembered.
func TestNamesThatLookAlikeAreInterned(t *testing.T) {
	b, err := codec.AppendRecord(nil, cdc.Record{"billing_name": nil, "billing_rime": nil})
	if err != nil {
		t.Fatal(err)
	}
	in := codec.NewInterner()
	with := testing.AllocsPerRun(100, func() { codec.DecodeRecord(b, in) })
	without := testing.AllocsPerRun(100, func() { codec.DecodeRecord(b, nil) })
	if without-with != 2 {
		t.Errorf("decoding allocates %v times with interned names, %v without; want 2 less", with, without)
	}
}

func TestInternerIsBounded(t *testing.T) {
	in := codec.NewInterner()
	wide := cdc.Record{}
	name := []byte("aaaaaaaa")
	for range 20_000 {
		for i := range name {
			if name[i]++; name[i] <= 'z' {
				break
			}
			name[i] = 'a'
		}
		wide[string(name)] = nil
	}
	wide[strings.Repeat("n", 1<<10)] = nil
	b, err := codec.AppendRecord(nil, wide)
	if err != nil {
		t.Fatal(err)
	}
	got, err := codec.DecodeRecord(b, in)
	if err != nil || !maps.Equal(got, wide) {
		t.Errorf("names beyond the table's bound are not read: %v", err)
	}
	if n := codec.InternedNames(in); n > 4096 {
		t.Errorf("%d names are kept", n)
	}
}
