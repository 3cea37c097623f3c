package store

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/s3db-go/replicator/cdc"
)

// decode gives the record that an object holds, whoever wrote it. The errors are
// those of decryption, and name the attribute.
func (s *schema) decode(id string, o object, secrets *sealer) (Record, error) {
	then := s.former[strings.TrimPrefix(o.headers.get(versionHeader), "v")]
	if len(o.body) == 0 && len(then.attributes) == 0 {
		if rec, ok, err := s.decodeHeaders(id, o.headers, secrets); ok || err != nil {
			return rec, err
		}
	}
	m := gather(o, cmp.Or(then.behavior, s.behavior))
	rec := make(Record, len(m)+1)
	nodes, leaves := mapped(nil), m[:0] // by path
	for _, f := range m {
		path := cmp.Or(f.path, s.paths[f.key])
		switch {
		case s.byPath[path] != nil:
		case s.burned[f.key]:
			continue // it was of an attribute that is no more, whatever is called so now
		case path == "":
			path = f.key // another writer may use the full name
		}
		a := s.byPath[path]
		switch {
		case a == nil && s.keys[path] == "":
			if _, ok := f.value.(string); ok {
				rec[path] = f.value
			}
		case a == nil:
		case a.kind == kindNested && f.value != nil && then.attributes[path] != nil: // it was no object then
		case a.kind == kindNested:
			nodes = append(nodes, field{key: path, value: f.value})
		default:
			leaves = append(leaves, field{key: path, value: f.value})
		}
	}
	// A node's own key says only what no leaf says; where there are leaves, they win.
	slices.SortFunc(nodes, func(a, b field) int { return strings.Compare(a.key, b.key) })
	for _, f := range nodes {
		if f.value == nil {
			place(rec, f.key, nil)
		} else {
			place(rec, f.key, map[string]any{})
		}
	}
	for _, f := range leaves {
		v, ok, err := s.byPath[f.key].decodeAs(then.attributes[f.key], f.value, secrets)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.key, err)
		}
		if ok {
			place(rec, f.key, v)
		}
	}
	rec["id"] = id
	return rec, nil
}

// decodeHeaders is decode for an object that is nothing but headers of attributes as they
// are declared now, as most are. false leaves it to decode: all else is rare, and what is
// needed for that takes twice the time.
func (s *schema) decodeHeaders(id string, headers headers, secrets *sealer) (Record, bool, error) {
	rec := make(Record, headers.count()) // the id takes the place of the version
	for key, wire := range headers.all() {
		if internal(key) || wire == "undefined" {
			continue
		}
		a := s.leaves[key]
		if a == nil {
			return nil, false, nil
		}
		if wire == "null" {
			place(rec, a.path, nil)
			continue
		}
		v, ok, err := a.decodeText(headerText(wire), secrets)
		if err != nil {
			return nil, false, fmt.Errorf("%s: %w", a.path, err)
		}
		if ok {
			place(rec, a.path, v)
		}
	}
	rec["id"] = id
	return rec, true, nil
}

// decodeAs reads a stored value that was written when the attribute was declared
// otherwise, if then is not nil, and gives it in its present type. One that does not
// fit that is absent.
func (a *attribute) decodeAs(then *attribute, stored any, secrets *sealer) (any, bool, error) {
	if then == nil {
		return a.decode(stored, secrets)
	}
	v, ok, err := then.decode(stored, secrets)
	if err != nil || !ok {
		return nil, false, err
	}
	v, ok = a.convert(v)
	return v, ok, nil
}

// place sets the value at a dotted path, making the maps on the way.
func place(fields map[string]any, path string, v any) {
	for {
		name, rest, nested := strings.Cut(path, ".")
		if !nested {
			fields[name] = v
			return
		}
		inner, ok := fields[name].(map[string]any)
		if !ok {
			inner = make(map[string]any)
			fields[name] = inner
		}
		fields, path = inner, rest
	}
}

// decode reads one stored value: text, nil, or a JSON value from another writer's
// body. false means that there is nothing that can be read as the type, which
// makes the field absent, as it does for the original.
func (a *attribute) decode(stored any, secrets *sealer) (any, bool, error) {
	if stored == nil {
		return nil, true, nil
	}
	if text, ok := stored.(string); ok {
		return a.decodeText(text, secrets)
	}
	v, reason := a.accept(stored)
	return v, reason == "", nil
}

// decodeText is decode for text.
func (a *attribute) decodeText(text string, secrets *sealer) (any, bool, error) {
	if a.literal {
		v, ok := a.decodeLiteral(text)
		return v, ok, nil
	}
	switch a.kind {
	case kindString, kindEmail, kindURL, kindAny, kindPassword, kindDate:
		return text, true, nil
	case kindForm:
		v, ok := a.form.decode(text)
		return v, ok, nil
	case kindSecret:
		return decodeSecret(text, secrets)
	case kindNumber:
		f, ok := decodeNumber(text)
		return f, ok, nil
	case kindInteger:
		n, ok := decodeInt(text)
		return n, ok, nil
	case kindMoney, kindDecimal:
		v, ok := decodeSteps(text, a.kind.mark(), a.digits)
		return v, ok, nil
	case kindLatitude, kindLongitude:
		f, ok := decodeGeo(text, a.kind.reach(), a.digits)
		return f, ok, nil
	case kindPoint:
		v, ok := a.decodePoint(text)
		return v, ok, nil
	case kindBytes:
		b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
		if err != nil {
			return nil, false, nil
		}
		v, reason := a.acceptBytes(b)
		return v, reason == "", nil
	case kindBoolean:
		return text == "1" || text == "true" || text == "yes" || text == "y", true, nil
	case kindDatetime:
		v, ok := decodeTime(text)
		return v, ok, nil
	case kindDateonly:
		v, ok := decodeDate(text)
		return v, ok, nil
	case kindStrings:
		return splitItems(text), true, nil
	case kindNumbers:
		v, ok := decodeNumbers(text, "|", func(text string) (any, bool) { f, ok := decodeNumber(text); return f, ok })
		return v, ok, nil
	case kindIntegers:
		v, ok := decodeNumbers(text, "|", decodeInt)
		return v, ok, nil
	case kindEmbedding:
		v, ok := decodeEmbedding(text)
		return v, ok, nil
	}
	if text == "undefined" {
		return nil, false, nil
	}
	v, err := unmarshalJSON([]byte(text))
	switch {
	case err == nil && v == nil:
		return nil, true, nil
	case err != nil && a.kind == kindList:
		return splitItems(text), true, nil
	case err != nil:
		v = text // the original stores a string as it is
	}
	v, reason := a.accept(v)
	return v, reason == "", nil
}

// decodeSecret never gives the ciphertext. The two words are what the original
// encrypts for null and for nothing.
func decodeSecret(sealed string, secrets *sealer) (any, bool, error) {
	if sealed == "" {
		return nil, false, nil // truncated
	}
	if secrets == nil {
		return nil, false, ErrNoPassphrase
	}
	text, err := secrets.open(sealed)
	switch {
	case err != nil:
		return nil, false, err
	case text == "null":
		return nil, true, nil
	case text == "undefined":
		return nil, false, nil
	}
	return validText(text), true, nil
}

// decodeLiteral reads the plain text of a value, of whatever type it is.
func (a *attribute) decodeLiteral(text string) (any, bool) {
	if a.kind == kindBoolean {
		return text == "true" || text == "1", true
	}
	return a.convert(text)
}

// decodeTime reads milliseconds since 1970, or text as the original's input had it.
func decodeTime(text string) (any, bool) {
	if n, ok := decodeInt(text); ok {
		ms, ok := n.(int64)
		v, reason := acceptTime(time.UnixMilli(ms))
		return v, ok && reason == ""
	}
	v, reason := acceptTime(text)
	return v, reason == ""
}

func decodeDate(text string) (any, bool) {
	if n, ok := decodeInt(text); ok {
		days, ok := n.(int64)
		if !ok || days > 1e7 || days < -1e7 { // far beyond the years 0 and 9999
			return nil, false
		}
		v, reason := acceptDate(time.Unix(days*secondsPerDay, 0).UTC())
		return v, reason == ""
	}
	v, reason := acceptDate(text)
	return v, reason == ""
}

// splitItems splits at every bar that no backslash stands before. A backslash
// takes what follows it literally.
func splitItems(text string) []any {
	items := []any{}
	if text == "" {
		return items
	}
	var item strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text):
			i++
			item.WriteByte(text[i])
		case c == '|':
			items = append(items, item.String())
			item.Reset()
		default:
			item.WriteByte(c)
		}
	}
	return append(items, item.String())
}

// decodeNumbers reads numbers of a kind. One that can't be read makes the array
// absent.
func decodeNumbers(list, separator string, decode func(string) (any, bool)) (any, bool) {
	items := []any{}
	if list == "" {
		return items, true
	}
	for text := range strings.SplitSeq(list, separator) {
		v, ok := decode(text)
		if _, huge := v.(cdc.Decimal); huge || !ok {
			return nil, false
		}
		items = append(items, v)
	}
	return items, true
}

// decodeEmbedding reads the list in brackets, or the older form of values one by
// one.
func decodeEmbedding(text string) (any, bool) {
	decode := func(text string) (any, bool) {
		f, ok := decodeFixed(strings.TrimPrefix(text, "^"))
		return f, ok
	}
	if list, ok := strings.CutPrefix(text, "^["); ok {
		return decodeNumbers(strings.TrimSuffix(list, "]"), ",", decode)
	}
	return decodeNumbers(text, "|", decode)
}

// unmarshalJSON reads JSON into the values that travel. A number becomes an int64
// or a float64 if it is exactly that, else a Decimal.
func unmarshalJSON(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("more than one JSON value")
	}
	return fromJSON(v)
}

func fromJSON(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case json.Number:
		return fromNumber(v.String())
	case []any:
		for i := range v {
			if v[i], err = fromJSON(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for k := range v {
			if v[k], err = fromJSON(v[k]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

func fromNumber(text string) (any, error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, nil
	}
	// What jsonFloat wrote is known without counting in decimals.
	if f, err := strconv.ParseFloat(text, 64); err == nil && jsonFloat(f) == text {
		return f, nil
	}
	d, err := cdc.ParseDecimal(text)
	if err != nil || !strings.ContainsAny(text, ".eE") {
		return d, err
	}
	if f, reason := acceptNumber(d); reason == "" {
		return f, nil
	}
	return d, nil
}
