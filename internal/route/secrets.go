package route

import (
	"slices"

	"github.com/s3db-go/replicator/cdc"
)

// WithoutSecrets gives a record that was written under the given version of the
// schema, or an earlier one, without the fields that are secret, for showing it. It
// shares with r whatever holds no secret.
func WithoutSecrets(r cdc.Record, s cdc.Schema, version int) cdc.Record {
	return withoutSecrets(r, secretFields(s, version), "", nil)
}

// secretFields gives the fields in which the secrets of a record are found: those of
// the schema, and for a record that is older than it, those that were secret then.
func secretFields(s cdc.Schema, version int) []cdc.Field {
	if version >= s.Version || len(s.Retired) == 0 {
		return s.Fields
	}
	return slices.Concat(s.Fields, s.Retired)
}

// withoutSecrets gives r without the secret fields that are not among the open
// ones. It shares with r whatever holds no secret; r itself if there is none.
func withoutSecrets(r cdc.Record, fields []cdc.Field, under string, open []string) cdc.Record {
	out, owned := r, false
	for i := range fields {
		f := &fields[i]
		if !f.Secret && len(f.Fields) == 0 {
			continue
		}
		path := join(under, f.Name)
		if !sealed(f, path, open) {
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
		if v, ok := publicPart(v, f, path, open); ok {
			out[f.Name] = v
		} else {
			delete(out, f.Name)
		}
	}
	return out
}

// publicPart gives what may be sent of the value of a sealed field, false if
// nothing may: also where the value has not the declared shape, so that the secret
// in it can't be found.
func publicPart(v any, f *cdc.Field, path string, open []string) (any, bool) {
	if f.Secret && !slices.Contains(open, path) {
		return nil, false
	}
	switch v := v.(type) {
	case nil:
		return nil, true
	case map[string]any:
		if f.Type == cdc.TypeObject {
			return map[string]any(withoutSecrets(v, f.Fields, path, open)), true
		}
	case []any:
		if f.Type == cdc.TypeArray {
			out := make([]any, len(v))
			for i, item := range v {
				public, ok := publicPart(item, &f.Fields[0], path, open)
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

// sealed reports whether the field or a part of it is a secret that is not open.
func sealed(f *cdc.Field, path string, open []string) bool {
	if f.Secret && !slices.Contains(open, path) {
		return true
	}
	for i := range f.Fields {
		part := &f.Fields[i]
		if (part.Secret || len(part.Fields) > 0) && sealed(part, join(path, part.Name), open) {
			return true
		}
	}
	return false
}

// publicFields is withoutSecrets for the fields of a schema.
func publicFields(fields []cdc.Field, under string, open []string) []cdc.Field {
	var out []cdc.Field
	for _, f := range fields {
		path := join(under, f.Name)
		if f.Secret && !slices.Contains(open, path) {
			continue
		}
		parts := publicFields(f.Fields, path, open)
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
