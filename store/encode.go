package store

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/s3db-go/replicator/cdc"
)

const (
	// metadataLimit is what S3 takes as user metadata: 2 KiB of names and values.
	metadataLimit = 2048
	// versionHeader names the definition's version that a record was written under.
	versionHeader = "_v"
	// timestampReserve is what the original sets aside for two times.
	timestampReserve = 66
)

// mapped is a record as the format has it before the wire: short keys to text, nil
// for null, or an array where text can't tell what is in it.
type mapped map[string]any

// encode makes the object of a conforming record. The only errors are those of
// encryption and of a catalogue that lacks a short key.
func (s *schema) encode(rec Record, secrets *sealer) (object, error) {
	m := mapped{versionHeader: "v" + strconv.Itoa(s.version)}
	if err := s.mapFields(m, s.attributes, "", rec, secrets); err != nil {
		return object{}, err
	}
	if headers, ok := m.headers(s.timestamps); ok {
		return object{headers: headers}, nil
	}
	body, err := marshalJSON(map[string]any(m))
	if err != nil {
		return object{}, err
	}
	version := m[versionHeader].(string)
	return object{headers: map[string]string{versionHeader: version}, body: body, contentType: jsonContent}, nil
}

// mapFields adds the fields of a record, or of an object nested in it.
func (s *schema) mapFields(m mapped, attrs []*attribute, prefix string, fields map[string]any, secrets *sealer) error {
	known := make(map[string]*attribute, len(attrs))
	for _, a := range attrs {
		known[a.name] = a
	}
	for name, v := range fields {
		a := known[name]
		if a == nil {
			if prefix == "" && name != "id" {
				m[name] = v // what another writer left under its own name
			}
			continue
		}
		nested, isMap := v.(map[string]any)
		if a.kind == kindNested && isMap && len(nested) > 0 {
			if err := s.mapFields(m, a.fields, a.path+".", nested, secrets); err != nil {
				return err
			}
			continue
		}
		key, ok := s.keys[a.path]
		if !ok {
			return fmt.Errorf("%s: %s has no short key for it; create the resource again", a.path, catalogueKey)
		}
		if v == nil {
			m[key] = nil
			continue
		}
		text, err := a.encode(v, secrets)
		if err != nil {
			return fmt.Errorf("%s: %w", a.path, err)
		}
		m[key] = text
	}
	return nil
}

// headers gives the record as headers, or false if it must go to the body. The
// limit is the original's, which counts before the wire encoding, as well as what
// a server will really count.
func (m mapped) headers(timestamps bool) (map[string]string, bool) {
	version := m[versionHeader].(string)
	limit := metadataLimit - 1 - len(versionHeader) - len(version)
	if timestamps {
		limit -= timestampReserve
	}
	out := make(map[string]string, len(m))
	size, wireSize := 0, 0
	for key, v := range m {
		wire := "null"
		size += len(key)
		switch v := v.(type) {
		case string:
			wire = encodeHeader(v)
			size += len(v)
		case nil:
		default:
			return nil, false
		}
		out[key] = wire
		wireSize += len(key) + len(wire)
	}
	return out, size <= limit && wireSize < metadataLimit
}

// encode writes one value, of those that accept and decode give. It is text, or an
// array if the format's text could be taken for another one.
func (a *attribute) encode(v any, secrets *sealer) (any, error) {
	switch a.kind {
	case kindString, kindEmail, kindURL:
		return v, nil
	case kindSecret:
		if secrets == nil {
			return nil, ErrNoPassphrase
		}
		return secrets.seal(v.(string))
	case kindNumber:
		return encodeNumber(v.(float64)), nil
	case kindInteger:
		if d, huge := v.(cdc.Decimal); huge {
			return encodeWhole(d.Float64()), nil
		}
		return encodeInt(v.(int64)), nil
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
