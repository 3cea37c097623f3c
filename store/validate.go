package store

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/s3db-go/replicator/cdc"
)

// maxRecord bounds a record as it is stored. A journal takes no change over it.
const maxRecord = 32 << 20

// idOf gives the record's own id, "" if it has none.
func idOf(rec Record) (id string, faults []Fault) {
	v, ok := rec["id"]
	if !ok {
		return "", nil
	}
	id, ok = v.(string)
	if !ok {
		return "", []Fault{{"id", "must be a string"}}
	}
	if reason := unfitID(id); reason != "" {
		return "", []Fault{{"id", reason}}
	}
	return id, nil
}

// conform gives a copy of the record, less its id, with every value in the type
// that its attribute holds. It tells every value that does not fit, and every
// field that is not declared.
func (s *schema) conform(rec Record) (Record, []Fault) {
	known := 0
	if _, ok := rec["id"]; ok {
		known++
	}
	out := s.empty(len(rec) - known)
	var faults []Fault
	for _, a := range s.attributes {
		v, ok := rec[a.name]
		if !ok {
			continue
		}
		known++
		normal, err := cdc.NormalizeValue(v)
		if err != nil {
			faults = append(faults, a.unstorable(v))
			continue
		}
		faults = append(faults, a.conform(out, normal)...)
	}
	if known < len(rec) {
		fields := maps.Clone(rec)
		delete(fields, "id")
		faults = append(faults, undeclared(s.attributes, "", fields)...)
	}
	sortFaults(faults)
	return out, faults
}

// unstorable says why a value can't be normalized. The reasons of package cdc may
// quote it, which must not be done with a secret.
func (a *attribute) unstorable(v any) Fault {
	if a.hidesWords() {
		return Fault{a.path, "is of a kind that can't be stored"}
	}
	_, err := cdc.Normalize(Record{a.name: v})
	path, reason, _ := strings.Cut(strings.TrimPrefix(err.Error(), "field "), ": ")
	return Fault{path, reason}
}

// conform puts a normalized value into out, in the type that the attribute holds.
func (a *attribute) conform(out map[string]any, v any) []Fault {
	fields, isMap := v.(map[string]any)
	switch {
	case v == nil:
		out[a.name] = nil
	case a.kind == kindNested && isMap:
		return a.conformParts(out, fields)
	default:
		typed, reason := a.accept(v)
		if reason != "" {
			return []Fault{{a.path, reason}}
		}
		out[a.name] = typed
	}
	return nil
}

func (a *attribute) conformParts(out, fields map[string]any) (faults []Fault) {
	parts := make(map[string]any, len(fields))
	for _, part := range a.fields {
		if v, ok := fields[part.name]; ok {
			faults = append(faults, part.conform(parts, v)...)
		}
	}
	out[a.name] = parts
	return append(faults, undeclared(a.fields, a.path+".", fields)...)
}

func undeclared(attrs []*attribute, prefix string, fields map[string]any) (faults []Fault) {
	for name := range fields {
		if !declared(attrs, name) {
			faults = append(faults, Fault{prefix + name, "is not declared"})
		}
	}
	return faults
}

func sortFaults(faults []Fault) {
	slices.SortFunc(faults, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Attribute, b.Attribute), cmp.Compare(a.Reason, b.Reason))
	})
}

// isEmail has the original's own idea of an address, so that what passes here passes
// there: no blanks, and something before an @, between it and a point, and behind that.
func isEmail(text string) bool {
	if len(text) < 2 || strings.ContainsAny(text, blanks) {
		return false
	}
	at := 1 + strings.IndexByte(text[1:], '@')
	return at > 0 && strings.LastIndexByte(text[:len(text)-1], '.') > at+1
}

// isURL is as isEmail.
func isURL(text string) bool {
	rest, ok := strings.CutPrefix(text, "https://")
	if !ok {
		rest, ok = strings.CutPrefix(text, "http://")
	}
	return ok && rest != "" && strings.IndexByte(blanks, rest[0]) < 0
}

const blanks = "\t\n\f\r "

// rules tells where a conforming record is outside of its attributes' limits. What
// is absent or null has none.
func rules(attrs []*attribute, rec map[string]any) []Fault {
	var faults []Fault
	for _, a := range attrs {
		if !a.limited() {
			continue // not even looked up: every write pays for it
		}
		v := rec[a.name]
		if v == nil {
			continue
		}
		if a.kind == kindNested {
			faults = append(faults, rules(a.fields, v.(map[string]any))...)
			continue
		}
		if reason := a.breaks(v); reason != "" {
			faults = append(faults, Fault{a.path, reason})
		}
	}
	return faults
}

// limited reports whether there may be a limit that values break.
func (a *attribute) limited() bool {
	return a.kind == kindNested || a.kind == kindEmail || a.kind == kindURL || a.min != nil || a.max != nil
}

// breaks says which limit a typed value breaks, "" if none.
func (a *attribute) breaks(v any) string {
	var size float64
	unit := ""
	switch v := v.(type) {
	case string:
		if a.kind == kindPassword {
			if _, hash := compactHash(v); hash {
				return "" // of what nobody knows any more
			}
		}
		switch {
		case a.kind == kindEmail && !isEmail(v):
			return "must be an e-mail address"
		case a.kind == kindURL && !isURL(v):
			return "must be a URL of http or https"
		}
		size, unit = float64(utf8.RuneCountInString(v)), " characters"
	case []any:
		size, unit = float64(len(v)), " items"
	case float64:
		size = v
	case int64:
		size = float64(v)
	case cdc.Decimal:
		size = v.Float64()
	default:
		return ""
	}
	word := "be"
	if unit != "" {
		word = "have"
	}
	if a.min != nil && size < *a.min {
		return fmt.Sprintf("must %s at least %v%s", word, *a.min, unit)
	}
	if a.max != nil && size > *a.max {
		return fmt.Sprintf("must %s at most %v%s", word, *a.max, unit)
	}
	return ""
}

// missing tells the required attributes that a record lacks. Those of an object
// that is absent are not asked for.
func missing(attrs []*attribute, rec map[string]any) []Fault {
	var faults []Fault
	for _, a := range attrs {
		if !a.required && a.kind != kindNested {
			continue
		}
		v := rec[a.name]
		if a.required && v == nil {
			faults = append(faults, Fault{a.path, "is required"})
		}
		if fields, ok := v.(map[string]any); ok && a.kind == kindNested {
			faults = append(faults, missing(a.fields, fields)...)
		}
	}
	return faults
}

// fill sets the defaults of absent attributes.
func fill(attrs []*attribute, rec map[string]any) {
	for _, a := range attrs {
		if a.fallback == nil && a.kind != kindNested {
			continue
		}
		v, ok := rec[a.name]
		if !ok && a.fallback != nil {
			rec[a.name] = a.fallback
		}
		if fields, isMap := v.(map[string]any); isMap && a.kind == kindNested {
			fill(a.fields, fields)
		}
	}
}

// merge gives base with the fields of patch in place of its own; nested attributes
// are merged in their turn. Neither is changed.
func merge(attrs []*attribute, base, patch map[string]any) map[string]any {
	out := maps.Clone(base)
	for name, v := range patch {
		i := slices.IndexFunc(attrs, func(a *attribute) bool { return a.name == name })
		old, wasMap := base[name].(map[string]any)
		fields, isMap := v.(map[string]any)
		if wasMap && isMap && attrs[i].kind == kindNested {
			v = merge(attrs[i].fields, old, fields)
		}
		out[name] = v
	}
	return out
}
