package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"
)

const (
	// catalogueKey is the object that holds every definition.
	catalogueKey = "s3db.json"
	// catalogueVersion is the one version of the catalogue there is so far.
	catalogueVersion = "1"
	// writerVersion says who wrote it last; the original puts its own version there.
	writerVersion = "replicator-go"
)

// catalogue is the content of s3db.json. What this package does not interpret is
// kept as it is.
type catalogue struct {
	Version     json.RawMessage   `json:"version"`
	S3dbVersion string            `json:"s3dbVersion"`
	LastUpdated string            `json:"lastUpdated"`
	Resources   map[string]*entry `json:"resources"`

	tag string // of the object that it was read from
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
	c, err := parseCatalogue(o.body)
	if err == nil {
		c.tag = o.tag
	}
	return c, err
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
