package main

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A value is what a cell holds: nil, string (STRING, JSON, and DATE, DATETIME and TIME
// in the form in which they sort), []byte, int64, float64, bool, *big.Rat (NUMERIC,
// BIGNUMERIC), micros (TIMESTAMP), row (RECORD) or []any (REPEATED, never nil inside).
type value = any

// micros is a time in microseconds since 1970, UTC.
type micros int64

// row is a record by the names of its columns; what is absent is null.
type row map[string]value

// The years 1 to 9999, which is what times may be in.
const (
	minMicros micros = -62135596800000000
	maxMicros micros = 253402300799999999
	minDays          = -719162
	maxDays          = 2932896
)

var decimalForm = regexp.MustCompile(`^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?$`)

// parse reads a value of a scalar type from text: what a string in a row, a literal or
// a parameter of a query says.
func parse(typ, text string) (value, error) {
	switch typ {
	case "STRING":
		if !utf8.ValidString(text) {
			return nil, errors.New("is not valid UTF-8")
		}
		return text, nil
	case "BYTES":
		return base64.StdEncoding.DecodeString(text)
	case "INTEGER":
		return strconv.ParseInt(text, 10, 64)
	case "FLOAT":
		return strconv.ParseFloat(text, 64)
	case "BOOLEAN":
		return strconv.ParseBool(text)
	case "NUMERIC", "BIGNUMERIC":
		if !decimalForm.MatchString(text) {
			return nil, errors.New("is not a decimal number")
		}
		r, _ := new(big.Rat).SetString(text)
		return decimal(typ, r)
	case "JSON":
		return canonicalJSON(text)
	case "TIMESTAMP":
		t, err := parseTime(text, "2006-01-02 15:04:05.999999Z07:00", "2006-01-02T15:04:05.999999Z07:00", "2006-01-02 15:04:05.999999 MST")
		if err != nil {
			return nil, err
		}
		return timestamp(t.UnixMicro())
	case "DATE":
		t, err := parseTime(text, time.DateOnly)
		return t.Format(time.DateOnly), err
	case "DATETIME":
		t, err := parseTime(text, "2006-01-02 15:04:05.999999", "2006-01-02T15:04:05.999999")
		return t.Format("2006-01-02T15:04:05.000000"), err
	case "TIME":
		t, err := time.Parse("15:04:05.999999", text)
		if err != nil || t.Nanosecond()%1000 != 0 {
			return nil, errors.New("is not a TIME literal")
		}
		return t.Format("15:04:05.000000"), nil
	}
	return nil, fmt.Errorf("is %s, which has no text form here", typ)
}

// parseTime reads a time that is in the years that the types know.
func parseTime(text string, layouts ...string) (time.Time, error) {
	for _, layout := range layouts {
		t, err := time.Parse(layout, text)
		if err == nil && t.Year() >= 1 && t.Year() <= 9999 && t.Nanosecond()%1000 == 0 {
			return t, nil
		}
	}
	return time.Time{}, errors.New("is not a time in the form and range of its type")
}

func timestamp(us int64) (value, error) {
	if micros(us) < minMicros || micros(us) > maxMicros {
		return nil, errors.New("is outside of the years 1 to 9999")
	}
	return micros(us), nil
}

// decimal judges whether a number fits its type without rounding. The vendor rounds
// some ways of writing one, and refuses others; here none is rounded.
func decimal(typ string, r *big.Rat) (value, error) {
	scale, limit := 9, new(big.Int).Exp(big.NewInt(10), big.NewInt(38), nil) // 38 digits in all
	if typ == "BIGNUMERIC" {
		scale, limit = 38, new(big.Int).Lsh(big.NewInt(1), 255) // 32 bytes
	}
	scaled := new(big.Rat).Mul(r, new(big.Rat).SetInt(pow10(scale)))
	if !scaled.IsInt() {
		return nil, fmt.Errorf("has more than the %d decimals of %s", scale, typ)
	}
	lowest := new(big.Int).Neg(limit)
	if typ == "NUMERIC" {
		lowest.Add(lowest, big.NewInt(1))
	}
	if scaled.Num().Cmp(limit) >= 0 || scaled.Num().Cmp(lowest) < 0 {
		return nil, fmt.Errorf("is out of the range of %s", typ)
	}
	return r, nil
}

func pow10(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

// canonicalJSON gives a JSON text with sorted names and without space. A number that is
// not exact as an INT64, UINT64 or FLOAT64 is refused, as PARSE_JSON does.
func canonicalJSON(text string) (value, error) {
	if !utf8.ValidString(text) {
		return nil, errors.New("is not valid UTF-8")
	}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, errors.New("is not valid JSON")
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("is more than one JSON value")
	}
	if err := exactNumbers(v); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return strings.TrimSuffix(out.String(), "\n"), nil
}

func exactNumbers(v any) error {
	switch v := v.(type) {
	case json.Number:
		if _, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return nil
		}
		if _, err := strconv.ParseUint(string(v), 10, 64); err == nil {
			return nil
		}
		f, err := v.Float64()
		// Equal digits, not equal numbers: 0.1 is kept as what prints as 0.1.
		short, _ := new(big.Rat).SetString(strconv.FormatFloat(f, 'g', -1, 64))
		if exact, ok := new(big.Rat).SetString(string(v)); err != nil || !ok || short == nil || short.Cmp(exact) != 0 {
			return errors.New("holds a number that JSON can't keep without loss of precision")
		}
	case []any:
		for _, e := range v {
			if err := exactNumbers(e); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, e := range v {
			if err := exactNumbers(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// render is a value as REST answers it.
func render(c column, v value) any {
	if c.Mode == repeated {
		cells := []any{}
		elements, _ := v.([]any)
		c.Mode = nullable
		for _, e := range elements {
			cells = append(cells, map[string]any{"v": render(c, e)})
		}
		return cells
	}
	switch v := v.(type) {
	case nil:
		return nil
	case row:
		return renderRow(c.Fields, v)
	case []byte:
		return base64.StdEncoding.EncodeToString(v)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case *big.Rat:
		return decimalText(v)
	case string:
		if strings.HasSuffix(c.Type, "TIME") { // the fraction is there only if it says something
			return trimFraction(v)
		}
		return v
	}
	return fmt.Sprint(v)
}

func renderRow(columns []column, r row) map[string]any {
	cells := make([]any, len(columns))
	for i, c := range columns {
		cells[i] = map[string]any{"v": render(c, r[c.Name])}
	}
	return map[string]any{"f": cells}
}

func decimalText(r *big.Rat) string {
	text := r.FloatString(38)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

// class groups the types whose values compare with each other; "" does not compare.
func class(c column) string {
	switch {
	case c.Mode == repeated, c.Type == "JSON", c.Type == "RECORD":
		return ""
	case c.Type == "INTEGER", c.Type == "FLOAT", c.Type == "NUMERIC", c.Type == "BIGNUMERIC":
		return "number"
	}
	return c.Type
}

// compare orders two values of one class; null comes first, as it sorts.
func compare(a, b value) int {
	if a == nil || b == nil {
		return cmp.Compare(btoi(a != nil), btoi(b != nil))
	}
	switch a := a.(type) {
	case string:
		return cmp.Compare(a, b.(string))
	case []byte:
		return bytes.Compare(a, b.([]byte))
	case bool:
		return cmp.Compare(btoi(a), btoi(b.(bool)))
	case micros:
		return cmp.Compare(a, b.(micros))
	}
	x, y := rational(a), rational(b)
	if x == nil || y == nil { // a float that is no number, or infinite
		return cmp.Compare(float(a), float(b))
	}
	return x.Cmp(y)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func rational(v value) *big.Rat {
	switch v := v.(type) {
	case int64:
		return new(big.Rat).SetInt64(v)
	case float64:
		return new(big.Rat).SetFloat64(v)
	}
	return v.(*big.Rat)
}

func float(v value) float64 {
	if f, ok := v.(float64); ok {
		return f
	}
	f, _ := rational(v).Float64()
	return f
}

// trimFraction drops the zeros at the end of a fraction of seconds.
func trimFraction(text string) string {
	whole, fraction, _ := strings.Cut(text, ".")
	if fraction = strings.TrimRight(fraction, "0"); fraction == "" {
		return whole
	}
	return whole + "." + fraction
}
