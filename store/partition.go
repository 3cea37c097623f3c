package store

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/s3db-go/replicator/cdc"
)

// partition is a compiled partition: where a record's reference stands follows from
// the record alone.
type partition struct {
	name   string
	fields []partitionField // in the order of the key
	// complete says that records have had references in it for as long as there are
	// records, so that whoever reads by it misses none.
	complete bool
}

type partitionField struct{ path, rule string }

// versionField is the one field that is no attribute: the definition's version.
const versionField = versionHeader

// maxSegment is the length of a name in a file system.
const maxSegment = 255

// partitions gives the partitions of a version, in the order of their names.
func (v version) partitions() ([]partition, error) {
	if len(v.Partitions) == 0 {
		return nil, nil
	}
	var all map[string]any
	if err := json.Unmarshal(v.Partitions, &all); err != nil {
		return nil, err
	}
	return partitionsOf(all), nil
}

func partitionsOf(all map[string]any) []partition {
	var out []partition
	for _, name := range slices.Sorted(maps.Keys(all)) {
		declared, _ := all[name].(map[string]any)
		fields, _ := declared["fields"].(map[string]any)
		if len(fields) == 0 {
			continue // the original writes no references for it
		}
		p := partition{name: name}
		for path, rule := range fields {
			text, _ := rule.(string)
			p.fields = append(p.fields, partitionField{path, text})
		}
		slices.SortFunc(p.fields, func(a, b partitionField) int { return compareNames(a.path, b.path) })
		out = append(out, p)
	}
	return out
}

// compareNames orders names as the original does, by the rules of a language: signs,
// then digits, then letters, of which the small come first only where nothing else
// tells two names apart.
func compareNames(a, b string) int {
	rank := func(r rune) int {
		switch {
		case unicode.IsLetter(r):
			return 2
		case unicode.IsDigit(r):
			return 1
		}
		return 0
	}
	x, y := []rune(a), []rune(b)
	for i := range min(len(x), len(y)) {
		n := cmp.Or(cmp.Compare(rank(x[i]), rank(y[i])), cmp.Compare(unicode.ToLower(x[i]), unicode.ToLower(y[i])))
		if n != 0 {
			return n
		}
	}
	return cmp.Or(cmp.Compare(len(x), len(y)), -cmp.Compare(a, b))
}

func (p partition) rules() Partition {
	out := make(Partition, len(p.fields))
	for _, f := range p.fields {
		out[f.path] = f.rule
	}
	return out
}

// unfitPartitions tells which partitions can't be kept, by name.
func (s *schema) unfitPartitions() []Fault {
	var faults []Fault
	for _, p := range s.partitions {
		if reason := unfitID(p.name); reason != "" {
			faults = append(faults, Fault{p.name, "the name of a partition " + reason})
		}
		for _, f := range p.fields {
			switch a := s.byPath[f.path]; {
			case f.path == versionField:
			case a == nil:
				faults = append(faults, Fault{p.name, fmt.Sprintf("is by %q, which is no attribute", f.path)})
			case a.isSecret():
				faults = append(faults, Fault{p.name, fmt.Sprintf("is by %q, which would then stand in the clear in a key", f.path)})
			case !a.isScalar() || strings.ContainsAny(f.path, `/\=%`):
				faults = append(faults, Fault{p.name, fmt.Sprintf("is by %q, which has no text for a key", f.path)})
			}
		}
	}
	return faults
}

// key gives the key of a record's reference, false if it has none.
func (p partition) key(s *schema, id string, rec Record) (string, bool) {
	prefix, ok := p.prefix(s, func(path string) (any, bool) { return lookup(rec, path) })
	return prefix + "id=" + id, ok
}

// prefix begins the keys of the references of all records that have the values, and
// ends in a slash. It may hold what [joined] takes out.
func (p partition) prefix(s *schema, value func(path string) (any, bool)) (string, bool) {
	parts := []string{"resource=" + s.resource, "partition=" + p.name}
	for _, f := range p.fields {
		v, ok := value(f.path)
		if f.path == versionField {
			v, ok = "v"+strconv.Itoa(s.version), true
		}
		if !ok || v == nil {
			return "", false
		}
		text, ok := f.text(v)
		if !ok {
			return "", false
		}
		parts = append(parts, f.path+"="+text)
	}
	return strings.Join(parts, "/") + "/", true
}

// joined gives a key as the original writes it, which takes it for a path: of
// several slashes one remains.
func joined(key string) string { return path.Join(strings.Split(key, "/")...) }

// text gives what stands in the key for a value. The original applies a rule to what
// it is given, and so to the text of a time.
func (f partitionField) text(v any) (string, bool) {
	text, ok := plainText(v)
	if !ok {
		return "", false
	}
	switch v.(type) {
	case string, time.Time:
	default:
		return text, true // rules are for text
	}
	if _, rest, ok := strings.Cut(f.rule, "maxlength:"); ok {
		digits := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
		if n, err := strconv.Atoi(digits); err == nil {
			text = cutUTF16(text, n)
		}
	}
	if strings.Contains(f.rule, "date") {
		text = dayOf(text)
	}
	return text, true
}

// cutUTF16 keeps the first n units of JavaScript's text.
func cutUTF16(text string, n int) string {
	if units := utf16.Encode([]rune(text)); len(units) > n {
		return string(utf16.Decode(units[:n]))
	}
	return text
}

// dayOf gives the day of a time in UTC. What is none stays as it is.
func dayOf(text string) string {
	if day, _, ok := strings.Cut(text, "T"); ok && strings.Contains(text, "Z") {
		return day
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly, "2006-01", "2006"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC().Format(time.DateOnly)
		}
	}
	return text
}

// references gives the keys of all of a record's references, or says of which
// attribute the value can't stand in one.
func (s *schema) references(id string, rec Record) ([]string, []Fault) {
	var keys []string
	var faults []Fault
	for _, p := range s.partitions {
		key, ok := p.key(s, id, rec)
		if !ok {
			continue
		}
		if reason := unfitReference(key); reason != "" {
			faults = append(faults, Fault{p.fields[len(p.fields)-1].path, fmt.Sprintf("can't be in the partition %s, whose key %s", p.name, reason)})
			continue
		}
		keys = append(keys, joined(key))
	}
	return keys, faults
}

// unfitReference says why a key can't be a reference's, "" if it can. The answer is
// the same for every backend.
func unfitReference(key string) string {
	for segment := range strings.SplitSeq(key, "/") {
		switch {
		case segment == "..":
			return "would be in another place for the .. in it"
		case len(segment) > maxSegment:
			return fmt.Sprintf("would have a part of %d bytes, more than %d", len(segment), maxSegment)
		}
	}
	if strings.ContainsFunc(key, unicode.IsControl) {
		return "would hold a control character"
	}
	return ""
}

// referenceID gives the id of the record that a reference is to.
func referenceID(key string) string {
	_, id, _ := strings.Cut(path.Base(key), "id=")
	return id
}

// always reports whether the partition is, by the same values, in every version of
// the definition.
func (e *entry) always(p partition) bool {
	for name := range e.Versions {
		v, err := e.named(name)
		if err != nil {
			return false
		}
		now, err := e.named(e.currentName())
		all, bad := v.partitions()
		i := slices.IndexFunc(all, func(q partition) bool { return q.name == p.name })
		if err != nil || bad != nil || i < 0 || !slices.Equal(all[i].fields, p.fields) {
			return false
		}
		for _, f := range p.fields {
			root, _, _ := strings.Cut(f.path, ".")
			if !cdc.Equal(v.Attributes[root], now.Attributes[root]) {
				return false
			}
		}
	}
	return true
}
