package postgres

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/s3db-go/replicator/cdc"
)

// append writes a value, which is not nil, in the form in which the column's values are
// sent. The reason says why the column can't hold it, without quoting it.
func (c *column) append(dst []byte, v any) (out []byte, reason string) {
	switch c.kind {
	case kindText:
		return c.appendText(dst, v)
	case kindInt2:
		n, reason := integer(v, math.MinInt16, math.MaxInt16)
		return binary.BigEndian.AppendUint16(dst, uint16(n)), reason
	case kindInt4:
		n, reason := integer(v, math.MinInt32, math.MaxInt32)
		return binary.BigEndian.AppendUint32(dst, uint32(n)), reason
	case kindInt8:
		n, reason := integer(v, math.MinInt64, math.MaxInt64)
		return binary.BigEndian.AppendUint64(dst, uint64(n)), reason
	case kindFloat4:
		f, reason := single(v)
		return binary.BigEndian.AppendUint32(dst, math.Float32bits(f)), reason
	case kindFloat8:
		f, reason := float(v)
		return binary.BigEndian.AppendUint64(dst, math.Float64bits(f)), reason
	case kindBool:
		b, ok := v.(bool)
		if !ok {
			return dst, "takes true and false, not " + nameOf(v)
		}
		if b {
			return append(dst, 1), ""
		}
		return append(dst, 0), ""
	case kindBytes:
		b, ok := v.([]byte)
		if !ok {
			return dst, "takes bytes, not " + nameOf(v)
		}
		return append(dst, b...), ""
	case kindUUID:
		return appendUUID(dst, v)
	case kindDate:
		return appendDate(dst, v)
	case kindTimestamp, kindTimestampTZ:
		t, reason := instant(v)
		if reason == "" {
			reason = c.finer(t.Nanosecond()%units[c.scale] != 0)
		}
		return binary.BigEndian.AppendUint64(dst, uint64(sub2000(t))), reason
	case kindJSONB:
		return appendJSON(append(dst, 1), v) // the version of the binary form
	case kindJSON:
		return appendJSON(dst, v)
	case kindNumeric:
		return c.appendNumeric(dst, v)
	case kindInet, kindCIDR:
		return c.appendAddress(dst, v)
	case kindTime:
		if s, ok := v.(string); ok && isTimeOfDay(s) {
			_, fraction, _ := strings.Cut(s, ".")
			return append(dst, s...), c.finer(len(strings.TrimRight(fraction, "0")) > c.scale)
		}
		return dst, "takes a time of day as text, 15:04:05"
	case kindArray:
		list, ok := v.([]any)
		if !ok {
			return dst, "takes a list, not " + nameOf(v)
		}
		return c.appendList(dst, list)
	}
	return plain(dst, v)
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

const hasNUL = "holds a NUL, which PostgreSQL can't store in text"

func (c *column) appendText(dst []byte, v any) ([]byte, string) {
	start := len(dst)
	out, reason := plain(dst, v)
	if reason == "" && c.limit > 0 && len(out)-start > c.limit && utf8.RuneCount(out[start:]) > c.limit {
		reason = fmt.Sprintf("takes at most %d characters", c.limit)
	}
	return out, reason
}

// plain writes a value as text: a number in its digits, a time as RFC 3339, bytes in
// base64, lists and objects as JSON.
func plain(dst []byte, v any) ([]byte, string) {
	switch v := v.(type) {
	case string:
		if strings.IndexByte(v, 0) >= 0 {
			return dst, hasNUL
		}
		return append(dst, v...), ""
	case bool:
		return strconv.AppendBool(dst, v), ""
	case int64:
		return strconv.AppendInt(dst, v, 10), ""
	case float64:
		return strconv.AppendFloat(dst, v, 'g', -1, 64), ""
	case cdc.Decimal:
		return append(dst, v.String()...), ""
	case []byte:
		return base64.StdEncoding.AppendEncode(dst, v), ""
	case time.Time:
		return v.UTC().AppendFormat(dst, time.RFC3339Nano), ""
	}
	return appendJSON(dst, v)
}

func integer(v any, least, most int64) (int64, string) {
	var n int64
	whole := true
	switch v := v.(type) {
	case int64:
		n = v
	case float64:
		// 2^63 itself is a float64 but not an int64.
		whole = v == math.Trunc(v) && v >= math.MinInt64 && v < math.MaxInt64
		if whole {
			n = int64(v)
		}
	case cdc.Decimal:
		n, whole = v.Int64()
	case string:
		d, err := cdc.ParseDecimal(v)
		if err != nil {
			return 0, "takes integers, and this text is none"
		}
		n, whole = d.Int64()
	default:
		return 0, "takes integers, not " + nameOf(v)
	}
	if !whole {
		return 0, "takes integers of its size, and this number is none"
	}
	if n < least || n > most {
		return 0, "is out of range"
	}
	return n, ""
}

// float gives the number if a float64 holds it: an integer exactly, a decimal in its
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
		f := v.Float64()
		d, err := cdc.ParseDecimal(strconv.FormatFloat(f, 'g', -1, 64))
		if err != nil || d.Cmp(v) != 0 {
			return 0, loses
		}
		return f, ""
	case string:
		d, err := cdc.ParseDecimal(v)
		if err != nil {
			return 0, "takes numbers, and this text is none"
		}
		return float(d)
	}
	return 0, "takes numbers, not " + nameOf(v)
}

// single gives the number if a float32 has all its digits: 0.1 is as near as it is meant.
func single(v any) (float32, string) {
	f, reason := float(v)
	switch n := float32(f); {
	case reason != "":
		return 0, reason
	case math.IsInf(float64(n), 0):
		return 0, "is out of range"
	case float64(n) != f && strconv.FormatFloat(float64(n), 'g', -1, 32) != strconv.FormatFloat(f, 'g', -1, 64):
		return 0, "takes numbers of some seven digits, and this one would lose the others"
	default:
		return n, ""
	}
}

func (c *column) appendNumeric(dst []byte, v any) ([]byte, string) {
	var d cdc.Decimal
	switch v := v.(type) {
	case int64:
		start := len(dst)
		dst = strconv.AppendInt(dst, v, 10)
		return dst, c.oversized(string(dst[start:]))
	case float64:
		// Its shortest digits are those that were meant.
		d, _ = cdc.ParseDecimal(strconv.FormatFloat(v, 'g', -1, 64))
	case cdc.Decimal:
		d = v
	case string:
		var err error
		if d, err = cdc.ParseDecimal(v); err != nil {
			return dst, "takes numbers, and this text is none"
		}
	default:
		return dst, "takes numbers, not " + nameOf(v)
	}
	text := d.String()
	if _, fraction, ok := strings.Cut(text, "."); ok && c.scale >= 0 && len(strings.TrimRight(fraction, "0")) > c.scale {
		return dst, fmt.Sprintf("has the scale %d, and would drop digits after the point", c.scale)
	}
	return append(dst, text...), c.oversized(text)
}

// oversized says of a number that has more digits before the point than the column takes.
// The server would say it without the column's name.
func (c *column) oversized(number string) (reason string) {
	if c.precision == 0 {
		return ""
	}
	whole, _, _ := strings.Cut(number, ".")
	if room := max(c.precision-c.scale, 0); len(strings.TrimLeft(whole, "-0")) > room {
		return fmt.Sprintf("takes %d digits before the point", room)
	}
	return ""
}

func appendUUID(dst []byte, v any) ([]byte, string) {
	const want = "takes a UUID as text"
	s, ok := v.(string)
	if !ok {
		return dst, want
	}
	var id [16]byte
	if len(s) == 36 && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-' {
		s = s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:]
	}
	if n, err := hex.Decode(id[:], []byte(s[:min(len(s), 32)])); err != nil || n != 16 || len(s) != 32 {
		return dst, want
	}
	return append(dst, id[:]...), ""
}

// epoch is where PostgreSQL counts from.
const epoch = 946_684_800 // 2000-01-01 in Unix seconds

// sub2000 gives the microseconds since PostgreSQL's epoch.
func sub2000(t time.Time) int64 { return t.UnixMicro() - epoch*1e6 }

// instant reads a time, or a text that is one in RFC 3339 or a date.
func instant(v any) (t time.Time, reason string) {
	switch v := v.(type) {
	case time.Time:
		t = v
	case string:
		var err error
		if t, err = time.Parse(time.RFC3339Nano, v); err != nil {
			if t, err = time.Parse(time.DateOnly, v); err != nil {
				return t, "takes times, as text in RFC 3339, and this text is none"
			}
		}
	default:
		return t, "takes times, not " + nameOf(v)
	}
	// What the microseconds of an int64 hold is less than a time.Time, and PostgreSQL
	// begins at 4714 BC.
	if y := t.Year(); y < -4712 || y > 294_275 {
		return t, "is out of range"
	}
	return t, ""
}

// units are the nanoseconds of the last digit, by how many digits of a second are kept.
var units = [microseconds + 1]int{1e9, 1e8, 1e7, 1e6, 1e5, 1e4, 1e3}

// finer gives the reason against a time that has more digits than the column keeps.
func (c *column) finer(is bool) (reason string) {
	if is {
		return fmt.Sprintf("keeps %d digits of a second, and would drop the others", c.scale)
	}
	return ""
}

func appendDate(dst []byte, v any) ([]byte, string) {
	t, reason := instant(v)
	if reason != "" {
		return dst, "takes dates, YYYY-MM-DD"
	}
	if u := t.UTC(); !u.Equal(u.Truncate(24 * time.Hour)) {
		return dst, "takes dates, and would drop the time of day"
	}
	return binary.BigEndian.AppendUint32(dst, uint32(int32((t.Unix()-epoch)/(24*60*60)))), ""
}

func isTimeOfDay(s string) bool {
	for _, layout := range []string{time.TimeOnly, "15:04"} { // a fraction of a second is read too
		if _, err := time.Parse(layout, s); err == nil {
			return true
		}
	}
	return false
}

func (c *column) appendAddress(dst []byte, v any) ([]byte, string) {
	s, ok := v.(string)
	if !ok {
		return dst, "takes an IP address as text"
	}
	if _, err := netip.ParseAddr(s); err == nil && !strings.Contains(s, "%") {
		return append(dst, s...), ""
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || c.kind == kindCIDR && p.Masked() != p {
		return dst, "takes an IP address or network as text"
	}
	return append(dst, s...), ""
}

// appendJSON writes a value as JSON: numbers with all their digits, times in RFC 3339,
// bytes in base64.
func appendJSON(dst []byte, v any) ([]byte, string) {
	if s, ok := v.(string); ok && strings.IndexByte(s, 0) >= 0 {
		return dst, hasNUL
	}
	buf := bytes.NewBuffer(dst)
	start := len(dst)
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return dst, "holds a value that has no JSON"
	}
	out := bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
	if bytes.Contains(out[start:], []byte(`\u0000`)) && nested(v) {
		return dst, hasNUL
	}
	return out, ""
}

// nested reports whether there is a NUL in any text of the value.
func nested(v any) bool {
	switch v := v.(type) {
	case string:
		return strings.IndexByte(v, 0) >= 0
	case []any:
		return slices.ContainsFunc(v, nested)
	case map[string]any:
		for k, e := range v {
			if nested(k) || nested(e) {
				return true
			}
		}
	}
	return false
}

// appendList writes a list as the text of an array.
func (c *column) appendList(dst []byte, list []any) ([]byte, string) {
	dst = append(dst, '{')
	for i, v := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		var reason string
		switch v := v.(type) {
		case nil:
			dst = append(dst, "NULL"...)
		case []any:
			dst, reason = c.appendList(dst, v)
		case []byte:
			dst = append(hex.AppendEncode(append(dst, `"\\x`...), v), '"')
		default:
			if c.element != nil {
				_, reason = c.element.append(nil, v)
			}
			var text []byte
			if reason == "" {
				text, reason = plain(nil, v)
			}
			if reason == "" {
				dst = append(dst, '"')
				for _, b := range text {
					if b == '"' || b == '\\' {
						dst = append(dst, '\\')
					}
					dst = append(dst, b)
				}
				dst = append(dst, '"')
			}
		}
		if reason != "" {
			return dst, reason
		}
	}
	return append(dst, '}'), ""
}
