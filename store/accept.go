package store

import (
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/s3db-go/replicator/cdc"
)

// accept gives v in the type that the attribute holds, or says why it can't be.
// v is normalized and not nil.
func (a *attribute) accept(v any) (any, string) {
	switch a.kind {
	case kindString, kindEmail, kindURL:
		if _, ok := v.(string); ok {
			return v, "" // in the interface that it came in: another one would allocate
		}
		return nil, "must be a string" + not(v)
	case kindAny:
		if text, ok := plainText(v); ok {
			return text, ""
		}
		return nil, "must be text, a number or a boolean" + not(v)
	case kindForm:
		return a.form.accept(v)
	case kindPassword:
		return a.acceptPassword(v)
	case kindSecret:
		text, ok := v.(string)
		switch {
		case !ok:
			return nil, "must be a string" + not(v)
		case text == "null" || text == "undefined":
			return nil, "this word as a secret means null or nothing in the format"
		}
		return v, ""
	case kindNumber:
		return acceptNumber(v)
	case kindInteger:
		return acceptInteger(v)
	case kindMoney, kindDecimal:
		return a.acceptFixed(v)
	case kindLatitude, kindLongitude:
		return a.acceptGeo(v, a.kind.reach())
	case kindPoint:
		return a.acceptPoint(v)
	case kindBoolean:
		if _, ok := v.(bool); ok {
			return v, ""
		}
		return nil, "must be true or false" + not(v)
	case kindDatetime:
		return acceptTime(v)
	case kindDateonly:
		return acceptDate(v)
	case kindDate:
		return nil, "the format stores no value of the type date; want datetime or dateonly"
	case kindBytes:
		return a.acceptBytes(v)
	case kindJSON:
		return v, ""
	case kindObject, kindNested:
		if m, ok := v.(map[string]any); ok {
			return m, ""
		}
		return nil, "must be an object" + not(v)
	case kindOpaque:
		return nil, "is declared in a form whose parts the original loses; declare its parts, or object"
	}
	return a.acceptItems(v)
}

// plainText gives a scalar as JavaScript prints it, and so as the format has it
// wherever no type says otherwise.
func plainText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case int64:
		return strconv.FormatInt(v, 10), true
	case float64:
		if v < 0 {
			return "-" + jsNumber(-v), true
		}
		return jsNumber(v + 0), true // without the sign of a zero
	case cdc.Decimal:
		text := v.String()
		if strings.Contains(text, ".") {
			text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
		}
		return text, true
	case time.Time:
		return v.UTC().Format(isoMillis), true
	}
	return "", false
}

// convert gives a value of another type in the one that the attribute holds now,
// which is that of a later version of the definition, or false.
func (a *attribute) convert(v any) (any, bool) {
	if v == nil {
		return nil, true
	}
	if typed, reason := a.accept(v); reason == "" {
		return typed, true
	}
	text, ok := plainText(v)
	switch {
	case !ok:
		return nil, false
	case a.isNumber():
		d, err := cdc.ParseDecimal(text)
		if err != nil {
			return nil, false
		}
		v = d
	default:
		v = text
	}
	typed, reason := a.accept(v)
	return typed, reason == ""
}

// recast converts all values of a record, or of an object nested in it.
func recast(attrs []*attribute, fields map[string]any) map[string]any {
	out := maps.Clone(fields)
	for _, a := range attrs {
		v, ok := fields[a.name]
		if !ok {
			continue
		}
		parts, isMap := v.(map[string]any)
		switch typed, ok := a.convert(v); {
		case a.kind == kindNested && isMap:
			out[a.name] = recast(a.fields, parts)
		case ok:
			out[a.name] = typed
		default:
			delete(out, a.name)
		}
	}
	return out
}

// acceptBytes takes as many as the attribute has bits for.
func (a *attribute) acceptBytes(v any) (any, string) {
	b, ok := v.([]byte)
	if !ok {
		return nil, "must be bytes" + not(v)
	}
	if size := (a.bits + 7) / 8; a.bits > 0 && len(b) != size {
		return nil, fmt.Sprintf("must have %d bytes", size)
	}
	return b, ""
}

// not names the type of a value that was not expected.
func not(v any) string {
	switch v.(type) {
	case string:
		return ", not a string"
	case bool:
		return ", not a boolean"
	case int64, float64, cdc.Decimal:
		return ", not a number"
	case []byte:
		return ", not bytes"
	case time.Time:
		return ", not a time"
	case []any:
		return ", not an array"
	case map[string]any:
		return ", not an object"
	}
	return ""
}

// acceptNumber refuses a number that a float64 would round.
func acceptNumber(v any) (any, string) {
	switch n := v.(type) {
	case float64:
		return v, ""
	case int64:
		f := float64(n)
		if f < math.MaxInt64 && int64(f) == n {
			return f, ""
		}
		return nil, "has more digits than a number holds; number|integer holds it"
	case cdc.Decimal:
		f := n.Float64()
		if d, err := cdc.ParseDecimal(strconv.FormatFloat(f, 'g', -1, 64)); err == nil && d.Cmp(n) == 0 {
			return f, ""
		}
		return nil, "has more digits than a number holds"
	}
	return nil, "must be a number" + not(v)
}

func acceptInteger(v any) (any, string) {
	switch n := v.(type) {
	case int64:
		return v, ""
	case float64:
		// 2^63 is a float64 but not an int64.
		if n == math.Trunc(n) && n >= math.MinInt64 && n < math.MaxInt64 {
			return int64(n), ""
		}
		return nil, "must be an integer of 64 bits"
	case cdc.Decimal:
		if i, ok := n.Int64(); ok {
			return i, ""
		}
		return nil, "must be an integer of 64 bits"
	}
	return nil, "must be an integer" + not(v)
}

// acceptTime takes a time, or text of RFC 3339, and cuts it to the milliseconds
// that the format holds. The years are those that the text form can name.
func acceptTime(v any) (any, string) {
	t, ok := v.(time.Time)
	if text, isText := v.(string); isText {
		var err error
		if t, err = time.Parse(time.RFC3339Nano, text); err != nil {
			return nil, "must be a time, or text like 2006-01-02T15:04:05Z"
		}
		ok = true
	}
	if !ok {
		return nil, "must be a time" + not(v)
	}
	t = time.UnixMilli(t.UnixMilli()).UTC()
	if y := t.Year(); y < 0 || y > 9999 {
		return nil, "must be within the years 0 and 9999"
	}
	return t, ""
}

// acceptDate takes text like 2006-01-02, or a time that is the start of a day.
func acceptDate(v any) (any, string) {
	switch d := v.(type) {
	case string:
		if _, err := time.Parse(time.DateOnly, d); err != nil {
			return nil, "must be a date like 2006-01-02"
		}
		return v, ""
	case time.Time:
		if y := d.Year(); y < 0 || y > 9999 || !d.Equal(d.Truncate(24*time.Hour)) {
			return nil, "must be a date, not a time of day"
		}
		return d.Format(time.DateOnly), ""
	}
	return nil, "must be a date" + not(v)
}

func (a *attribute) acceptItems(v any) (any, string) {
	items, ok := v.([]any)
	if !ok {
		return nil, "must be an array" + not(v)
	}
	if a.kind == kindList {
		return items, ""
	}
	item := &attribute{kind: a.kind.items()}
	out := make([]any, len(items))
	for i, v := range items {
		if v == nil {
			return nil, fmt.Sprintf("item %d is null", i)
		}
		typed, reason := item.accept(v)
		if f, ok := typed.(float64); ok && a.kind == kindEmbedding {
			if typed, ok = decodeFixed(encodeFixed(f)); !ok || math.Abs(f) > maxEmbedded {
				reason = "is too large for an embedding"
			}
		}
		if reason != "" {
			return nil, fmt.Sprintf("item %d %s", i, reason)
		}
		out[i] = typed
	}
	return out, ""
}

// items gives the kind of what an array of the kind holds.
func (k kind) items() kind {
	switch k {
	case kindStrings:
		return kindString
	case kindIntegers:
		return kindInteger
	}
	return kindNumber
}

// maxEmbedded bounds an embedding's values so that a million times one is rounded
// to the whole number that it was read from: floats err by less than a quarter there.
const maxEmbedded = 1 << 50 / fixedPoint
