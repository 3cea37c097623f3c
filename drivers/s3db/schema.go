package s3db

import (
	"encoding/base64"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/store"
)

// The definitions that are made here, in the language of the format.
const (
	defString   = "string"
	defSecret   = "secret"
	defBoolean  = "boolean"
	defInteger  = "number|integer"
	defNumber   = "number"
	defDatetime = "datetime"
	defDate     = "dateonly"
	defArray    = "array"
	defObject   = "object"
	defAny      = "json"
)

// The attributes that the format adds to a resource with timestamps.
const (
	createdAt = "createdAt"
	updatedAt = "updatedAt"
)

// withSchema gives the definition that takes records of the schema. What a closed
// schema says replaces what is there, behavior and partitions included; an open one only adds, by types alone, since
// behind a transform a value need not keep the source's rules.
func withSchema(there store.Definition, schema cdc.Schema) store.Definition {
	out := there
	out.Attributes = maps.Clone(there.Attributes)
	if out.Attributes == nil {
		out.Attributes = make(store.Attributes)
	}
	if !schema.Open {
		out = out.WithNative(schema.Native)
	}
	for _, f := range schema.Fields {
		old, ok := there.Attributes[f.Name]
		switch {
		case isTimestamp(f.Name, out):
		case !schema.Open:
			out.Attributes[f.Name] = replaced(old, declared(f))
		case !ok:
			out.Attributes[f.Name] = typed(f)
		default:
			out.Attributes[f.Name] = sealed(old, f)
		}
	}
	if out.Timestamps {
		delete(out.Attributes, createdAt)
		delete(out.Attributes, updatedAt)
	}
	return out
}

// isTimestamp reports whether the store declares the attribute by itself.
func isTimestamp(name string, def store.Definition) bool {
	return def.Timestamps && (name == createdAt || name == updatedAt)
}

// replaced gives the new definition of an attribute. Parts of an object that the
// new one lacks stay, as do attributes of a resource.
func replaced(old, new any) any {
	there, wasNested := old.(store.Attributes)
	parts, isNested := new.(store.Attributes)
	if !wasNested || !isNested {
		return new
	}
	out := maps.Clone(there)
	for name, part := range parts {
		out[name] = replaced(there[name], part)
	}
	return out
}

// sealed gives the definition of an attribute that is there, with the field's secrets
// encrypted.
func sealed(old any, f cdc.Field) any {
	there, isNested := old.(store.Attributes)
	switch {
	case f.Secret && !isType(old, defSecret):
		return defSecret
	case f.Secret || f.Type != cdc.TypeObject || !hasSecret(f):
		return old
	case !isNested:
		return typed(f)
	}
	out := maps.Clone(there)
	for _, part := range f.Fields {
		if was, ok := there[part.Name]; ok {
			out[part.Name] = sealed(was, part)
		} else if hasSecret(part) {
			out[part.Name] = typed(part)
		}
	}
	return out
}

// isType reports whether a definition is of the type, whatever its rules.
func isType(definition any, base string) bool {
	text, ok := definition.(string)
	name, _, _ := strings.Cut(text, "|")
	return ok && name == base
}

// withValues adds the record's fields that are missing, as their values are, and
// turns integers into numbers where another number arrives, unless that is a former one. It
// gives what is there if nothing is to be done, as for nearly every record.
func withValues(there store.Definition, record cdc.Record, former bool) store.Definition {
	out := there
	out.Attributes, _ = withFields(there.Attributes, record, former, func(name string) bool {
		return name == "id" || isTimestamp(name, there)
	})
	return out
}

// withFields is withValues for the attributes of a definition, or of an object in it.
func withFields(there store.Attributes, fields map[string]any, former bool, leave func(name string) bool) (out store.Attributes, changed bool) {
	out = there
	set := func(name string, definition any) {
		if !changed {
			out, changed = make(store.Attributes, len(there)+1), true
			maps.Copy(out, there)
		}
		out[name] = definition
	}
	for name, v := range fields {
		if v == nil || leave(name) {
			continue
		}
		definition, ok := there[name]
		switch {
		case !ok:
			set(name, inferred(v))
		case definition == defInteger && !isWhole(v) && !former:
			set(name, defNumber)
		default:
			parts, isNested := definition.(store.Attributes)
			object, isObject := v.(map[string]any)
			if !isNested || !isObject {
				continue
			}
			if parts, more := withFields(parts, object, former, func(string) bool { return false }); more {
				set(name, parts)
			}
		}
	}
	return out, changed
}

// isWhole reports whether an integer holds v, false only for other numbers.
func isWhole(v any) bool {
	switch v := v.(type) {
	case float64:
		return v == math.Trunc(v) && v >= math.MinInt64 && v < math.MaxInt64 // which rounds to 2^63
	case cdc.Decimal:
		_, ok := v.Int64()
		return ok
	}
	return true
}

// declared gives the field in the language of the format, with its rules.
func declared(f cdc.Field) any {
	if f.Native != "" {
		return f.Native
	}
	if f.Type == cdc.TypeObject && len(f.Fields) > 0 {
		return parts(f, declared)
	}
	if text := typed(f); f.Required {
		return text.(string) + "|required"
	}
	return typed(f)
}

// typed gives the field's type and no rules. An object is described part by part
// only if one of them is a secret, which must stay one; else it may hold anything.
func typed(f cdc.Field) any {
	if f.Secret {
		return defSecret
	}
	switch f.Type {
	case cdc.TypeBool:
		return defBoolean
	case cdc.TypeInt:
		return defInteger
	case cdc.TypeFloat:
		return defNumber
	case cdc.TypeDecimal:
		return typedDecimal(f.Native)
	case cdc.TypeTime:
		return defDatetime
	case cdc.TypeDate:
		return defDate
	case cdc.TypeArray:
		return defArray
	case cdc.TypeObject:
		if slices.ContainsFunc(f.Fields, hasSecret) {
			return parts(f, typed)
		}
		return defObject
	case cdc.TypeAny:
		return defAny
	}
	return defString
}

func parts(f cdc.Field, define func(cdc.Field) any) store.Attributes {
	out := make(store.Attributes, len(f.Fields))
	for _, part := range f.Fields {
		out[part.Name] = define(part)
	}
	return out
}

func hasSecret(f cdc.Field) bool { return f.Secret || slices.ContainsFunc(f.Fields, hasSecret) }

// inferred gives the definition for a field of which only a value is known.
func inferred(v any) string {
	switch v.(type) {
	case bool:
		return defBoolean
	case int64:
		return defInteger
	case float64:
		return defNumber
	case time.Time:
		return defDatetime
	case []any:
		return defArray
	case map[string]any:
		return defObject
	}
	return defString
}

// sameDefinition reports whether two definitions say the same.
func sameDefinition(a, b store.Definition) bool {
	return a.Name == b.Name && a.Timestamps == b.Timestamps && a.Behavior == b.Behavior &&
		a.IDSize == b.IDSize && a.IDGenerator == b.IDGenerator &&
		maps.EqualFunc(a.Partitions, b.Partitions, maps.Equal) && reflect.DeepEqual(a.Attributes, b.Attributes)
}

// fit gives the record as the definition holds it, under its id. nil in a field
// that nobody described is left out; what does not fit is left as it is, for the
// store to refuse.
func fit(id string, record cdc.Record, def store.Definition) store.Record {
	out := fitFields(record, def.Attributes, func(name string) bool { return isTimestamp(name, def) })
	out["id"] = id
	return out
}

func fitFields(fields map[string]any, attributes store.Attributes, known func(name string) bool) map[string]any {
	out := make(map[string]any, len(fields)+1)
	for name, v := range fields {
		definition, ok := attributes[name]
		if v != nil || ok || known(name) {
			out[name] = fitValue(v, definition)
		}
	}
	return out
}

// fitValue turns into text what an attribute of text is sent.
func fitValue(v, definition any) any {
	if parts, isNested := definition.(store.Attributes); isNested {
		if object, ok := v.(map[string]any); ok {
			return fitFields(object, parts, func(string) bool { return false })
		}
	}
	if !isType(definition, defString) && !isType(definition, defSecret) {
		return v
	}
	switch v := v.(type) {
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64) // plain digits, as a decimal has
	case cdc.Decimal:
		return v.String()
	case []byte:
		return base64.StdEncoding.EncodeToString(v)
	case time.Time:
		return v.Format(time.RFC3339Nano)
	}
	return v
}
