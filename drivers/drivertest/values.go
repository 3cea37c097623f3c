package drivertest

import (
	"cmp"
	"math"
	"strings"
	"time"

	"github.com/s3db-go/replicator/cdc"
)

// value is one row of the matrix: a field of that type with that value.
type value struct {
	name  string
	typ   cdc.Type
	value any
}

// values is the matrix: what destinations are known to get wrong.
func values() []value {
	return []value{
		{"empty", cdc.TypeString, ""},
		{"null", cdc.TypeString, nil},
		{"null_int", cdc.TypeInt, nil},
		{"null_time", cdc.TypeTime, nil},
		{"unicode", cdc.TypeString, "Grüße, 世界 🚀 e\u0301 \u2028 " + rowCanary},
		{"quotes", cdc.TypeString, `it's "quoted" \ 'twice'; DROP TABLE people; -- <&>`},
		{"lines", cdc.TypeString, "one\r\ntwo\tthree"},
		{"padded", cdc.TypeString, "  padded  "},
		{"word_null", cdc.TypeString, "null"},
		{"word_undefined", cdc.TypeString, "undefined"},
		{"like_json", cdc.TypeString, `{"a":[1,2]}`},
		{"like_list", cdc.TypeString, "[1,2]"},
		{"like_number", cdc.TypeString, "0012.50"},
		{"like_code", cdc.TypeString, "d:x"},
		{"yes", cdc.TypeBool, true},
		{"no", cdc.TypeBool, false},
		{"zero", cdc.TypeInt, int64(0)},
		{"beyond_double", cdc.TypeInt, int64(1<<53 + 1)},
		{"largest", cdc.TypeInt, int64(math.MaxInt64)},
		{"smallest", cdc.TypeInt, int64(math.MinInt64)},
		{"tenth", cdc.TypeFloat, 0.1},
		{"whole", cdc.TypeFloat, 3.0},
		{"tiny", cdc.TypeFloat, 5e-324},
		{"huge", cdc.TypeFloat, math.MaxFloat64},
		{"price", cdc.TypeDecimal, decimal("19.90")},
		{"digits", cdc.TypeDecimal, decimal("-12345678901234567890.123456789012345678901")},
		{"time", cdc.TypeTime, time.Date(2026, 2, 28, 23, 59, 59, 123456000, time.UTC)},
		{"epoch", cdc.TypeTime, time.Unix(0, 0).UTC()},
		{"long_ago", cdc.TypeTime, time.Date(1901, 1, 1, 0, 0, 0, 1000, time.UTC)},
		{"date", cdc.TypeDate, "2024-02-29"},
		{"bytes", cdc.TypeBytes, []byte{0, 1, 127, 128, 255}},
		{"no_bytes", cdc.TypeBytes, []byte{}},
		{"list", cdc.TypeArray, []any{int64(1), "two", nil, true, 2.5}},
		{"texts", cdc.TypeArray, []any{"a", "b|c", `d\e`, ""}},
		{"no_list", cdc.TypeArray, []any{}},
		{"nested", cdc.TypeObject, map[string]any{
			"street": "Größe 1", "no": int64(1<<53 + 1), "empty": "", "null": nil,
			"more": map[string]any{"list": []any{[]any{}, map[string]any{"x": false}}},
		}},
		{"no_object", cdc.TypeObject, map[string]any{}},
	}
}

func decimal(text string) cdc.Decimal {
	d, _ := cdc.ParseDecimal(text) // only for the literals above
	return d
}

func testValues(s *session) {
	schema := cdc.Schema{Resource: target, Version: 1, Key: []string{"id"}}
	for _, v := range values() {
		schema.Fields = append(schema.Fields, cdc.Field{Name: v.name, Type: v.typ})
	}
	// This one is declared and in no record.
	schema.Fields = append(schema.Fields, cdc.Field{Name: "absent", Type: cdc.TypeString})
	s.testValues(schema)
}

// testValuesUnderOpenSchema sends the matrix to a target of which nothing is known
// but what the values themselves show.
func testValuesUnderOpenSchema(s *session) {
	s.testValues(cdc.Schema{Resource: target, Version: 1, Key: []string{"id"}, Open: true})
}

func (s *session) testValues(schema cdc.Schema) {
	s.open(schema)
	all := cdc.Record{}
	for _, v := range values() {
		if v.value == nil && schema.Open {
			continue // a field of which only nil was ever seen has no type yet
		}
		all[v.name] = v.value
	}
	insert := s.insert("u1", all)
	s.mustApply(insert)
	s.holds(target, insert)

	// Every value gives way to another state of its field: nil, then absence, then
	// the value again.
	nulls := cdc.Record{}
	for field := range all {
		nulls[field] = nil
	}
	steps := []cdc.Delivery{insert, s.update("u1", nulls, all)}
	steps = append(steps, s.update("u1", cdc.Record{}, nulls), s.update("u1", all, cdc.Record{}))
	for i, step := range steps[1:] {
		s.mustApply(step)
		s.holds(target, steps[:i+2]...)
	}
}

func testLargeValue(s *session) {
	s.open()
	large := person(strings.Repeat("0123456789abcdef", cmp.Or(s.h.Large, 1<<20)/16))
	small := person("Ann")
	steps := []cdc.Delivery{s.insert("u1", large), s.update("u1", small, large), s.update("u1", large, small)}
	for i, step := range steps {
		s.mustApply(step)
		s.holds(target, steps[:i+1]...)
	}
}

func testSchemaGrows(s *session) {
	name := cdc.Field{Name: "name", Type: cdc.TypeString}
	age := cdc.Field{Name: "age", Type: cdc.TypeInt}
	one := cdc.Schema{Resource: target, Version: 1, Key: []string{"id"}, Fields: []cdc.Field{name}}
	two := cdc.Schema{Resource: target, Version: 2, Key: []string{"id"}, Fields: []cdc.Field{name, age}}
	s.open(one, one)
	first := s.insert("u1", cdc.Record{"name": "Ann"})
	s.mustApply(first)
	s.sync(target, two)
	second := s.insert("u2", person("Bob"))
	s.mustApply(second)
	s.sync(target, two)
	s.holds(target, first, second)
}
