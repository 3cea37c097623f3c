package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// version is one version of a definition. Those that are not current stay as
// they were written.
type version struct {
	Hash                     string          `json:"hash"`
	Attributes               map[string]any  `json:"attributes"`
	Behavior                 string          `json:"behavior"`
	Timestamps               bool            `json:"timestamps"`
	Partitions               json.RawMessage `json:"partitions"`
	Paranoid                 bool            `json:"paranoid"`
	AllNestedObjectsOptional bool            `json:"allNestedObjectsOptional"`
	AutoDecrypt              bool            `json:"autoDecrypt"`
	Cache                    json.RawMessage `json:"cache,omitempty"`
	AsyncEvents              json.RawMessage `json:"asyncEvents,omitempty"`
	AsyncPartitions          json.RawMessage `json:"asyncPartitions,omitempty"`
	Hooks                    json.RawMessage `json:"hooks"`
	IDSize                   int             `json:"idSize"`
	IDGenerator              json.RawMessage `json:"idGenerator"`
	CreatedAt                string          `json:"createdAt"`
}

func damaged(resource string, err error) error {
	return fmt.Errorf("store: %s: %s is damaged: %w", resource, catalogueKey, err)
}

func noShortKeys(resource string) error {
	return fmt.Errorf("store: %s: %s does not say which short keys its attributes have", resource, catalogueKey)
}

// currentName gives the name of the version that is in force.
func (e *entry) currentName() string {
	if e.CurrentVersion != "" {
		return e.CurrentVersion
	}
	return e.newest()
}

// current gives the definition that is in force, or false if the entry has none.
func (e *entry) current() (version, bool, error) {
	v, err := e.named(e.currentName())
	return v, v.Attributes != nil, err
}

// named gives a version, an empty one if there is none of that name.
func (e *entry) named(name string) (version, error) {
	raw, ok := e.Versions[name]
	if !ok {
		return version{}, nil
	}
	var v version
	if err := json.Unmarshal(raw, &v); err != nil {
		return version{}, err
	}
	if v.Behavior == "" {
		v.Behavior = userManaged
	}
	return v, nil
}

// newest gives the name of the highest version, "" if there is none.
func (e *entry) newest() string {
	return slices.MaxFunc(append(slices.Collect(maps.Keys(e.Versions)), ""), func(a, b string) int {
		return versionNumber(a) - versionNumber(b)
	})
}

// versionNumber reads the 3 of "v3"; 0 if there is none.
func versionNumber(name string) int {
	n, _ := strconv.Atoi(strings.TrimPrefix(name, "v"))
	return n
}

// definition gives the current definition of a resource, an empty one if there is none.
func (c *catalogue) definition(name string) (Definition, error) {
	e := c.Resources[name]
	if e == nil {
		return Definition{}, nil
	}
	s, err := e.compile(name)
	if err != nil || s == nil {
		return Definition{}, err
	}
	return s.definition(), nil
}

// define makes def the current definition of a resource and reports whether that
// changed anything. attrs are def's, compiled.
func (c *catalogue) define(def Definition, attrs []*attribute, now time.Time) (changed bool, err error) {
	e := c.Resources[def.Name]
	if e == nil {
		e = &entry{Partitions: json.RawMessage("{}"), CreatedBy: "user", Versions: map[string]json.RawMessage{},
			PluginSchemaRegistry: json.RawMessage("{}")}
	}
	old, ok, err := e.current()
	if err != nil {
		return false, damaged(def.Name, err)
	}
	if reason := old.unwritable(); ok && reason != "" {
		return false, fmt.Errorf("store: %s: the resource %s", def.Name, reason)
	}
	v := version{Paranoid: true, AllNestedObjectsOptional: true, AutoDecrypt: true, Hooks: json.RawMessage("{}")}
	if ok {
		v = old // what this package has no word for stays
	}
	if err := v.take(def, now); err != nil {
		return false, err
	}
	grown := e.SchemaRegistry.follow(registryPaths(attrs), now)
	same := false
	if ok {
		if same, err = v.means(old); err != nil {
			return false, damaged(def.Name, err)
		}
	}
	if same && string(v.IDGenerator) == string(old.IDGenerator) && v.IDSize == old.IDSize {
		changed = !maps.Equal(grown.Mapping, e.SchemaRegistry.Mapping)
		e.SchemaRegistry = grown
		return changed, nil
	}
	if same {
		old.IDSize, old.IDGenerator = v.IDSize, v.IDGenerator // which the original does not count as a change
		v = old
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return false, err
	}
	if !same {
		e.CurrentVersion = "v" + strconv.Itoa(versionNumber(e.newest())+1)
	}
	e.Versions[e.currentName()] = raw
	e.Partitions = v.Partitions
	e.SchemaRegistry = grown
	c.Resources[def.Name] = e
	return true, nil
}

// take makes the version what a definition says.
func (v *version) take(def Definition, now time.Time) (err error) {
	v.Attributes = def.declared()
	v.Behavior = def.behavior()
	v.Timestamps = def.Timestamps
	v.CreatedAt = now.UTC().Format(isoMillis)
	if v.Partitions, err = marshalJSON(def.partitioned()); err != nil {
		return err
	}
	v.IDSize, v.IDGenerator = def.idRule().stored()
	v.Hash, err = v.hash()
	return err
}

// means reports whether two versions say the same of a resource's records. The hash
// that stands there may be another writer's idea of one, and required may be said in
// one of them and be understood in the other.
func (v *version) means(w version) (bool, error) {
	ours, err := v.partitions()
	if err != nil {
		return false, err
	}
	theirs, err := w.partitions()
	if err != nil {
		return false, err
	}
	return v.Timestamps == w.Timestamps && v.Behavior == w.Behavior && reflect.DeepEqual(ours, theirs) &&
		reflect.DeepEqual(imported(v.Attributes), imported(w.Attributes)), nil
}

// unwritable says what of a definition this package can read but not keep up, ""
// if there is nothing.
func (v version) unwritable() string {
	if v.Behavior != "" && !slices.Contains(behaviors(), v.Behavior) {
		return fmt.Sprintf("has the behavior %q, which is not known", v.Behavior)
	}
	return ""
}

// hash is the format's: of attributes, behavior and partitions as JSON with sorted
// keys and without blanks; the two attributes that timestamps add don't count.
func (v version) hash() (string, error) {
	attrs := maps.Clone(v.Attributes)
	if v.Timestamps {
		delete(attrs, createdAt)
		delete(attrs, updatedAt)
	}
	var partitions any = map[string]any{}
	if len(v.Partitions) > 0 {
		if err := json.Unmarshal(v.Partitions, &partitions); err != nil {
			return "", err
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(map[string]any{"attributes": attrs, "behavior": v.Behavior, "partitions": partitions}); err != nil {
		return "", err
	}
	sum := sha256.Sum256(bytes.TrimSpace(b.Bytes()))
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}
