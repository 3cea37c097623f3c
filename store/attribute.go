package store

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/s3db-go/replicator/cdc"
)

// attribute is one attribute of a definition.
type attribute struct {
	name     string
	path     string
	kind     kind
	declared any    // as it was declared: text, or an object; nil if nested
	text     string // the same as text
	marks    map[string]any
	required bool
	min, max *float64 // of a number, or of a length
	fallback any      // what an absent value becomes; nil for nothing
	fields   []*attribute

	key  string // the short one in a compiled schema, "" if its catalogue has none
	leaf bool   // what that key holds is read as a value of this attribute

	form    *form // of a kindForm
	digits  int   // after the point, of what has a fixed number of them
	bits    int   // of bits, 0 for any number of bytes
	argon2  bool  // of a password
	literal bool  // declared as an object: the original stores the value's plain text
}

// declared reports whether one of the attributes, which are in the order of their
// names, has this name.
func declared(attrs []*attribute, name string) bool {
	_, found := slices.BinarySearchFunc(attrs, name, func(a *attribute, name string) int { return strings.Compare(a.name, name) })
	return found
}

// reading says what a definition is read for.
type reading bool

const (
	// strictly: it was given by the caller, who is told of everything that is wrong.
	strictly reading = false
	// leniently: it stands in a catalogue. Rules that are not known don't count; the
	// records are there, whatever else is asked of new ones.
	leniently reading = true
)

// parse compiles a definition's attributes, in the order of their names. It tells
// every fault.
func (r reading) parse(prefix string, attrs map[string]any) ([]*attribute, []Fault) {
	var out []*attribute
	var faults []Fault
	for _, name := range slices.Sorted(maps.Keys(attrs)) {
		path := prefix + name
		if isMark(name) && (prefix != "" || r == leniently) {
			continue
		}
		if reason := unfitAttribute(prefix, name); reason != "" {
			faults = append(faults, Fault{path, reason})
			continue
		}
		a, bad := r.parseOne(path, attrs[name])
		a.name = name
		out = append(out, a)
		faults = append(faults, bad...)
	}
	return out, faults
}

// isMark reports whether a name says something about the object that it stands in,
// like "$$type".
func isMark(name string) bool { return strings.HasPrefix(name, "$$") }

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
	}
	return ""
}

func (r reading) parseOne(path string, declared any) (*attribute, []Fault) {
	var a *attribute
	var reason string
	switch d := declared.(type) {
	case string:
		a, reason = r.parseText(d)
	case map[string]any:
		if !isObjectForm(d) {
			return r.parseNested(path, d)
		}
		if a, reason = r.parseText(objectText(d)); reason != "" {
			reason += "; if type is the name of a part, say \"string|optional\""
			break
		}
		a.literally()
	default:
		a, reason = &attribute{}, fmt.Sprintf("a %T is no definition: want a string or nested attributes", declared)
	}
	a.path, a.declared = path, declared
	if reason != "" {
		return a, []Fault{{path, reason}}
	}
	return a, nil
}

func (r reading) parseNested(path string, d map[string]any) (*attribute, []Fault) {
	fields, faults := r.parse(path+".", d)
	a := &attribute{path: path, kind: kindNested, fields: fields}
	for name, mark := range d {
		if isMark(name) {
			if a.marks == nil {
				a.marks = make(map[string]any)
			}
			a.marks[name] = mark
		}
	}
	typ, _ := a.marks["$$type"].(string)
	a.required = strings.Contains(typ, "required")
	return a, faults
}

// parseText reads "type|modifier|modifier:value". The reason says what is wrong, ""
// if nothing is.
func (r reading) parseText(text string) (*attribute, string) {
	a := &attribute{text: text}
	declared, rest, _ := strings.Cut(text, "|")
	typ, arg, _ := strings.Cut(declared, ":")
	if typ == "geo" {
		part, digits, _ := strings.Cut(arg, ":")
		typ, arg = "geo:"+part, digits
	}
	mods := modifiers{}
	for m := range strings.SplitSeq(rest, "|") {
		name, value, _ := strings.Cut(m, ":")
		if m == "" {
			continue
		}
		if _, twice := mods[name]; twice && r == strictly {
			return a, fmt.Sprintf("%q is given twice", name)
		}
		mods[name] = value
	}
	if reason := a.resolve(typ, arg, mods); reason != "" {
		return a, reason
	}
	if seen := originalType(text); seen != "" && seen != typ {
		return a, fmt.Sprintf("the original would read the definition %q as of type %s", text, seen)
	}
	return a, a.apply(mods, r)
}

// modifiers are what follows a type: names and values, "" for those without one.
type modifiers map[string]string

func (m modifiers) flag(name string) bool {
	value, ok := m[name]
	return ok && value != "false"
}

// apply sets what the modifiers say.
func (a *attribute) apply(mods modifiers, r reading) string {
	for _, name := range slices.Sorted(maps.Keys(mods)) {
		if reason := a.modify(name, mods[name], mods); reason != "" && r == strictly {
			return reason
		}
	}
	if zero := 0.0; a.kind == kindMoney && a.min == nil {
		a.min = &zero // as for the original
	}
	return ""
}

func (a *attribute) modify(name, value string, mods modifiers) (reason string) {
	switch name {
	case "required":
		a.required = mods.flag(name)
	case "optional":
		if mods.flag(name) && mods.flag("required") {
			return "is both required and optional"
		}
	case "integer":
		if a.kind != kindNumber && a.kind != kindInteger && a.kind != kindIntegers {
			return "only a number can be an integer"
		}
	case "items":
		if a.kind < kindStrings {
			return "only an array has items"
		}
	case "min", "max":
		return a.bound(name, value, a.hasLength() || a.isNumber())
	case "minlength", "maxlength", "length":
		return a.bound(name, value, a.hasLength())
	case "default":
		if a.fallback, reason = a.parseDefault(value); reason != "" {
			return fmt.Sprintf("default %q: %s", value, reason)
		}
	default:
		return fmt.Sprintf("modifier %q is not supported", name)
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

// parseDefault types the text of a default.
func (a *attribute) parseDefault(text string) (any, string) {
	switch {
	case a.isNumber():
		d, err := cdc.ParseDecimal(text)
		if err != nil {
			return nil, "is not a number"
		}
		return a.accept(d)
	case a.kind == kindBoolean:
		switch text {
		case "true":
			return true, ""
		case "false":
			return false, ""
		}
		return nil, "is neither true nor false"
	case a.kind <= kindForm || a.kind == kindDatetime || a.kind == kindDateonly:
		return a.accept(text)
	}
	return nil, "the type has no defaults"
}

// literally makes the attribute what the original makes of one that is declared as
// an object: of these only arrays of text or numbers are stored in their own way.
func (a *attribute) literally() {
	switch a.kind {
	case kindStrings, kindNumbers, kindIntegers, kindList, kindJSON, kindSecret, kindPassword:
	case kindEmbedding:
		if strings.HasPrefix(a.text, "embedding") {
			a.kind = kindList
		}
	case kindObject, kindPoint, kindBytes:
		a.kind = kindOpaque
	default:
		a.literal = true
	}
}

// describe translates attributes into the contract's fields.
func describe(attrs []*attribute) []cdc.Field {
	var fields []cdc.Field
	for _, a := range attrs {
		f := cdc.Field{Name: a.name, Required: a.required, Secret: a.isSecret(), Native: a.text}
		f.Type, f.Fields = a.describe()
		fields = append(fields, f)
	}
	return fields
}

// isSecret reports whether values must not leave the store by the way. The hash of a
// password is as good as the password to who has time.
func (a *attribute) isSecret() bool { return a.kind == kindSecret || a.kind == kindPassword }

// hidesSecret reports whether the attribute, or one below it, is encrypted.
func (a *attribute) hidesSecret() bool {
	return a.kind == kindSecret || slices.ContainsFunc(a.fields, (*attribute).hidesSecret)
}

// hidesWords reports whether no error may quote what the attribute is given.
func (a *attribute) hidesWords() bool {
	return a.isSecret() || slices.ContainsFunc(a.fields, (*attribute).hidesWords)
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
		case a.isSecret() && !present.isSecret():
			out = append(out, cdc.Field{Name: a.name, Type: cdc.TypeString, Secret: true})
		case a.kind == kindNested:
			if parts := retire(a.fields, present.fields); parts != nil {
				out = append(out, cdc.Field{Name: a.name, Type: cdc.TypeObject, Fields: parts})
			}
		}
	}
	return out
}
