package cdc

import (
	"maps"
	"math"
	"strconv"
	"time"
)

// Record is the content of a resource's item: field names to values of the closed
// list that [Normalize] describes. A key that is absent, a nil value and an empty
// string are three different things. The typed getters never panic; what is
// absent or does not convert gives the zero value.
//
// A Record that came out of a Change or a Delivery is shared: copy it (see
// [Record.Clone]) before changing it, and never change what is nested in it.
type Record map[string]any

// Has reports whether the field is present, be it with a nil value.
func (r Record) Has(field string) bool { _, ok := r[field]; return ok }

// String gives the field's text. Only strings convert.
func (r Record) String(field string) string { s, _ := r[field].(string); return s }

// Bool gives the field's truth value. Only booleans convert.
func (r Record) Bool(field string) bool { b, _ := r[field].(bool); return b }

// Time gives the field's time. A time.Time and a string in RFC 3339 convert.
func (r Record) Time(field string) time.Time {
	switch v := r[field].(type) {
	case time.Time:
		return v
	case string:
		if t, err := time.Parse(time.RFC3339Nano, v); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}

// Int gives the field as an integer. Integers convert, floats and decimals
// without a fraction that fit, and strings that hold a decimal integer.
func (r Record) Int(field string) int64 {
	switch v := r[field].(type) {
	case int64:
		return v
	case int:
		return int64(v)
	case float64:
		// 2^63 itself is a float64 but not an int64.
		if v == math.Trunc(v) && v >= math.MinInt64 && v < math.MaxInt64 {
			return int64(v)
		}
	case Decimal:
		n, _ := v.Int64()
		return n
	case string:
		if n, err := strconv.ParseInt(v, 10, 64); err == nil {
			return n
		}
	}
	return 0
}

// Float gives the field as a float64, rounded to the nearest. Integers, floats,
// decimals and strings that hold a finite number convert.
func (r Record) Float(field string) float64 {
	switch v := r[field].(type) {
	case float64:
		return v
	case int64:
		return float64(v)
	case int:
		return float64(v)
	case Decimal:
		return v.Float64()
	case string:
		if f, err := strconv.ParseFloat(v, 64); err == nil && !math.IsInf(f, 0) && !math.IsNaN(f) {
			return f
		}
	}
	return 0
}

// Pick gives a new record with just the named fields, those that are present.
func (r Record) Pick(fields ...string) Record {
	out := make(Record, len(fields))
	for _, f := range fields {
		if v, ok := r[f]; ok {
			out[f] = v
		}
	}
	return out
}

// Clone gives a copy of the top level. Nested values stay shared. A nil record
// gives nil.
func (r Record) Clone() Record { return maps.Clone(r) }
