package cdc

import "fmt"

// Schema is the shape of a resource or of a target.
type Schema struct {
	// Resource is the name of the source's resource.
	Resource string
	// Version grows with every change of the shape, from 1.
	Version int
	// Key holds the names of the key columns, in order; ["id"] for a resource.
	Key []string
	// Fields, in the order in which a destination should create them. The id is not
	// among a resource's fields.
	Fields []Field
	// Retired holds what an earlier version kept secret and this one does not: fields
	// that are gone or are not secret any more, in the shape that they had. Changes of
	// those versions may still be on their way.
	Retired []Field
	// Open says that records may have fields beyond these, and may lack required
	// ones: a transform stands between the resource and the target. A field that
	// has the name of one of Fields has its type; any other takes the type of its
	// first value that is not nil, and nothing is required.
	Open bool
	// Native is what the source says of the resource beyond its fields, in its own
	// language, for a destination that speaks it too; "" if there is nothing.
	Native string
}

// Field is one column of a Schema.
type Field struct {
	Name     string
	Type     Type
	Required bool
	// Secret fields are encrypted at rest. They leave the source only for
	// destinations that can encrypt them, or where a route names them.
	Secret bool
	// Fields are the parts of a TypeObject, or the one item type of a TypeArray
	// (with an empty name). Empty if not known.
	Fields []Field
	// Native is the field's definition in the source's own language, for a
	// destination that speaks it too; "" if there is none.
	Native string
}

// Field gives the field of that name and whether there is one.
func (s Schema) Field(name string) (Field, bool) {
	for _, f := range s.Fields {
		if f.Name == name {
			return f, true
		}
	}
	return Field{}, false
}

// Type is the type of a field, in the terms of the values that it holds.
type Type uint8

// The types of fields.
const (
	TypeAny     Type = iota // not known, or mixed
	TypeString              // string
	TypeBool                // bool
	TypeInt                 // int64
	TypeFloat               // float64
	TypeDecimal             // Decimal
	TypeBytes               // []byte
	TypeTime                // time.Time
	TypeDate                // string, YYYY-MM-DD
	TypeArray               // []any
	TypeObject              // map[string]any
)

var typeNames = [...]string{"any", "string", "bool", "int", "float", "decimal", "bytes", "time", "date", "array", "object"}

// String gives the type's name in lower case.
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return fmt.Sprintf("Type(%d)", uint8(t))
}

// MarshalText writes what String gives.
func (t Type) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (t *Type) UnmarshalText(text []byte) error {
	for i, name := range typeNames {
		if name == string(text) {
			*t = Type(i)
			return nil
		}
	}
	return fmt.Errorf("cdc: unknown type %q", text)
}
