package postgres

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/s3db-go/replicator/cdc"
)

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
