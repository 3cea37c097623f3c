package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/s3db-go/replicator/cdc"
)

const (
	// catalogueKey is the object that holds every definition.
	catalogueKey = "s3db.json"
	// catalogueVersion is the one version of the catalogue there is so far.
	catalogueVersion = "1"
	// writerVersion says who wrote it last; the original puts its own version there.
	writerVersion = "replicator-go"

	behaviorUserManaged = "user-managed"
)

// catalogue is the content of s3db.json. What this package does not interpret is
// kept as it is.
type catalogue struct {
	Version     json.RawMessage   `json:"version"`
	S3dbVersion string            `json:"s3dbVersion"`
	LastUpdated string            `json:"lastUpdated"`
	Resources   map[string]*entry `json:"resources"`
}

// entry is one resource of a catalogue, with every version of its definition.
type entry struct {
	CurrentVersion       string                     `json:"currentVersion"`
	Partitions           json.RawMessage            `json:"partitions"`
	CreatedBy            string                     `json:"createdBy"`
	Versions             map[string]json.RawMessage `json:"versions"`
	SchemaRegistry       registry                   `json:"schemaRegistry"`
	PluginSchemaRegistry json.RawMessage            `json:"pluginSchemaRegistry,omitempty"`
}

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
	Hooks                    struct{}        `json:"hooks"`
	IDSize                   int             `json:"idSize"`
	IDGenerator              json.RawMessage `json:"idGenerator"`
	CreatedAt                string          `json:"createdAt"`
}

// readCatalogue gives the catalogue, an empty one if there is none yet. One that
// is damaged or of another version is an error: writing over it would lose what it
// says. What it gives is durable: records are written on the strength of it.
func readCatalogue(ctx context.Context, b backend) (*catalogue, error) {
	if err := b.flush(ctx, catalogueKey); err != nil {
		return nil, fmt.Errorf("store: %s: %w", catalogueKey, err)
	}
	o, err := b.get(ctx, catalogueKey)
	if errors.Is(err, errAbsent) {
		return &catalogue{Resources: make(map[string]*entry)}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("store: %s: %w", catalogueKey, err)
	}
	return parseCatalogue(o.body)
}

func parseCatalogue(text []byte) (*catalogue, error) {
	var c catalogue
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, fmt.Errorf("store: %s is damaged, nothing was changed: %w", catalogueKey, err)
	}
	if v := strings.Trim(string(c.Version), `"`); v != "" && v != "null" && v != catalogueVersion {
		return nil, fmt.Errorf("store: %s is of version %s; this library knows version %s, nothing was changed", catalogueKey, v, catalogueVersion)
	}
	if c.Resources == nil {
		c.Resources = make(map[string]*entry)
	}
	maps.DeleteFunc(c.Resources, func(_ string, e *entry) bool { return e == nil })
	return &c, nil
}

// encode writes the catalogue as the original does.
func (c *catalogue) encode(now time.Time) (object, error) {
	c.Version = json.RawMessage(strconv.Quote(catalogueVersion))
	c.S3dbVersion = writerVersion
	c.LastUpdated = now.UTC().Format(isoMillis)
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(c); err != nil {
		return object{}, err
	}
	return object{body: bytes.TrimSpace(b.Bytes()), contentType: jsonContent}, nil
}

// current gives the definition that is in force, or false if the entry has none.
func (e *entry) current() (version, bool, error) {
	name := e.CurrentVersion
	if name == "" {
		name = e.newest()
	}
	raw, ok := e.Versions[name]
	if !ok {
		return version{}, false, nil
	}
	var v version
	if err := json.Unmarshal(raw, &v); err != nil {
		return version{}, false, err
	}
	v.Behavior = orDefault(v.Behavior)
	return v, v.Attributes != nil, nil
}

func orDefault(behavior string) string {
	if behavior == "" {
		return behaviorUserManaged
	}
	return behavior
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
	declared := def.declared()
	e := c.Resources[def.Name]
	if e == nil {
		e = &entry{Partitions: json.RawMessage("{}"), CreatedBy: "user", Versions: map[string]json.RawMessage{},
			PluginSchemaRegistry: json.RawMessage("{}")}
	}
	old, ok, err := e.current()
	if err != nil {
		return false, fmt.Errorf("store: %s: %s is damaged: %w", def.Name, catalogueKey, err)
	}
	if reason := old.unwritable(); ok && reason != "" {
		return false, fmt.Errorf("store: %s: the resource %s", def.Name, reason)
	}
	v := version{
		Attributes: declared, Behavior: behaviorUserManaged, Timestamps: def.Timestamps, Partitions: json.RawMessage("{}"),
		Paranoid: true, AllNestedObjectsOptional: true, AutoDecrypt: true, IDSize: idSize,
		IDGenerator: json.RawMessage(`"default"`), CreatedAt: now.UTC().Format(isoMillis),
	}
	if v.Hash, err = v.hash(); err != nil {
		return false, err
	}
	grown := e.SchemaRegistry.follow(registryPaths(attrs), now)
	if ok {
		// The hash that stands there may be another writer's idea of one.
		hash, err := old.hash()
		if err != nil {
			return false, err
		}
		if hash == v.Hash && old.Timestamps == v.Timestamps {
			changed = !maps.Equal(grown.Mapping, e.SchemaRegistry.Mapping)
			e.SchemaRegistry = grown
			return changed, nil
		}
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return false, err
	}
	e.CurrentVersion = "v" + strconv.Itoa(versionNumber(e.newest())+1)
	e.Versions[e.CurrentVersion] = raw
	e.SchemaRegistry = grown
	c.Resources[def.Name] = e
	return true, nil
}

// unwritable says what of a definition this package can read but not keep up, ""
// if there is nothing.
func (v version) unwritable() string {
	if v.Behavior != "" && v.Behavior != behaviorUserManaged {
		return fmt.Sprintf("has the behavior %q, which can't be written yet", v.Behavior)
	}
	if p := string(v.Partitions); p != "" && p != "null" && p != "{}" {
		return "has partitions, which can't be written yet"
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

// schemas compiles every resource of the catalogue. One that can't be compiled
// (its types are not supported yet) is given as the error that using it gives.
func (c *catalogue) schemas() (map[string]*schema, map[string]error) {
	usable, unusable := make(map[string]*schema), make(map[string]error)
	for name, e := range c.Resources {
		if s, err := e.compile(name); err != nil {
			unusable[name] = err
		} else if s != nil {
			usable[name] = s
		}
	}
	return usable, unusable
}

// retired gives what the former versions kept secret and the present attributes do not.
// A version that can't be read any more tells nothing.
func (e *entry) retired(now []*attribute) (out []cdc.Field) {
	for _, name := range slices.Sorted(maps.Keys(e.Versions)) {
		var v version
		if name == e.CurrentVersion || json.Unmarshal(e.Versions[name], &v) != nil {
			continue
		}
		then, _ := parseAttributes("", v.Attributes)
		out = append(out, retire(then, now)...)
	}
	return out
}

// compile gives nil for an entry without a definition, which the original drops.
func (e *entry) compile(name string) (*schema, error) {
	v, ok, err := e.current()
	if err != nil {
		return nil, fmt.Errorf("store: %s: %s is damaged: %w", name, catalogueKey, err)
	}
	if !ok {
		return nil, nil
	}
	attrs, faults := parseAttributes("", v.Attributes)
	if err := invalid(name, "", faults); err != nil {
		return nil, err
	}
	if len(attrs) > 0 && len(e.SchemaRegistry.Mapping) == 0 {
		return nil, fmt.Errorf("store: %s: %s does not say which short keys its attributes have", name, catalogueKey)
	}
	s := &schema{
		resource: name, version: versionNumber(e.CurrentVersion), behavior: v.Behavior, timestamps: v.Timestamps,
		attributes: attrs, paths: make(map[string]string), keys: make(map[string]string),
		byPath: make(map[string]*attribute), burned: make(map[string]bool), readonly: v.unwritable(),
		retired: e.retired(attrs),
	}
	for path, index := range e.SchemaRegistry.Mapping {
		s.paths[shortKey(index)], s.keys[path] = path, shortKey(index)
	}
	for _, b := range e.SchemaRegistry.Burned {
		if _, used := s.paths[shortKey(b.Index)]; !used {
			s.burned[shortKey(b.Index)] = true
		}
	}
	var walk func([]*attribute)
	walk = func(attrs []*attribute) {
		for _, a := range attrs {
			s.byPath[a.path] = a
			walk(a.fields)
		}
	}
	walk(attrs)
	return s, nil
}
