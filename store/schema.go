package store

import (
	"cmp"
	"encoding/json"
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
	mark       string // what the records' header tells of the version
	behavior   string
	timestamps bool
	ids        idRule
	attributes []*attribute
	partitions []partition
	paths      map[string]string     // short key → dotted path
	keys       map[string]string     // dotted path → short key
	byPath     map[string]*attribute // of every depth
	leaves     map[string]*attribute // by short key: those that hold values, and not attributes of their own
	burned     map[string]bool       // short keys of attributes that were removed
	former     map[string]former     // by the number of an earlier version, as text
	retired    []cdc.Field           // what earlier versions kept secret and this one does not
	readonly   string                // why the resource can't be written, "" if it can
}

// former is what has to be known of an earlier version to read its records.
type former struct {
	behavior   string
	attributes map[string]*attribute // by path; those that are declared otherwise now
}

// keyMap gives the short keys by path as JSON, in the order of their numbers.
func (s *schema) keyMap() []byte {
	paths := slices.SortedFunc(maps.Keys(s.keys), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(s.keys[a]), len(s.keys[b])), cmp.Compare(s.keys[a], s.keys[b]))
	})
	out := []byte{'{'}
	for i, path := range paths {
		if i > 0 {
			out = append(out, ',')
		}
		name, _ := marshalJSON(path)
		out = append(out, name...)
		out = append(out, ':')
		out = strconv.AppendQuote(out, s.keys[path])
	}
	return append(out, '}')
}

// compile gives nil for an entry without a definition, which the original drops.
func (e *entry) compile(name string) (*schema, error) {
	v, ok, err := e.current()
	if err != nil {
		return nil, damaged(name, err)
	}
	if !ok {
		return nil, nil
	}
	attrs, faults := leniently.parse("", imported(v.Attributes))
	if err := invalid(name, "", faults); err != nil {
		return nil, err
	}
	if len(attrs) > 0 && len(e.SchemaRegistry.Mapping) == 0 {
		return nil, noShortKeys(name)
	}
	s := &schema{
		resource: name, version: versionNumber(e.currentName()), mark: "v" + strconv.Itoa(versionNumber(e.currentName())), behavior: v.Behavior, timestamps: v.Timestamps, ids: v.idRule(),
		attributes: attrs, paths: make(map[string]string), keys: make(map[string]string),
		byPath: byPath(attrs), burned: make(map[string]bool), readonly: v.unwritable(), retired: e.retired(attrs),
	}
	if s.partitions, err = v.partitions(); err != nil {
		return nil, damaged(name, err)
	}
	if faults := s.unfitPartitions(); s.readonly == "" && len(faults) > 0 {
		s.readonly = "has the partition " + faults[0].Attribute + ", which " + faults[0].Reason
	}
	for i, p := range s.partitions {
		s.partitions[i].complete = e.always(p)
	}
	for path, index := range e.SchemaRegistry.Mapping {
		s.paths[shortKey(index)], s.keys[path] = path, shortKey(index)
	}
	for path, key := range e.pluginKeys() {
		s.paths[key], s.keys[path] = path, key
	}
	for _, b := range e.SchemaRegistry.Burned {
		if _, used := s.paths[shortKey(b.Index)]; !used {
			s.burned[shortKey(b.Index)] = true
		}
	}
	s.leaves = make(map[string]*attribute, len(s.paths))
	for key, path := range s.paths {
		if a := s.byPath[path]; a != nil && a.kind != kindNested && !internal(key) {
			s.leaves[key] = a
		}
	}
	for path, a := range s.byPath {
		a.key = s.keys[path]
		a.leaf = s.leaves[a.key] == a
	}
	s.former = e.former(s.byPath)
	return s, nil
}

func byPath(attrs []*attribute) map[string]*attribute {
	out := make(map[string]*attribute)
	var walk func([]*attribute)
	walk = func(attrs []*attribute) {
		for _, a := range attrs {
			out[a.path] = a
			walk(a.fields)
		}
	}
	walk(attrs)
	return out
}

// pluginKeys gives the short keys of attributes that a plugin of the original owns.
func (e *entry) pluginKeys() map[string]string {
	var plugins map[string]struct{ Mapping map[string]string }
	_ = json.Unmarshal(e.PluginSchemaRegistry, &plugins) // without it their values are leftovers
	out := make(map[string]string)
	for _, plugin := range plugins {
		maps.Copy(out, plugin.Mapping)
	}
	return out
}

// former gives what reading the records of earlier versions takes. Readers of the
// original take everything for the present version's, and then find numbers in what
// was text.
func (e *entry) former(now map[string]*attribute) map[string]former {
	out := make(map[string]former, len(e.Versions))
	for name := range e.Versions {
		v, err := e.named(name)
		if name == e.currentName() || err != nil {
			continue
		}
		then, _ := leniently.parse("", imported(v.Attributes))
		f := former{behavior: v.Behavior, attributes: make(map[string]*attribute)}
		for path, a := range byPath(then) {
			if b := now[path]; b != nil && a.kind != kindNested && !a.storedAs(b) {
				f.attributes[path] = a
			}
		}
		out[strings.TrimPrefix(name, "v")] = f
	}
	return out
}

// storedAs reports whether two attributes have the same stored form for each value.
func (a *attribute) storedAs(b *attribute) bool {
	if a.literal != b.literal {
		return false
	}
	isText := func(a *attribute) bool {
		return a.kind <= kindAny || a.literal
	}
	return isText(a) && isText(b) || a.kind == b.kind && a.form == b.form && a.digits == b.digits && a.bits == b.bits
}

// retired gives what the former versions kept secret and the present attributes do not.
// A version that can't be read any more tells nothing.
func (e *entry) retired(now []*attribute) (out []cdc.Field) {
	for _, name := range slices.Sorted(maps.Keys(e.Versions)) {
		v, err := e.named(name)
		if name == e.currentName() || err != nil {
			continue
		}
		then, _ := leniently.parse("", imported(v.Attributes))
		out = append(out, retire(then, now)...)
	}
	return out
}

// schemas are those of all resources of a catalogue, by name. One that can't be compiled
// is there as the error that using it gives. Immutable.
type schemas struct {
	usable   map[string]*schema
	unusable map[string]error
}

// schemas compiles every resource of the catalogue.
func (c *catalogue) schemas() *schemas {
	all := &schemas{make(map[string]*schema), make(map[string]error)}
	for name, e := range c.Resources {
		if s, err := e.compile(name); err != nil {
			all.unusable[name] = err
		} else if s != nil {
			all.usable[name] = s
		}
	}
	return all
}
