package cdc

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// maxDecimalExponent bounds how far an exponent is written out, so that
// "1e999999999" is an error and not a gigabyte. PostgreSQL's numeric, the widest
// of the destinations, holds 131,072 digits before the point.
const maxDecimalExponent = 131072

// Decimal is an exact decimal number of any size. Its scale is kept: 1.50 and 1.5
// are equal in value (see [Decimal.Cmp]) but print as they were written. The zero
// value is 0. Decimals can be compared with == for identity of text.
type Decimal struct{ text string }

// ParseDecimal reads digits with an optional sign, point and exponent. Infinities
// and NaN are errors.
func ParseDecimal(s string) (Decimal, error) {
	mantissa, exp := s, 0
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		n, err := strconv.Atoi(s[i+1:])
		if err != nil || n > maxDecimalExponent || n < -maxDecimalExponent {
			return Decimal{}, fmt.Errorf("cdc: %q is not a decimal number", short(s))
		}
		mantissa, exp = s[:i], n
	}
	neg := strings.HasPrefix(mantissa, "-")
	if neg || strings.HasPrefix(mantissa, "+") {
		mantissa = mantissa[1:]
	}
	whole, frac, _ := strings.Cut(mantissa, ".")
	if len(whole)+len(frac) == 0 || !digits(whole) || !digits(frac) {
		return Decimal{}, fmt.Errorf("cdc: %q is not a decimal number", short(s))
	}
	switch {
	case exp > 0:
		if n := exp - len(frac); n > 0 {
			frac += strings.Repeat("0", n)
		}
		whole, frac = whole+frac[:exp], frac[exp:]
	case exp < 0:
		if n := -exp - len(whole); n > 0 {
			whole = strings.Repeat("0", n) + whole
		}
		cut := len(whole) + exp
		whole, frac = whole[:cut], whole[cut:]+frac
	}
	whole = strings.TrimLeft(whole, "0")
	if whole == "" {
		whole = "0"
	}
	if whole == "0" && frac == "" {
		return Decimal{}, nil // the one identity of 0
	}
	text := whole
	if frac != "" {
		text += "." + frac
	}
	if neg && strings.Trim(text, "0.") != "" {
		text = "-" + text
	}
	return Decimal{text}, nil
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// short keeps an error readable when a megabyte was given for a number.
func short(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}

// String gives the number in plain digits, without an exponent.
func (d Decimal) String() string {
	if d.text == "" {
		return "0"
	}
	return d.text
}

// Float64 gives the nearest float64, ±Inf beyond its range.
func (d Decimal) Float64() float64 {
	f, _ := strconv.ParseFloat(d.String(), 64)
	return f
}

// Int64 gives the number as an integer and whether it is one that fits, 0 if not.
func (d Decimal) Int64() (int64, bool) {
	whole, frac, _ := strings.Cut(d.String(), ".")
	if strings.Trim(frac, "0") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return 0, false // and not the nearest, which ParseInt gives
	}
	return n, true
}

// Rat gives the exact value.
func (d Decimal) Rat() *big.Rat {
	r, _ := new(big.Rat).SetString(d.String())
	return r
}

// Cmp compares by value: -1, 0 or +1.
func (d Decimal) Cmp(e Decimal) int {
	if d.text == e.text {
		return 0
	}
	return d.Rat().Cmp(e.Rat())
}

// MarshalJSON writes a JSON number with every digit.
func (d Decimal) MarshalJSON() ([]byte, error) { return []byte(d.String()), nil }

// MarshalText writes what String gives.
func (d Decimal) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what [ParseDecimal] reads.
func (d *Decimal) UnmarshalText(text []byte) error {
	v, err := ParseDecimal(string(text))
	if err == nil {
		*d = v
	}
	return err
}
