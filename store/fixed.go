package store

import (
	"fmt"
	"math"
	"math/big"
	"strings"

	"github.com/s3db-go/replicator/cdc"
)

// Money, decimals and places on earth are stored as a whole number of steps, with a
// fixed number of them in one, and a mark in front.
const (
	moneyMark   = "$"
	decimalMark = "^"
	geoMark     = "~"
)

const (
	// maxDigits bounds the decimals of a number: the smallest unit of any currency is
	// the eighteenth.
	maxDigits = 30
	// maxGeoDigits is what a float64 of up to 360 degrees tells apart; more would not
	// be read as it was written. It is a hundredth of a millimetre.
	maxGeoDigits = 10

	latitude, longitude = "latitude", "longitude"
)

// mark begins the stored form of a kind with a fixed number of decimals.
func (k kind) mark() string {
	if k == kindMoney {
		return moneyMark
	}
	return decimalMark
}

// acceptFixed rounds a number to the attribute's decimals.
func (a *attribute) acceptFixed(v any) (any, string) {
	steps, ok := fixedSteps(v, a.digits)
	if !ok {
		return nil, "must be a number" + not(v)
	}
	return fixedDecimal(steps, a.digits), ""
}

// fixedSteps gives a number in steps of the last decimal; halves go up. A float64
// counts as the original has it, where 1.005 times a hundred is below a half.
func fixedSteps(v any, digits int) (*big.Int, bool) {
	if f, ok := v.(float64); ok {
		steps, _ := big.NewFloat(jsRound(f * math.Pow10(digits))).Int(nil)
		return steps, !math.IsInf(f*math.Pow10(digits), 0)
	}
	n, ok := exact(v)
	if !ok {
		return nil, false
	}
	scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits)), nil)
	n = new(big.Rat).Mul(n, new(big.Rat).SetInt(scale))
	n.Add(n, big.NewRat(1, 2))
	return new(big.Int).Div(n.Num(), n.Denom()), true // rounds down, as the denominator is positive
}

// fixedDecimal gives steps as a number with all its decimals.
func fixedDecimal(steps *big.Int, digits int) cdc.Decimal {
	text := new(big.Int).Abs(steps).String()
	text = strings.Repeat("0", max(0, digits+1-len(text))) + text
	if digits > 0 {
		text = text[:len(text)-digits] + "." + text[len(text)-digits:]
	}
	if steps.Sign() < 0 {
		text = "-" + text
	}
	d, _ := cdc.ParseDecimal(text)
	return d
}

// encodeSteps writes a number with fixed decimals.
func encodeSteps(v cdc.Decimal, digits int, mark string) string {
	steps, _ := fixedSteps(v, digits)
	return mark + steps.Text(62) // whose digits are the format's
}

func decodeSteps(stored, mark string, digits int) (any, bool) {
	text, marked := strings.CutPrefix(stored, mark)
	if !marked || strings.HasPrefix(text, "+") || strings.Contains(text, "_") {
		return nil, false
	}
	steps, ok := new(big.Int).SetString(text, 62)
	if !ok {
		return nil, false
	}
	return fixedDecimal(steps, digits), true
}

// acceptGeo takes degrees and gives what will be read for them.
func (a *attribute) acceptGeo(v any, reach float64) (any, string) {
	n, ok := exact(v)
	if !ok {
		return nil, "must be a number" + not(v)
	}
	f, _ := n.Float64()
	if f < -reach || f > reach {
		return nil, fmt.Sprintf("must be from %v to %v degrees", -reach, reach)
	}
	f, _ = decodeGeo(encodeGeo(f, reach, a.digits), reach, a.digits)
	return f, ""
}

// reach is how far a kind of degrees goes on either side of zero.
func (k kind) reach() float64 {
	if k == kindLongitude {
		return 180
	}
	return 90
}

func encodeGeo(f, reach float64, digits int) string {
	return geoMark + encodeInt(int64(jsRound((f+reach)*math.Pow10(digits))))
}

func decodeGeo(stored string, reach float64, digits int) (float64, bool) {
	text, marked := strings.CutPrefix(stored, geoMark)
	steps, ok := unpad(text, uint64(2*reach*math.Pow10(digits)))
	return float64(steps)/math.Pow10(digits) - reach, marked && ok
}

// acceptPoint takes {latitude, longitude}, {lat, lon}, or a pair in this order.
func (a *attribute) acceptPoint(v any) (any, string) {
	var parts []any
	switch v := v.(type) {
	case []any:
		parts = v
	case map[string]any:
		for _, names := range [][2]string{{latitude, longitude}, {"lat", "lon"}} {
			lat, there := v[names[0]]
			lon, too := v[names[1]]
			if there && too && len(v) == 2 {
				parts = []any{lat, lon}
			}
		}
	}
	if len(parts) != 2 {
		return nil, "must be a place: latitude and longitude"
	}
	lat, reason := a.acceptGeo(parts[0], kindLatitude.reach())
	if reason != "" {
		return nil, "latitude " + reason
	}
	lon, reason := a.acceptGeo(parts[1], kindLongitude.reach())
	if reason != "" {
		return nil, "longitude " + reason
	}
	return map[string]any{latitude: lat, longitude: lon}, ""
}

func (a *attribute) encodePoint(v map[string]any) string {
	lat, _ := v[latitude].(float64)
	lon, _ := v[longitude].(float64)
	return encodeGeo(lat, kindLatitude.reach(), a.digits) + encodeGeo(lon, kindLongitude.reach(), a.digits)
}

func (a *attribute) decodePoint(stored string) (any, bool) {
	first, second, _ := strings.Cut(strings.TrimPrefix(stored, geoMark), geoMark)
	lat, ok := decodeGeo(geoMark+first, kindLatitude.reach(), a.digits)
	lon, too := decodeGeo(geoMark+second, kindLongitude.reach(), a.digits)
	return map[string]any{latitude: lat, longitude: lon}, ok && too
}
