package cdc_test

import (
	"encoding/json"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/s3db-go/replicator/cdc"
)

type (
	named    string
	count    uint8
	flag     bool
	ratio    float32
	octet    byte
	names    []named
	settings map[named]count
)

func decimal(t testing.TB, s string) cdc.Decimal {
	t.Helper()
	d, err := cdc.ParseDecimal(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// identical compares values of the closed list: types, decimals with their scale,
// nil apart from empty.
var identical = cmp.Options{
	cmp.Transformer("fields", func(r cdc.Record) map[string]any { return r }),
	cmp.Comparer(func(a, b cdc.Decimal) bool { return a == b }),
}

func TestNormalizeGivesValuesOfTheClosedList(t *testing.T) {
	cet := time.FixedZone("CET", 3600)
	huge, _ := new(big.Int).SetString("123456789012345678901234567890", 10)
	for name, c := range map[string]struct{ in, want any }{
		"nil":                {nil, nil},
		"bool":               {true, true},
		"int64":              {int64(math.MinInt64), int64(math.MinInt64)},
		"float64":            {1.5, 1.5},
		"decimal":            {decimal(t, "1.50"), decimal(t, "1.50")},
		"string":             {"naïve", "naïve"},
		"empty string":       {"", ""},
		"bytes":              {[]byte{0xff}, []byte{0xff}},
		"empty bytes":        {[]byte{}, []byte{}},
		"int":                {-7, int64(-7)},
		"int8":               {int8(-8), int64(-8)},
		"int16":              {int16(-16), int64(-16)},
		"int32":              {int32(-32), int64(-32)},
		"uint8":              {uint8(8), int64(8)},
		"uint32":             {uint32(math.MaxUint32), int64(math.MaxUint32)},
		"uint64 that fits":   {uint64(math.MaxInt64), int64(math.MaxInt64)},
		"uint64 above int64": {uint64(math.MaxUint64), decimal(t, "18446744073709551615")},
		"uint above int64":   {uint(1 << 63), decimal(t, "9223372036854775808")},
		"float32":            {float32(0.1), 0.1},
		"named string":       {named("a"), "a"},
		"named uint8":        {count(3), int64(3)},
		"named bool":         {flag(true), true},
		"named float32":      {ratio(0.1), 0.1},
		"duration":           {time.Second, int64(1e9)},
		"time elsewhere":     {time.Date(2026, 8, 1, 13, 0, 0, 1999, cet), time.Date(2026, 8, 1, 12, 0, 0, 1000, time.UTC)},
		"big.Int that fits":  {big.NewInt(5), int64(5)},
		"big.Int":            {huge, decimal(t, "123456789012345678901234567890")},
		"json integer":       {json.Number("9007199254740993"), int64(9007199254740993)},
		"json fraction":      {json.Number("1.50"), decimal(t, "1.50")},
		"json exponent":      {json.Number("1e3"), decimal(t, "1000")},
		"raw json":           {json.RawMessage(`{}`), []byte(`{}`)},
		"array of bytes":     {[2]byte{1, 2}, []byte{1, 2}},
		"named bytes":        {[]octet{1, 2}, []byte{1, 2}},
		"slice":              {[]string{"a", "b"}, []any{"a", "b"}},
		"named slice":        {names{"a"}, []any{"a"}},
		"array":              {[2]int{1, 2}, []any{int64(1), int64(2)}},
		"slice of any":       {[]any{1, nil, []int{2}}, []any{int64(1), nil, []any{int64(2)}}},
		"empty slice":        {[]any{}, []any{}},
		"map":                {map[string]any{"a": 1}, map[string]any{"a": int64(1)}},
		"typed map":          {map[string]int{"a": 1}, map[string]any{"a": int64(1)}},
		"named map":          {settings{"a": 1}, map[string]any{"a": int64(1)}},
		"record in a record": {cdc.Record{"a": 1}, map[string]any{"a": int64(1)}},
		"empty map":          {map[string]any{}, map[string]any{}},
		"nil bytes":          {[]byte(nil), nil},
		"nil slice":          {[]any(nil), nil},
		"nil typed slice":    {[]string(nil), nil},
		"nil map":            {map[string]any(nil), nil},
		"nil typed map":      {map[string]int(nil), nil},
		"nil big.Int":        {(*big.Int)(nil), nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := cdc.NormalizeValue(c.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got, identical); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if again, err := cdc.NormalizeValue(got); err != nil || !cmp.Equal(got, again, identical) {
				t.Errorf("normalized again it is %#v (%v)", again, err)
			}
		})
	}
}

func TestNormalizeOfARecord(t *testing.T) {
	if r, err := cdc.Normalize(nil); r != nil || err != nil {
		t.Errorf("no record gives %#v, %v; want none", r, err)
	}
	r, err := cdc.Normalize(cdc.Record{})
	if r == nil || len(r) != 0 || err != nil {
		t.Errorf("the empty record gives %#v, %v; want an empty one", r, err)
	}
	r, err = cdc.Normalize(cdc.Record{"absent is not nil": nil, "": ""})
	if diff := cmp.Diff(cdc.Record{"absent is not nil": nil, "": ""}, r, identical); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func TestNormalizeNamesThePath(t *testing.T) {
	var loop []any
	loop = []any{&loop}
	endless := map[string]any{}
	endless["a"] = endless
	deep := any("bottom")
	for range cdc.MaxDepth + 1 {
		deep = []any{deep}
	}
	for name, c := range map[string]struct {
		in   any
		want string
	}{
		"struct":            {struct{}{}, "field f: a struct {} can't be replicated"},
		"pointer":           {new(int), "field f: a *int can't be replicated"},
		"function":          {func() {}, "field f: a func() can't be replicated"},
		"channel":           {make(chan int), "field f: a chan int can't be replicated"},
		"complex":           {1i, "field f: a complex128 can't be replicated"},
		"NaN":               {math.NaN(), "field f: NaN is not a number that can be replicated"},
		"infinity":          {float32(math.Inf(1)), "field f: +Inf is not a number that can be replicated"},
		"not UTF-8":         {"\xff", "field f: text is not valid UTF-8"},
		"named, not UTF-8":  {named("\xff"), "field f: text is not valid UTF-8"},
		"json.Number":       {json.Number("x"), "field f: is not a number"},
		"keys not strings":  {map[int]int{}, "field f: map[int]int has keys that are not strings"},
		"key not UTF-8":     {map[string]any{"\xff": 1}, `field f."\xff": name is not valid UTF-8`},
		"typed key":         {map[named]int{"\xff": 1}, `field f."\xff": name is not valid UTF-8`},
		"in a slice":        {[]any{1, new(int)}, "field f[1]: a *int can't be replicated"},
		"in a typed slice":  {[]*int{nil}, "field f[0]: a *int can't be replicated"},
		"in a map":          {map[string]any{"a": new(int)}, "field f.a: a *int can't be replicated"},
		"in a typed map":    {map[string]*int{"a": nil}, "field f.a: a *int can't be replicated"},
		"in the midst":      {map[string]any{"a": []any{0, map[string]any{"b": [][]any{{new(int)}}}}}, "field f.a[1].b[0][0]: a *int can't be replicated"},
		"a pointer to self": {loop, "field f[0]: a *[]interface {} can't be replicated"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := cdc.Normalize(cdc.Record{"f": c.in})
			if r != nil || err == nil || err.Error() != c.want {
				t.Errorf("gave %v and %q, want %q", r, err, c.want)
			}
		})
	}
	for name, v := range map[string]any{"too deep": deep, "contains itself": endless} {
		_, err := cdc.Normalize(cdc.Record{"f": v})
		if err == nil || !strings.HasSuffix(err.Error(), ": nested deeper than 100") || !strings.HasPrefix(err.Error(), "field f") {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := cdc.Normalize(cdc.Record{"\xff": 1})
	if err == nil || err.Error() != `field "\xff": name is not valid UTF-8` {
		t.Errorf("a field's name: %v", err)
	}
}

func TestNormalizeReportsAllFields(t *testing.T) {
	_, err := cdc.Normalize(cdc.Record{"good": 1, "b": new(int), "a": math.NaN(), "c": []any{"\xff"}})
	want := "field a: NaN is not a number that can be replicated\n" +
		"field b: a *int can't be replicated\n" +
		"field c[0]: text is not valid UTF-8"
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestNormalizeCopies(t *testing.T) {
	text, list, object, typed := []byte("bytes"), []any{"a", []byte("b")}, map[string]any{"k": []any{"v"}}, []string{"t"}
	in := cdc.Record{"text": text, "list": list, "object": object, "typed": typed}
	got, err := cdc.Normalize(in)
	if err != nil {
		t.Fatal(err)
	}
	text[0] = 'X'
	list[1].([]byte)[0] = 'X'
	list[0] = "X"
	object["k"].([]any)[0] = "X"
	object["new"] = "X"
	typed[0] = "X"
	in["new"] = "X"
	want := cdc.Record{
		"text": []byte("bytes"), "list": []any{"a", []byte("b")},
		"object": map[string]any{"k": []any{"v"}}, "typed": []any{"t"},
	}
	if diff := cmp.Diff(want, got, identical); diff != "" {
		t.Errorf("what the caller did to its values shows:\n%s", diff)
	}
}

// values draws values as a careless caller has them, inside and outside the closed
// list, nested up to depth.
func values(depth int) *rapid.Generator[any] {
	kinds := []*rapid.Generator[any]{
		rapid.SampledFrom([]any{
			nil, math.NaN(), math.Inf(1), "\xff", new(int), (*int)(nil), struct{}{}, named("n"), count(1), time.Now(),
			json.Number("1e999999999"), json.Number(""), big.NewInt(1), []octet{1}, reflect.ValueOf(1), func() {},
			uint64(math.MaxUint64), []byte(nil), cdc.Record(nil), cdc.Decimal{}, "0x10", "1e400", "2026-08-01T12:00:00Z",
		}),
		rapid.Bool().AsAny(), rapid.Int().AsAny(), rapid.Int64().AsAny(), rapid.Float64().AsAny(), rapid.String().AsAny(),
		rapid.SliceOf(rapid.Byte()).AsAny(),
	}
	if depth > 0 {
		kinds = append(kinds, rapid.SliceOfN(values(depth-1), 0, 4).AsAny(),
			rapid.MapOfN(rapid.String(), values(depth-1), 0, 4).AsAny())
	}
	return rapid.OneOf(kinds...)
}

func inClosedList(v any) bool {
	switch v := v.(type) {
	case nil, bool, int64, float64, cdc.Decimal, string, []byte:
		return true
	case time.Time:
		return v.Location() == time.UTC && v.Nanosecond()%1000 == 0
	case []any:
		return !slices.ContainsFunc(v, func(e any) bool { return !inClosedList(e) })
	case map[string]any:
		for _, e := range v {
			if !inClosedList(e) {
				return false
			}
		}
		return true
	}
	return false
}

func TestNormalizeTakesAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := cdc.Record(rapid.MapOfN(rapid.String(), values(3), 0, 5).Draw(t, "record"))
		got, err := cdc.Normalize(r)
		if err != nil {
			return
		}
		if !inClosedList(map[string]any(got)) {
			t.Fatalf("gave %#v", got)
		}
		if again, err := cdc.Normalize(got); err != nil || !got.Equal(again) {
			t.Fatalf("%#v normalized again is %#v, %v", got, again, err)
		}
	})
}

func TestEqual(t *testing.T) {
	at := time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)
	same := [][2]any{
		{nil, nil},
		{true, true},
		{int64(1), int64(1)},
		{0.0, math.Copysign(0, -1)},
		{"a", "a"},
		{[]byte("a"), []byte("a")},
		{at, at.In(time.FixedZone("CET", 3600))},
		{decimal(t, "1.50"), decimal(t, "1.5")},
		{decimal(t, "-0.0"), cdc.Decimal{}},
		{[]any{"a", []any{}}, []any{"a", []any{}}},
		{map[string]any{"a": decimal(t, "2.0")}, map[string]any{"a": decimal(t, "2")}},
	}
	for _, p := range same {
		if !cdc.Equal(p[0], p[1]) || !cdc.Equal(p[1], p[0]) {
			t.Errorf("%#v and %#v are not equal", p[0], p[1])
		}
	}
	different := [][2]any{
		{nil, false},
		{nil, ""},
		{nil, []any{}},
		{int64(1), 1.0},
		{int64(1), decimal(t, "1")},
		{"a", []byte("a")},
		{"1", int64(1)},
		{at, at.Add(time.Microsecond)},
		{[]any{"a"}, []any{"b"}},
		{[]any{"a"}, []any{"a", "a"}},
		{map[string]any{"a": nil}, map[string]any{}},
		{map[string]any{"a": nil}, map[string]any{"b": nil}},
		{math.NaN(), math.NaN()},
	}
	for _, p := range different {
		if cdc.Equal(p[0], p[1]) || cdc.Equal(p[1], p[0]) {
			t.Errorf("%#v and %#v are equal", p[0], p[1])
		}
	}
}

func TestRecordEqual(t *testing.T) {
	var absent cdc.Record
	empty, some := cdc.Record{}, cdc.Record{"a": []any{int64(1)}}
	for _, c := range []struct {
		a, b cdc.Record
		want bool
	}{
		{absent, absent, true}, {empty, empty, true}, {some, cdc.Record{"a": []any{int64(1)}}, true},
		{absent, empty, false}, {empty, absent, false}, {some, empty, false}, {some, cdc.Record{"a": nil}, false},
	} {
		if got := c.a.Equal(c.b); got != c.want {
			t.Errorf("%#v.Equal(%#v) is %v", c.a, c.b, got)
		}
	}
}
