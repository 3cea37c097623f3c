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
		return c.appendTimestamp(dst, v)
	case kindJSONB:
		return appendJSON(append(dst, 1), v) // the version of the binary form
	case kindJSON:
		return appendJSON(dst, v)
	case kindNumeric:
		return c.appendNumeric(dst, v)
	case kindInet, kindCIDR:
		return c.appendAddress(dst, v)
	case kindTime:
		return c.appendTimeOfDay(dst, v)
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
