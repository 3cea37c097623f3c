package store

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"strings"
	"time"

	"github.com/s3db-go/replicator/cdc"
)

// encode makes the object of a conforming record. same says that decode certainly gives
// the record back just as it is, so that nobody need ask it. The only errors are those
// of encryption, of a catalogue that lacks a short key, and an [*unfit].
func (s *schema) encode(rec Record, secrets *sealer) (o object, same bool, err error) {
	var room [24]field // so that what most records have is not collected
	e, err := encoder{fields: room[:0], secrets: secrets, same: true}.add(s.attributes, rec)
	if err != nil {
		return object{}, false, err
	}
	if _, ok := rec["id"]; ok {
		e.known++
	}
	if e.known < len(rec) {
		e.same = false
		for name, v := range rec {
			if name != "id" && !declared(s.attributes, name) && s.paths[name] == "" {
				e.fields = append(e.fields, field{key: name, value: v}) // what another writer left under its own name
			}
		}
	}
	headers, plain := e.fields.split()
	o, err = s.layOut(e.fields, headers)
	cut := s.behavior == truncateData && o.headers.get(truncatedHeader) != ""
	return o, e.same && plain && !cut && o.body == nil, err
}

// encoder gathers the fields of a record as the format has them before the wire. It is
// handed on by value, which leaves its room where it is.
type encoder struct {
	fields  mapped
	secrets *sealer
	known   int  // how many fields of the record were declared
	same    bool // decode certainly gives them back, if their text is plain
}

// add adds the declared fields of a record, or of an object nested in it.
func (e encoder) add(attrs []*attribute, fields map[string]any) (encoder, error) {
	for _, a := range attrs {
		v, present := fields[a.name]
		if !present {
			continue
		}
		e.known++
		e.same = e.same && a.leaf && a.returns(v)
		if nested, isMap := v.(map[string]any); a.kind == kindNested && isMap && len(nested) > 0 {
			inner, err := e.add(a.fields, nested)
			if err != nil {
				return e, err
			}
			e.fields = inner.fields
			continue
		}
		if a.key == "" {
			return e, fmt.Errorf("%s: %s has no short key for it; create the resource again", a.path, catalogueKey)
		}
		if v != nil || a.kind == kindSecret && e.secrets != nil {
			var err error
			if v, err = a.encode(v, e.secrets); err != nil {
				return e, fmt.Errorf("%s: %w", a.path, err)
			}
		}
		e.fields = append(e.fields, field{key: a.key, value: v})
	}
	return e, nil
}

// returns reports whether decode certainly gives a value back that encode writes into a
// header, if what it writes is plain.
func (a *attribute) returns(v any) bool {
	if a.literal {
		return false
	}
	switch v := v.(type) {
	case nil:
		return a.kind != kindSecret
	case string:
		return a.kind <= kindAny
	case bool:
		return a.kind == kindBoolean
	case int64:
		return a.kind == kindInteger
	case float64:
		return a.kind == kindNumber && (v != 0 || !math.Signbit(v))
	case time.Time:
		return a.kind == kindDatetime
	}
	return false
}

// encode writes one value, of those that accept and decode give. It is text, or an
// array if the format's text could be taken for another one.
func (a *attribute) encode(v any, secrets *sealer) (any, error) {
	if a.literal {
		text, _ := plainText(v)
		return text, nil
	}
	switch a.kind {
	case kindString, kindEmail, kindURL, kindAny, kindPassword, kindDate:
		return v, nil
	case kindForm:
		return a.form.pack(v.(string)), nil
	case kindSecret:
		if secrets == nil {
			return nil, ErrNoPassphrase
		}
		if v == nil {
			return secrets.seal("null") // so that nobody sees that there is none
		}
		return secrets.seal(v.(string))
	case kindNumber:
		return encodeNumber(v.(float64)), nil
	case kindInteger:
		if d, huge := v.(cdc.Decimal); huge {
			return encodeWhole(d.Float64()), nil
		}
		return encodeInt(v.(int64)), nil
	case kindMoney, kindDecimal:
		return encodeSteps(v.(cdc.Decimal), a.digits, a.kind.mark()), nil
	case kindLatitude, kindLongitude:
		return encodeGeo(v.(float64), a.kind.reach(), a.digits), nil
	case kindPoint:
		return a.encodePoint(v.(map[string]any)), nil
	case kindBytes:
		return base64.StdEncoding.EncodeToString(v.([]byte)), nil
	case kindBoolean:
		if v.(bool) {
			return "1", nil
		}
		return "0", nil
	case kindDatetime:
		return encodeInt(v.(time.Time).UnixMilli()), nil
	case kindDateonly:
		day, err := time.Parse(time.DateOnly, v.(string))
		return encodeInt(day.Unix() / secondsPerDay), err
	case kindStrings:
		items := v.([]any)
		if len(items) == 1 && items[0] == "" {
			return items, nil // its text would be that of no items
		}
		return joinItems(items, "|", func(item any) string { return escapeItem.Replace(item.(string)) }), nil
	case kindNumbers:
		return joinItems(v.([]any), "|", func(item any) string { return encodeNumber(item.(float64)) }), nil
	case kindIntegers:
		return joinItems(v.([]any), "|", func(item any) string { return encodeInt(item.(int64)) }), nil
	case kindEmbedding:
		return "^[" + joinItems(v.([]any), ",", func(item any) string { return encodeFixed(item.(float64)) }) + "]", nil
	}
	if text, ok := v.(string); ok && text != "undefined" {
		if _, err := unmarshalJSON([]byte(text)); err != nil {
			return text, nil // as it is: nothing else is read from it
		}
	}
	text, err := marshalJSON(v)
	return string(text), err
}

const secondsPerDay = 24 * 60 * 60

var escapeItem = strings.NewReplacer(`\`, `\\`, `|`, `\|`)

func joinItems(items []any, separator string, encode func(any) string) string {
	texts := make([]string, len(items))
	for i, item := range items {
		texts[i] = encode(item)
	}
	return strings.Join(texts, separator)
}

// marshalJSON writes a normalized value as JSON. A float is always written as one,
// so that it is read back as one; times and bytes become text, as JSON has neither.
func marshalJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(jsonValue(v)); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func jsonValue(v any) any {
	switch v := v.(type) {
	case float64:
		return json.Number(jsonFloat(v))
	case time.Time:
		return v.Format(time.RFC3339Nano)
	case []byte:
		return base64.StdEncoding.EncodeToString(v)
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = jsonValue(item)
		}
		return out
	case map[string]any:
		out := maps.Clone(v)
		for k, field := range v {
			out[k] = jsonValue(field)
		}
		return out
	}
	return v
}

// jsonFloat prints a float as JavaScript does, but always with a point or an
// exponent.
func jsonFloat(f float64) string {
	text := jsNumber(math.Abs(f))
	if !strings.ContainsAny(text, ".e") {
		text += ".0"
	}
	if f < 0 {
		return "-" + text
	}
	return text
}
