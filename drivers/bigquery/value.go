package bigquery

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/s3db-go/replicator/cdc"
)

// append writes a field of the message with a value, which is not nil. The reason says
// why the column can't hold it, without quoting it.
func (c *column) append(dst []byte, v any) (out []byte, reason string) {
	if !c.repeated {
		return c.appendOne(dst, v)
	}
	list, ok := v.([]any)
	if !ok {
		return dst, "takes a list, not " + nameOf(v)
	}
	for _, e := range list {
		if e == nil {
			return dst, "takes no null in a list"
		}
		if dst, reason = c.appendOne(dst, e); reason != "" {
			return dst, reason
		}
	}
	return dst, ""
}

func (c *column) appendOne(dst []byte, v any) ([]byte, string) {
	switch c.kind {
	case kindString, kindText:
		text, reason := plain(v)
		if reason == "" && c.limit > 0 && int64(utf8.RuneCountInString(text)) > c.limit {
			reason = fmt.Sprintf("takes at most %d characters", c.limit)
		}
		return c.text(dst, text), reason
	case kindBytes:
		b, ok := v.([]byte)
		if !ok {
			return dst, "takes bytes, not " + nameOf(v)
		}
		if c.limit > 0 && int64(len(b)) > c.limit {
			return dst, fmt.Sprintf("takes at most %d bytes", c.limit)
		}
		return protowire.AppendBytes(protowire.AppendTag(dst, c.number, protowire.BytesType), b), ""
	case kindInt:
		n, reason := integer(v)
		return c.varint(dst, n), reason
	case kindFloat:
		f, reason := float(v)
		return protowire.AppendFixed64(protowire.AppendTag(dst, c.number, protowire.Fixed64Type), math.Float64bits(f)), reason
	case kindBool:
		b, ok := v.(bool)
		if !ok {
			return dst, "takes true and false, not " + nameOf(v)
		}
		return c.varint(dst, int64(protowire.EncodeBool(b))), ""
	case kindNumeric, kindBigNumeric:
		text, reason := c.decimal(v)
		return c.text(dst, text), reason
	case kindTimestamp:
		t, reason := instant(v)
		return c.varint(dst, t.UnixMicro()), reason
	case kindDate:
		t, reason := instant(v)
		if reason == "" && !t.Equal(t.Truncate(24*time.Hour)) {
			reason = "takes dates, and would drop the time of day"
		}
		return c.varint(dst, floorDiv(t.Unix(), 24*60*60)), reason
	case kindDatetime:
		text, reason := datetime(v)
		return c.text(dst, text), reason
	case kindTime:
		if s, ok := v.(string); ok && isTimeOfDay(s) {
			return c.text(dst, s), ""
		}
		return dst, "takes a time of day as text, 15:04:05"
	case kindJSON:
		text, reason := jsonText(v)
		return c.text(dst, text), reason
	case kindRecord:
		return c.record(dst, v)
	}
	return dst, "is " + c.declared + ", which can't be written"
}

func (c *column) text(dst []byte, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(dst, c.number, protowire.BytesType), s)
}

func (c *column) varint(dst []byte, n int64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(dst, c.number, protowire.VarintType), uint64(n))
}

// record writes an object into a record, all of it or nothing.
func (c *column) record(dst []byte, v any) ([]byte, string) {
	object, ok := v.(map[string]any)
	if !ok {
		return dst, "takes an object, not " + nameOf(v)
	}
	var inner []byte
	seen := map[int]bool{}
	for name, e := range object {
		i, ok := c.fields.find(name)
		switch {
		case e == nil:
			continue
		case !ok:
			return dst, fmt.Sprintf("has no field %q", name)
		case seen[i]:
			return dst, fmt.Sprintf("would get two values for its field %q", c.fields.columns[i].name)
		}
		seen[i] = true
		var reason string
		if inner, reason = c.fields.columns[i].append(inner, e); reason != "" {
			return dst, fmt.Sprintf("has a field %q that %s", name, reason)
		}
	}
	return protowire.AppendBytes(protowire.AppendTag(dst, c.number, protowire.BytesType), inner), ""
}

// nameOf names the type of a value.
func nameOf(v any) string {
	switch v.(type) {
	case string:
		return "text"
	case bool:
		return "true or false"
	case int64, float64, cdc.Decimal:
		return "a number"
	case []byte:
		return "bytes"
	case time.Time:
		return "a time"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	}
	return fmt.Sprintf("a %T", v)
}

// plain gives a value as text: a number in its digits, a time as RFC 3339, bytes in
// base64, lists and objects as JSON.
func plain(v any) (string, string) {
	switch v := v.(type) {
	case string:
		return v, ""
	case bool:
		return strconv.FormatBool(v), ""
	case int64:
		return strconv.FormatInt(v, 10), ""
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), ""
	case cdc.Decimal:
		return v.String(), ""
	case []byte:
		return base64.StdEncoding.EncodeToString(v), ""
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano), ""
	}
	return encodeJSON(v)
}

// integer gives the number if an INT64 holds it.
func integer(v any) (int64, string) {
	const none = "takes integers of 64 bits, and this number is none"
	switch v := v.(type) {
	case int64:
		return v, ""
	case float64:
		// 2^63 itself is a float64 but not an int64.
		if v != math.Trunc(v) || v < math.MinInt64 || v >= math.MaxInt64 {
			return 0, none
		}
		return int64(v), ""
	case cdc.Decimal:
		n, ok := v.Int64()
		if !ok {
			return 0, none
		}
		return n, ""
	case string:
		d, err := cdc.ParseDecimal(v)
		if err != nil {
			return 0, "takes integers, and this text is none"
		}
		return integer(d)
	}
	return 0, "takes integers, not " + nameOf(v)
}

// float gives the number if a FLOAT64 holds it: an integer exactly, a decimal in its
// own digits.
func float(v any) (float64, string) {
	const loses = "takes floating-point numbers, and this one would lose digits"
	switch v := v.(type) {
	case float64:
		return v, ""
	case int64:
		f := float64(v)
		// Beyond 2^53 the next float64 may be another integer, and at 2^63 converting
		// back overflows.
		if f >= math.MaxInt64 || int64(f) != v {
			return 0, loses
		}
		return f, ""
	case cdc.Decimal:
		if !sameDigits(v) {
			return 0, loses
		}
		return v.Float64(), ""
	case string:
		d, err := cdc.ParseDecimal(v)
		if err != nil {
			return 0, "takes numbers, and this text is none"
		}
		return float(d)
	}
	return 0, "takes numbers, not " + nameOf(v)
}

// sameDigits reports whether the nearest float64 of a decimal prints as it.
func sameDigits(d cdc.Decimal) bool {
	back, err := cdc.ParseDecimal(strconv.FormatFloat(d.Float64(), 'g', -1, 64))
	return err == nil && back.Cmp(d) == 0
}

// decimal gives a number in its digits, if the column holds them all.
func (c *column) decimal(v any) (string, string) {
	var d cdc.Decimal
	var err error
	switch v := v.(type) {
	case int64:
		d, err = cdc.ParseDecimal(strconv.FormatInt(v, 10))
	case float64:
		// Its shortest digits are those that were meant.
		d, err = cdc.ParseDecimal(strconv.FormatFloat(v, 'g', -1, 64))
	case cdc.Decimal:
		d = v
	case string:
		d, err = cdc.ParseDecimal(v)
	default:
		return "", "takes numbers, not " + nameOf(v)
	}
	if err != nil {
		return "", "takes numbers, and this text is none"
	}
	text := d.String()
	whole, fraction, _ := strings.Cut(strings.TrimPrefix(text, "-"), ".")
	if len(strings.TrimRight(fraction, "0")) > c.scale {
		return "", fmt.Sprintf("has the scale %d, and would drop digits after the point", c.scale)
	}
	if len(strings.TrimLeft(whole, "0")) > c.whole || c.kind == kindBigNumeric && len(whole) == 39 && !inBigNumeric(d) {
		return "", "is out of range"
	}
	return text, ""
}

// inBigNumeric reports whether a number of 39 digits before the point is one that a
// BIGNUMERIC holds: scaled to an integer, it has 256 bits with its sign. The least of
// them is left out, so that both signs are alike.
func inBigNumeric(d cdc.Decimal) bool {
	scaled := new(big.Rat).Mul(d.Rat(), new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(38), nil)))
	return scaled.Num().BitLen() <= 255
}

// instant reads a time, or a text that is one in RFC 3339 or a date.
func instant(v any) (time.Time, string) {
	t, ok := v.(time.Time)
	if s, is := v.(string); is {
		var err error
		if t, err = time.Parse(time.RFC3339Nano, s); err != nil {
			if t, err = time.Parse(time.DateOnly, s); err != nil {
				return t, "takes times, as text in RFC 3339, and this text is none"
			}
		}
	} else if !ok {
		return t, "takes times, not " + nameOf(v)
	}
	if t = t.UTC(); t.Year() < 1 || t.Year() > 9999 {
		return t, "is out of range, which is from the year 1 to 9999"
	}
	if t.Nanosecond()%1000 != 0 {
		return t, "takes microseconds, and would drop the digits behind them"
	}
	return t, ""
}

func floorDiv(a, b int64) int64 {
	if a%b < 0 {
		return a/b - 1
	}
	return a / b
}

const datetimeLayout = "2006-01-02T15:04:05.999999"

// datetime gives a date and time without a zone: of an instant what it is in UTC.
func datetime(v any) (string, string) {
	if s, ok := v.(string); ok {
		for _, layout := range []string{"2006-01-02T15:04:05", time.DateTime} { // a fraction of a second is read too
			if t, err := time.Parse(layout, s); err == nil {
				v = t
			}
		}
	}
	t, reason := instant(v)
	return t.Format(datetimeLayout), reason
}

func isTimeOfDay(s string) bool {
	t, err := time.Parse(time.TimeOnly, s) // a fraction of a second is read too
	return err == nil && t.Nanosecond()%1000 == 0
}

// jsonText gives a value as the text of a JSON column, which keeps only numbers that
// are an INT64, a UINT64 or in all their digits a FLOAT64.
func jsonText(v any) (string, string) {
	if !exactInJSON(v) {
		return "", "is JSON, and holds a decimal with more digits than BigQuery keeps in it"
	}
	return encodeJSON(v)
}

func exactInJSON(v any) bool {
	switch v := v.(type) {
	case cdc.Decimal:
		if _, err := strconv.ParseUint(v.String(), 10, 64); err == nil {
			return true
		}
		_, whole := v.Int64()
		return whole || sameDigits(v)
	case []any:
		for _, e := range v {
			if !exactInJSON(e) {
				return false
			}
		}
	case map[string]any:
		for _, e := range v {
			if !exactInJSON(e) {
				return false
			}
		}
	}
	return true
}

// encodeJSON writes numbers with all their digits, times in RFC 3339, bytes in base64.
func encodeJSON(v any) (string, string) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", "holds a value that has no JSON"
	}
	return strings.TrimSuffix(buf.String(), "\n"), ""
}
