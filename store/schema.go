package store

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/s3db-go/replicator/cdc"
)

// schema is the compiled form of a resource's current definition. Immutable.
type schema struct {
	resource   string
	version    int
	behavior   string
	timestamps bool
	attributes []*attribute
	paths      map[string]string     // short key → dotted path
	keys       map[string]string     // dotted path → short key
	byPath     map[string]*attribute // of every depth
	burned     map[string]bool       // short keys of attributes that were removed
	retired    []cdc.Field           // what earlier versions kept secret and this one does not
	readonly   string                // why the resource can't be written, "" if it can
}

// kind is how an attribute's values are typed, stored and compared.
type kind uint8

const (
	kindString kind = iota
	kindEmail
	kindURL
	kindSecret
	kindNumber
	kindInteger
	kindBoolean
	kindDatetime
	kindDateonly
	kindJSON
	kindObject    // a map, as JSON text
	kindNested    // a map with attributes of its own, each stored by itself
	kindStrings   // arrays by what is in them
	kindNumbers   //
	kindIntegers  //
	kindEmbedding // numbers with six decimals
	kindList      // anything, as JSON text
)

// attribute is one attribute of a definition.
type attribute struct {
	name       string
	path       string
	kind       kind
	definition string // as it was declared; "" if nested
	required   bool
	min, max   *float64 // of a number, or of a length
	fallback   any      // what an absent value becomes; nil for nothing
	fields     []*attribute
}

// embeddingLength is the fixed length from which the original stores an array of
// numbers as an embedding.
const embeddingLength = 256

// parseAttributes compiles a definition's attributes, in the order of their names.
// It tells every fault.
func parseAttributes(prefix string, attrs map[string]any) ([]*attribute, []Fault) {
	var out []*attribute
	var faults []Fault
	for _, name := range slices.Sorted(maps.Keys(attrs)) {
		path := prefix + name
		if reason := unfitAttribute(prefix, name); reason != "" {
			faults = append(faults, Fault{path, reason})
			continue
		}
		a, bad := parseAttribute(path, attrs[name])
		a.name = name
		out = append(out, a)
		faults = append(faults, bad...)
	}
	return out, faults
}

// unfitAttribute says why a name can't be an attribute's, "" if it can.
func unfitAttribute(prefix, name string) string {
	switch {
	case name == "":
		return "has no name"
	case prefix == "" && (name == "id" || name == "metadata_updatedat"):
		return "the format uses this name itself"
	case strings.HasPrefix(name, "_"):
		return "names that begin with _ are the format's own"
	case strings.ContainsAny(name, ".$"):
		return "a name can't hold . or $"
	case prefix != "" && name == "type":
		return "a nested type means a definition in object form, which is not supported yet"
	}
	return ""
}

func parseAttribute(path string, declared any) (*attribute, []Fault) {
	switch d := declared.(type) {
	case string:
		a, reason := parseDefinition(d)
		a.path = path
		if reason != "" {
			return a, []Fault{{path, reason}}
		}
		return a, nil
	case map[string]any:
		fields, faults := parseAttributes(path+".", d)
		return &attribute{path: path, kind: kindNested, fields: fields}, faults
	}
	return &attribute{path: path}, []Fault{{path, fmt.Sprintf("a %T is no definition: want a string or nested attributes", declared)}}
}

// parseDefinition reads "type|modifier|modifier:value". The reason says what is
// wrong, "" if nothing is.
func parseDefinition(text string) (*attribute, string) {
	a := &attribute{definition: text}
	declared, rest, _ := strings.Cut(text, "|")
	typ, arg, _ := strings.Cut(declared, ":")
	mods := modifiers{}
	for m := range strings.SplitSeq(rest, "|") {
		name, value, _ := strings.Cut(m, ":")
		if m == "" {
			continue
		}
		if _, twice := mods[name]; twice {
			return a, fmt.Sprintf("%q is given twice", name)
		}
		mods[name] = value
	}
	var reason string
	if a.kind, reason = kindOf(typ, mods); reason != "" {
		return a, reason
	}
	if arg != "" {
		if typ != "embedding" {
			return a, fmt.Sprintf("type %q takes no argument", typ)
		}
		mods["length"] = arg
	}
	if seen := originalType(text); seen != "" && seen != typ {
		return a, fmt.Sprintf("the original would read the definition %q as of type %s", text, seen)
	}
	return a, a.apply(mods)
}

// modifiers are what follows a type: names and values, "" for those without one.
type modifiers map[string]string

func (m modifiers) flag(name string) bool {
	value, ok := m[name]
	return ok && value != "false"
}

// kindOf gives the kind of a type's name and of what an array holds.
func kindOf(typ string, mods modifiers) (kind, string) {
	switch typ {
	case "string":
		return kindString, ""
	case "email":
		return kindEmail, ""
	case "url":
		return kindURL, ""
	case "secret":
		return kindSecret, ""
	case "number":
		if mods.flag("integer") {
			return kindInteger, ""
		}
		return kindNumber, ""
	case "boolean":
		return kindBoolean, ""
	case "datetime":
		return kindDatetime, ""
	case "dateonly":
		return kindDateonly, ""
	case "json":
		return kindJSON, ""
	case "object":
		return kindObject, ""
	case "embedding":
		return kindEmbedding, ""
	case "array":
		return arrayKind(mods)
	case "password", "ip4", "ip6", "buffer", "bits", "money", "crypto", "decimal", "geo", "uuid", "mac", "cidr", "semver",
		"phone", "color", "duration", "ean", "cron", "locale", "currency", "country", "any", "date", "timeonly":
		return 0, fmt.Sprintf("type %q is not supported yet", typ)
	}
	switch typ {
	case "int", "integer":
		return 0, fmt.Sprintf("type %q is not known; want number|integer", typ)
	case "bool":
		return 0, fmt.Sprintf("type %q is not known; want boolean", typ)
	}
	return 0, fmt.Sprintf("type %q is not known; the types are string, number, boolean, datetime, dateonly, json, object, array, secret, email, url, embedding", typ)
}

func arrayKind(mods modifiers) (kind, string) {
	switch items := mods["items"]; items {
	case "string":
		return kindStrings, ""
	case "number":
		length, _ := strconv.Atoi(mods["length"])
		switch {
		case length >= embeddingLength:
			return kindEmbedding, ""
		case mods.flag("integer"):
			return kindIntegers, ""
		}
		return kindNumbers, ""
	case "", "json", "object":
		return kindList, ""
	default:
		return 0, fmt.Sprintf("an array of %q is not supported yet", items)
	}
}

// originalType gives the type that the original takes a definition for. It looks
// for these words anywhere, so that a default of "number1" makes a number; "" if
// it finds none and goes by what the definition begins with.
func originalType(text string) string {
	for _, word := range []string{"embedding", "array", "secret", "password", "ip4", "ip6", "buffer", "bits", "money", "crypto",
		"decimal", "geo:", "number", "boolean", "bool", "json", "object"} {
		if strings.Contains(text, word) {
			return word
		}
	}
	return ""
}

// apply sets what the modifiers say.
func (a *attribute) apply(mods modifiers) string {
	for _, name := range slices.Sorted(maps.Keys(mods)) {
		value := mods[name]
		var reason string
		switch name {
		case "required":
			a.required = mods.flag(name)
		case "optional":
			if mods.flag(name) && mods.flag("required") {
				reason = "is both required and optional"
			}
		case "integer":
			if a.kind == kindNumber || a.kind == kindInteger || a.kind == kindIntegers {
				break
			}
			reason = "only a number can be an integer"
		case "items":
			if a.kind < kindStrings {
				reason = "only an array has items"
			}
		case "min", "max":
			reason = a.bound(name, value, a.hasLength() || a.kind == kindNumber || a.kind == kindInteger)
		case "minlength", "maxlength", "length":
			reason = a.bound(name, value, a.hasLength())
		case "default":
			if a.fallback, reason = a.parseDefault(value); reason != "" {
				reason = fmt.Sprintf("default %q: %s", value, reason)
			}
		default:
			reason = fmt.Sprintf("modifier %q is not supported", name)
		}
		if reason != "" {
			return reason
		}
	}
	return ""
}

func (a *attribute) bound(name, value string, fits bool) string {
	if !fits {
		return fmt.Sprintf("modifier %q does not fit the type", name)
	}
	n, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return fmt.Sprintf("%s %q is not a number", name, value)
	}
	if strings.HasPrefix(name, "m") {
		name = name[:3]
	}
	if name != "max" {
		a.min = &n
	}
	if name != "min" {
		a.max = &n
	}
	return ""
}

// hasLength reports whether min and max count characters or items.
func (a *attribute) hasLength() bool {
	switch a.kind {
	case kindString, kindEmail, kindURL, kindSecret, kindStrings, kindNumbers, kindIntegers, kindEmbedding, kindList:
		return true
	}
	return false
}

// parseDefault types the text of a default.
func (a *attribute) parseDefault(text string) (any, string) {
	var v any = text
	switch a.kind {
	case kindNumber, kindInteger:
		d, err := cdc.ParseDecimal(text)
		if err != nil {
			return nil, "is not a number"
		}
		v = d
	case kindBoolean:
		switch text {
		case "true":
			v = true
		case "false":
			v = false
		default:
			return nil, "is neither true nor false"
		}
	case kindString, kindEmail, kindURL, kindDatetime, kindDateonly:
	default:
		return nil, "the type has no defaults yet"
	}
	return a.accept(v)
}

// describe translates attributes into the contract's fields.
func describe(attrs []*attribute) []cdc.Field {
	var fields []cdc.Field
	for _, a := range attrs {
		f := cdc.Field{Name: a.name, Required: a.required, Secret: a.kind == kindSecret, Native: a.definition}
		f.Type, f.Fields = a.describe()
		fields = append(fields, f)
	}
	return fields
}

func (a *attribute) describe() (cdc.Type, []cdc.Field) {
	switch a.kind {
	case kindString, kindEmail, kindURL, kindSecret:
		return cdc.TypeString, nil
	case kindNumber:
		return cdc.TypeFloat, nil
	case kindInteger:
		return cdc.TypeInt, nil
	case kindBoolean:
		return cdc.TypeBool, nil
	case kindDatetime:
		return cdc.TypeTime, nil
	case kindDateonly:
		return cdc.TypeDate, nil
	case kindObject:
		return cdc.TypeObject, nil
	case kindNested:
		return cdc.TypeObject, describe(a.fields)
	case kindStrings:
		return cdc.TypeArray, []cdc.Field{{Type: cdc.TypeString}}
	case kindNumbers, kindEmbedding:
		return cdc.TypeArray, []cdc.Field{{Type: cdc.TypeFloat}}
	case kindIntegers:
		return cdc.TypeArray, []cdc.Field{{Type: cdc.TypeInt}}
	case kindList:
		return cdc.TypeArray, nil
	}
	return cdc.TypeAny, nil
}

// retire gives the attributes that were secret then and are not now, in the shape
// that they had then.
func retire(then, now []*attribute) []cdc.Field {
	var out []cdc.Field
	for _, a := range then {
		var present attribute
		if i := slices.IndexFunc(now, func(b *attribute) bool { return b.name == a.name }); i >= 0 {
			present = *now[i]
		}
		switch {
		case a.kind == kindSecret && present.kind != kindSecret:
			out = append(out, cdc.Field{Name: a.name, Type: cdc.TypeString, Secret: true})
		case a.kind == kindNested:
			if parts := retire(a.fields, present.fields); parts != nil {
				out = append(out, cdc.Field{Name: a.name, Type: cdc.TypeObject, Fields: parts})
			}
		}
	}
	return out
}
