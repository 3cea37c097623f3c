package store

import (
	"math"
	"strconv"
	"strings"

	"github.com/s3db-go/replicator/cdc"
)

// The format writes whole numbers to the base of 62, and any other number as its
// whole part to that base, a point, and the decimal digits that follow, as
// JavaScript prints them.
const base62 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// base62Digit gives the value of a digit, -1 if it is none.
func base62Digit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'z':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'Z':
		return int(c-'A') + 36
	}
	return -1
}

func encodeInt(n int64) string {
	if n == 0 {
		return "0"
	}
	// The magnitude as unsigned: that of the smallest int64 is no int64.
	u, sign := uint64(n), ""
	if n < 0 {
		u, sign = -u, "-"
	}
	var b [11]byte // 62^11 > 2^64
	i := len(b)
	for ; u > 0; u /= 62 {
		i--
		b[i] = base62[u%62]
	}
	return sign + string(b[i:])
}

// decodeInt reads an int64, or a Decimal if the number is beyond that: the
// original writes floats to the base of 62 too.
func decodeInt(s string) (any, bool) {
	digits, neg := strings.CutPrefix(s, "-")
	if digits == "" {
		return nil, false
	}
	var u uint64
	for i := range len(digits) {
		d := base62Digit(digits[i])
		if d < 0 {
			return nil, false
		}
		if u > (math.MaxInt64-uint64(d))/62 {
			return decodeHuge(s)
		}
		u = u*62 + uint64(d)
	}
	if neg {
		return -int64(u), true
	}
	return int64(u), true
}

func decodeHuge(s string) (any, bool) {
	if s == encodeInt(math.MinInt64) {
		return int64(math.MinInt64), true
	}
	f, ok := decodeNumber(s)
	if !ok {
		return nil, false
	}
	d, err := cdc.ParseDecimal(strconv.FormatFloat(f, 'f', 0, 64))
	return d, err == nil
}

// encodeNumber writes a finite float so that reading gives it back exactly.
func encodeNumber(f float64) string {
	sign := ""
	if f < 0 {
		f, sign = -f, "-"
	}
	text := jsNumber(f)
	if whole, fraction, ok := strings.Cut(text, "."); ok {
		n, _ := strconv.ParseInt(whole, 10, 64) // below 2^53: it has a fraction, or an exponent
		return sign + encodeInt(n) + "." + fraction
	}
	if whole := encodeWhole(f); decodeWhole(whole) == f {
		return sign + whole
	}
	// Without a point the original would write the base 62 of a float's inexact
	// digits, or nothing for 1e-7. Both sides read the form with a point and an
	// exponent exactly.
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'e', -1, 64), "e")
	if !strings.Contains(mantissa, ".") {
		mantissa += ".0"
	}
	return sign + mantissa + "e" + exponent
}

func decodeNumber(s string) (float64, bool) {
	digits, neg := strings.CutPrefix(s, "-")
	whole, fraction, _ := strings.Cut(digits, ".")
	f := decodeWhole(whole)
	if fraction != "" && !math.IsNaN(f) {
		var err error
		if f, err = strconv.ParseFloat(jsNumber(f)+"."+fraction, 64); err != nil {
			return 0, false
		}
	}
	if neg {
		f = -f
	}
	return f + 0, !math.IsNaN(f) && !math.IsInf(f, 0) // + 0 makes the zero positive, as the format has no other
}

// encodeWhole and decodeWhole count in floats, as the original does.
func encodeWhole(f float64) string {
	if f == 0 {
		return "0"
	}
	var b []byte
	for f = math.Floor(f); f > 0; f = math.Floor(f / 62) {
		b = append(b, base62[int(math.Mod(f, 62))])
	}
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return string(b)
}

func decodeWhole(s string) float64 {
	if s == "" {
		return math.NaN()
	}
	var f float64
	for i := range len(s) {
		d := base62Digit(s[i])
		if d < 0 {
			return math.NaN()
		}
		f = f*62 + float64(d)
	}
	return f
}

// jsNumber prints f, which is not negative, as JavaScript does.
func jsNumber(f float64) string {
	if f == 0 || f >= 1e-6 && f < 1e21 {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'e', -1, 64), "e")
	return mantissa + "e" + exponent[:1] + strings.TrimLeft(exponent[1:], "0")
}

// fixedPoint is the number of steps in one for an embedding's values: six decimal
// digits.
const fixedPoint = 1e6

// encodeFixed rounds as JavaScript does: halves go up.
func encodeFixed(f float64) string { return encodeInt(int64(math.Floor(f*fixedPoint + 0.5))) }

func decodeFixed(s string) (float64, bool) {
	n, ok := decodeInt(s)
	steps, fits := n.(int64)
	f := float64(steps) / fixedPoint
	return f, ok && fits && math.Abs(f) <= maxEmbedded
}
