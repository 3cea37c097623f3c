package route

import (
	"slices"

	"github.com/s3db-go/replicator/cdc"
)

// WithoutSecrets gives a record that was written under the given version of the
// schema, or an earlier one, without the fields that are secret, for showing it. It
// shares with r whatever holds no secret.
func WithoutSecrets(r cdc.Record, s cdc.Schema, version int) cdc.Record {
	return pass{}.record(r, secretFields(s, version), "")
}

// secretFields gives the fields in which the secrets of a record are found: those of
// the schema, and for a record that is older than it, those that were secret then.
func secretFields(s cdc.Schema, version int) []cdc.Field {
	if version >= s.Version || len(s.Retired) == 0 {
		return s.Fields
	}
	return slices.Concat(s.Fields, s.Retired)
}

// pass says which secrets may stay in what is sent. The zero value lets none through.
type pass struct {
	named    []string // by their dotted paths
	encrypts bool     // the target keeps what is declared secret encrypted
}

// pass gives the rule's. A Transform may put a secret where nothing declares it, so
// before one only those stay that the rule names.
func (r *Rule) pass(limits cdc.Limits) pass {
	return pass{named: r.Secrets, encrypts: limits.Secrets && r.Transform == nil}
}

// holds reports whether a secret stays back. In a list it always does, unless it is
// named: a definition has no word for it there.
func (p pass) holds(f *cdc.Field, path string, inList bool) bool {
	return f.Secret && (inList || !p.encrypts) && !slices.Contains(p.named, path)
}

// sealed reports whether the field or a part of it stays back.
func (p pass) sealed(f *cdc.Field, path string, inList bool) bool {
	if p.holds(f, path, inList) {
		return true
	}
	for i := range f.Fields {
		part := &f.Fields[i]
		if (part.Secret || len(part.Fields) > 0) && p.sealed(part, join(path, part.Name), inList || f.Type == cdc.TypeArray) {
			return true
		}
	}
	return false
}

// record gives r without what stays back. It shares with r whatever holds no secret; r
// itself if there is none.
func (p pass) record(r cdc.Record, fields []cdc.Field, under string) cdc.Record {
	return p.object(r, fields, under, false)
}

func (p pass) object(r cdc.Record, fields []cdc.Field, under string, inList bool) cdc.Record {
	out, owned := r, false
	for i := range fields {
		f := &fields[i]
		if !f.Secret && len(f.Fields) == 0 {
			continue
		}
		path := join(under, f.Name)
		if !p.sealed(f, path, inList) {
			continue
		}
		// What an earlier field of this name left: of a schema and what is retired of it,
		// each may hold a secret of the same object.
		v, present := out[f.Name]
		if !present {
			continue
		}
		if !owned {
			out, owned = r.Clone(), true
		}
		if v, ok := p.value(v, f, path, inList); ok {
			out[f.Name] = v
		} else {
			delete(out, f.Name)
		}
	}
	return out
}

// value gives what may be sent of the value of a sealed field, false if nothing may:
// also where the value has not the declared shape, so that the secret in it can't be
// found.
func (p pass) value(v any, f *cdc.Field, path string, inList bool) (any, bool) {
	if p.holds(f, path, inList) {
		return nil, false
	}
	switch v := v.(type) {
	case nil:
		return nil, true
	case map[string]any:
		if f.Type == cdc.TypeObject {
			return map[string]any(p.object(v, f.Fields, path, inList)), true
		}
	case []any:
		if f.Type == cdc.TypeArray {
			out := make([]any, len(v))
			for i, item := range v {
				public, ok := p.value(item, &f.Fields[0], path, true)
				if !ok {
					return nil, false
				}
				out[i] = public
			}
			return out, true
		}
	}
	return nil, false
}

// fields is record for the fields of a schema.
func (p pass) fields(fields []cdc.Field, under string, inList bool) []cdc.Field {
	var out []cdc.Field
	for _, f := range fields {
		path := join(under, f.Name)
		if p.holds(&f, path, inList) {
			continue
		}
		parts := p.fields(f.Fields, path, inList || f.Type == cdc.TypeArray)
		if f.Type == cdc.TypeArray && len(parts) < len(f.Fields) {
			continue // its items are secret
		}
		f.Fields = parts
		out = append(out, f)
	}
	return out
}

// join gives the dotted path of a part. The item type of an array has no name and
// is at the array's own path.
func join(under, name string) string {
	switch {
	case under == "":
		return name
	case name == "":
		return under
	}
	return under + "." + name
}
