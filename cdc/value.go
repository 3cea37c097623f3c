package cdc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"sort"
	"strconv"
	"time"
	"unicode/utf8"
)

// MaxDepth bounds how deep arrays and maps may nest in a field; a value that
// contains itself is found by it. No destination takes JSON that is deeper.
const MaxDepth = 100

// Normalize gives a copy of the record in which every value is of the closed list
// that travels:
//
//	nil, bool, int64, float64, Decimal, string, []byte, time.Time (UTC, µs),
//	[]any, map[string]any
//
// All Go integers become int64, or Decimal above its range; named types become
// their kind; times are moved to UTC and cut to microseconds; *big.Int and
// json.Number become int64 or Decimal; nil slices, maps and *big.Ints become nil;
// slices and maps are copied deeply, so the caller may go on using what it passed
// in. Anything else (a struct, a pointer, a function), a NaN or an infinity, text
// or a name that is not UTF-8, and nesting deeper than [MaxDepth] are errors that
// name the path. Every field at fault is told at once, each with the first fault
// in it: a value that contains itself may have more faults than can be counted.
func Normalize(r Record) (Record, error) {
	if r == nil {
		return nil, nil
	}
	out := make(Record, len(r))
	var errs []error
	for k, v := range r {
		if err := normalizeField(out, k, v, 0); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		// Maps have no order; the message should.
		sort.Slice(errs, func(i, j int) bool { return errs[i].Error() < errs[j].Error() })
		return nil, errors.Join(errs...)
	}
	return out, nil
}

// NormalizeValue does for one value what [Normalize] does for a record.
func NormalizeValue(v any) (any, error) { return normalize(v, 0) }

// pathError is a fault below the top of a value; the path grows on the way up.
type pathError struct {
	path   string
	reason string
}

func (e *pathError) Error() string { return "field " + e.path + ": " + e.reason }

func fault(format string, args ...any) error { return &pathError{reason: fmt.Sprintf(format, args...)} }

// prefix puts one step in front of the path of a fault.
func prefix(step string, err error) error {
	p, ok := errors.AsType[*pathError](err)
	if !ok {
		return err
	}
	if p.path != "" && p.path[0] != '[' {
		step += "."
	}
	return &pathError{path: step + p.path, reason: p.reason}
}

// normalizeField puts one field of a record or a nested map into out.
func normalizeField(out map[string]any, name string, v any, depth int) error {
	if !utf8.ValidString(name) {
		return prefix(strconv.Quote(name), fault("name is not valid UTF-8"))
	}
	n, err := normalize(v, depth)
	if err != nil {
		return prefix(name, err)
	}
	out[name] = n
	return nil
}

func normalize(v any, depth int) (any, error) {
	if depth > MaxDepth {
		return nil, fault("nested deeper than %d", MaxDepth)
	}
	// The values of the list first: they are the hot path, and need no reflection.
	// What stays as it is goes back in the interface that it came in: putting it in
	// another would allocate.
	same := v
	switch v := v.(type) {
	case nil, bool, int64, Decimal:
		return same, nil
	case string:
		if !utf8.ValidString(v) {
			return nil, fault("text is not valid UTF-8")
		}
		return same, nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fault("%v is not a number that can be replicated", v)
		}
		return same, nil
	case int:
		return int64(v), nil
	case []byte:
		if v == nil {
			return nil, nil
		}
		return bytes.Clone(v), nil
	case time.Time:
		return v.UTC().Truncate(time.Microsecond), nil
	case []any:
		if v == nil {
			return nil, nil
		}
		out := make([]any, len(v))
		for i, e := range v {
			n, err := normalize(e, depth+1)
			if err != nil {
				return nil, prefix("["+strconv.Itoa(i)+"]", err)
			}
			out[i] = n
		}
		return out, nil
	case map[string]any:
		if v == nil {
			return nil, nil
		}
		out := make(map[string]any, len(v))
		for k, e := range v {
			if err := normalizeField(out, k, e, depth+1); err != nil {
				return nil, err
			}
		}
		return out, nil
	case json.Number:
		return number(v.String())
	case *big.Int:
		if v == nil {
			return nil, nil
		}
		return number(v.String())
	}
	return reflected(reflect.ValueOf(v), depth)
}

// reflected handles named types, the other sizes of numbers, and typed slices and
// maps.
func reflected(v reflect.Value, depth int) (any, error) {
	switch v.Kind() {
	case reflect.Bool:
		return v.Bool(), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int(), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		if u := v.Uint(); u > math.MaxInt64 {
			return Decimal{strconv.FormatUint(u, 10)}, nil
		}
		return int64(v.Uint()), nil
	case reflect.Float32:
		// By way of its shortest text, so that float32(0.1) is 0.1 and not
		// 0.10000000149011612.
		f, _ := strconv.ParseFloat(strconv.FormatFloat(v.Float(), 'g', -1, 32), 64)
		return normalize(f, depth)
	case reflect.Float64:
		return normalize(v.Float(), depth)
	case reflect.String:
		return normalize(v.String(), depth)
	case reflect.Slice, reflect.Array:
		if v.Kind() == reflect.Slice && v.IsNil() {
			return nil, nil
		}
		if v.Type().Elem().Kind() == reflect.Uint8 {
			b := make([]byte, v.Len())
			for i := range b {
				b[i] = byte(v.Index(i).Uint())
			}
			return b, nil
		}
		out := make([]any, v.Len())
		for i := range out {
			n, err := normalize(v.Index(i).Interface(), depth+1)
			if err != nil {
				return nil, prefix("["+strconv.Itoa(i)+"]", err)
			}
			out[i] = n
		}
		return out, nil
	case reflect.Map:
		if v.Type().Key().Kind() != reflect.String {
			return nil, fault("%s has keys that are not strings", v.Type())
		}
		if v.IsNil() {
			return nil, nil
		}
		out := make(map[string]any, v.Len())
		for it := v.MapRange(); it.Next(); {
			if err := normalizeField(out, it.Key().String(), it.Value().Interface(), depth+1); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return nil, fault("a %s can't be replicated", v.Type())
}

func number(s string) (any, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, nil
	}
	d, err := ParseDecimal(s)
	if err != nil {
		return nil, fault("is not a number")
	}
	return d, nil
}

// Equal reports whether two normalized values are the same: of the same type, and
// equal by value (decimals by their number, times by their instant). A nil record
// equals only a nil record; use it on records as Equal(map[string]any(a), …) or
// through [Record.Equal].
func Equal(a, b any) bool {
	switch a := a.(type) {
	case []byte:
		b, ok := b.([]byte)
		return ok && bytes.Equal(a, b)
	case time.Time:
		b, ok := b.(time.Time)
		return ok && a.Equal(b)
	case Decimal:
		b, ok := b.(Decimal)
		return ok && a.Cmp(b) == 0
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !Equal(a[i], b[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && Record(a).Equal(b)
	case nil, bool, int64, float64, string:
		return a == b
	}
	return reflect.DeepEqual(a, b)
}

// Equal reports whether both records have the same fields with equal values. A
// nil record (the record is absent) equals only a nil record.
func (r Record) Equal(s Record) bool {
	if len(r) != len(s) || (r == nil) != (s == nil) {
		return false
	}
	for k, v := range r {
		w, ok := s[k]
		if !ok || !Equal(v, w) {
			return false
		}
	}
	return true
}
