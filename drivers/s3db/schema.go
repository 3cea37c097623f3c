package s3db

import (
	"encoding/base64"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/store"
)

// The definitions that are made here, in the language of the format.
const (
	defString   = "string" // decimals too: the format's numbers are doubles
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
	createdAt        = "createdAt"
	updatedAt        = "updatedAt"
	timestampsNative = "datetime|optional"
)

// withSchema gives the definition that takes records of the schema. What a closed
// schema says replaces what is there; an open one only adds, by types alone, since
// behind a transform a value need not keep the source's rules.
func withSchema(there store.Definition, schema cdc.Schema) store.Definition {
	out := there
	out.Attributes = maps.Clone(there.Attributes)
	if out.Attributes == nil {
		out.Attributes = make(store.Attributes)
	}
	out.Timestamps = there.Timestamps || timestamped(schema)
	for _, f := range schema.Fields {
		old, ok := there.Attributes[f.Name]
		switch {
		case isTimestamp(f.Name, out):
		case !schema.Open:
			out.Attributes[f.Name] = replaced(old, declared(f))
		case !ok:
			out.Attributes[f.Name] = typed(f)
		}
	}
	if out.Timestamps {
		delete(out.Attributes, createdAt)
		delete(out.Attributes, updatedAt)
	}
	return out
}

// timestamped reports whether the schema is of a resource with timestamps. These
// two attributes are the only sign of it that leaves the source.
func timestamped(schema cdc.Schema) bool {
	created, _ := schema.Field(createdAt)
	updated, _ := schema.Field(updatedAt)
	return !schema.Open && created.Native == timestampsNative && updated.Native == timestampsNative
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

// withValues adds the record's fields that are missing, as their values are, and
// turns integers into numbers where a fraction arrives. It gives what is there if
// nothing is to be done, as for nearly every record.
func withValues(there store.Definition, record cdc.Record) store.Definition {
	out, own := there, false
	set := func(name, definition string) {
		if !own {
			out.Attributes, own = maps.Clone(there.Attributes), true
			if out.Attributes == nil {
				out.Attributes = make(store.Attributes)
			}
		}
		out.Attributes[name] = definition
	}
	for name, v := range record {
		if v == nil || name == "id" || isTimestamp(name, there) {
			continue
		}
		definition, ok := there.Attributes[name]
		if !ok {
			set(name, inferred(v))
		} else if f, isFloat := v.(float64); isFloat && f != math.Trunc(f) && definition == defInteger {
			set(name, defNumber)
		}
	}
	return out
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
	return a.Name == b.Name && a.Timestamps == b.Timestamps && reflect.DeepEqual(a.Attributes, b.Attributes)
}

// fit gives the record as the definition holds it, under its id. nil in a field
// that nobody described is left out; what does not fit is left as it is, for the
// store to refuse.
func fit(id string, record cdc.Record, def store.Definition) store.Record {
	out := make(store.Record, len(record)+1)
	for name, v := range record {
		definition, ok := def.Attributes[name]
		if v == nil && !ok && !isTimestamp(name, def) {
			continue
		}
		if text, ok := definition.(string); ok {
			v = fitValue(v, text)
		}
		out[name] = v
	}
	out["id"] = id
	return out
}

// fitValue turns into text what an attribute of text is sent.
func fitValue(v any, definition string) any {
	base, _, _ := strings.Cut(definition, "|")
	if base != defString && base != defSecret {
		return v
	}
	switch v := v.(type) {
	case cdc.Decimal:
		return v.String()
	case []byte:
		return base64.StdEncoding.EncodeToString(v)
	case time.Time:
		return v.Format(time.RFC3339Nano)
	}
	return v
}
