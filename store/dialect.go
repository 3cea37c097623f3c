package store

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A definition is written in one of two dialects. In a catalogue, which is the
// original's, an attribute is required unless it says optional; for a caller it is
// optional unless it says required. So that the original takes the records that we
// write, and updates them, each dialect is translated into the other, and a caller
// never sees the catalogue's.

// exported gives a caller's attributes as a catalogue has them.
func exported(attrs map[string]any) map[string]any {
	return translated(attrs, func(_, text string) string {
		if says(text, "optional") || says(text, "required") {
			return text
		}
		return text + "|optional"
	})
}

// imported gives a catalogue's attributes as a caller has them.
func imported(attrs map[string]any) map[string]any { return translated(attrs, importText) }

func importText(path, text string) string {
	switch {
	case path == createdAt || path == updatedAt:
		if text == timeRule {
			return text // not the caller's words: timestamps define it
		}
	case strings.HasSuffix(path, ".type"):
		return text // without the modifier the object would be taken for a definition in object form
	}
	switch {
	case says(text, "optional"):
		parts := strings.Split(text, "|")
		return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "optional" }), "|")
	case says(text, "required"):
		return text
	}
	return text + "|required"
}

// says reports whether a definition has a modifier.
func says(text, modifier string) bool {
	_, rest, _ := strings.Cut(text, "|")
	return slices.Contains(strings.Split(rest, "|"), modifier)
}

// translated copies attributes to the types that JSON decodes to, with another text.
// What is declared in object form stays: it is the same in both dialects.
func translated(attrs map[string]any, translate func(path, text string) string) map[string]any {
	return translatedBelow("", attrs, translate)
}

func translatedBelow(prefix string, attrs map[string]any, translate func(path, text string) string) map[string]any {
	out := make(map[string]any, len(attrs))
	for name, def := range attrs {
		if d, ok := def.(Attributes); ok {
			def = map[string]any(d)
		}
		switch def := def.(type) {
		case string:
			out[name] = def
			if !isMark(name) {
				out[name] = translate(prefix+name, def)
			}
		case map[string]any:
			if isObjectForm(def) {
				out[name] = maps.Clone(def)
				continue
			}
			out[name] = translatedBelow(prefix+name+".", def, translate)
		default:
			out[name] = def
		}
	}
	return out
}

// isObjectForm reports whether an object is the definition of one attribute, like
// {"type": "array", "items": "string"}, and does not hold several. The original
// tells by a type without modifiers.
func isObjectForm(d map[string]any) bool {
	text, ok := d["type"].(string)
	typ, _, _ := strings.Cut(text, ":")
	return ok && !strings.Contains(text, "|") && (isType(typ) || isType(text) || typ == "geo")
}

// objectText gives a definition in object form as a caller's text.
func objectText(d map[string]any) string {
	text, required := d["type"].(string), true
	for _, name := range slices.Sorted(maps.Keys(d)) {
		if name == "type" || isMark(name) || strings.HasPrefix(name, "__") {
			continue // a plugin's mark
		}
		switch v := d[name].(type) {
		case bool:
			switch {
			case name == "optional":
				required = !v
			case v:
				text += "|" + name
			}
		case string:
			text += "|" + name + ":" + v
		case map[string]any, Attributes:
			if name == "items" {
				text += "|items:object"
			}
		default:
			text += fmt.Sprintf("|%s:%v", name, v)
		}
	}
	if required && !says(text, "required") {
		text += "|required"
	}
	return text
}
