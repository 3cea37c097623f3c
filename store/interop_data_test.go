package store_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/s3db-go/replicator/store"
)

// interop is a resource and its records.
type interop struct {
	definition store.Definition
	records    []store.Record
	update     store.Record // what either side changes in a record
	large      bool         // some records are too large for an update by the original
	// What the original reads in place of any value of an attribute: its own fault.
	// An update by it has to name these, or what it misread would be written.
	misread map[string]any
	rewords []string // attributes that are read otherwise than they were told
}

func interops() map[string]interop {
	long := strings.Repeat("long text, with an é ", 150)
	all := map[string]interop{
		"texts": {
			definition: store.Definition{Attributes: store.Attributes{
				"name": "string|required", "email": "email", "site": "url", "free": "any", "cron": "cron", "locale": "locale", "currency": "currency", "country": "country",
			}},
			records: []store.Record{
				{"name": "Alice", "email": "a@example.com", "site": "https://example.com/e?x=1", "free": "anything", "cron": "0 0 * * *", "locale": "pt-BR", "currency": "EUR", "country": "BR"},
				{"name": "ünïcode 日本 🚀"}, {"name": "d:looks like a mark"}, {"name": "completed"}, {"name": "two  blanks"}, {"name": "a\ttab, a\nline"},
			},
			update: store.Record{"free": "changed ✓"},
		},
		"numbers": {
			definition: store.Definition{Attributes: store.Attributes{
				"n": "number", "i": "number|integer", "b": "boolean", "price": "money", "exact": "decimal:3", "coin": "crypto", "lat": "geo:lat", "lon": "geo:lon",
			}},
			records: []store.Record{
				{"n": 12.5, "i": 42, "b": true, "price": 19.99, "exact": mustDecimal("-1.125"), "coin": mustDecimal("0.00000001"), "lat": 48.137154, "lon": 11.576124},
				{"n": -1234567.891, "i": -9007199254740991, "b": false, "price": 0, "exact": 0, "coin": 21000000},
				{"n": 0, "i": 0}, {"n": 1.5e25, "i": 9007199254740991}, {},
			},
			update: store.Record{"n": 0.1, "i": 7, "price": 5.5},
		},
		"times": {
			definition: store.Definition{Attributes: store.Attributes{"at": "datetime", "day": "dateonly", "took": "duration"}, Timestamps: true},
			records: []store.Record{
				{"at": time.Date(2026, 2, 28, 23, 59, 59, 123e6, time.UTC), "day": "2026-02-28", "took": "PT1H30M"},
				{"at": time.Date(1969, 7, 20, 20, 17, 40, 0, time.UTC), "day": "1969-07-20"}, {},
			},
			update: store.Record{"day": "2000-01-01"},
		},
		"structures": {
			definition: store.Definition{Attributes: store.Attributes{
				"tags": "array|items:string", "scores": "array|items:number", "counts": "array|items:number|integer", "vector": "embedding:3", "list": "array",
				"data": "json", "thing": "object", "address": store.Attributes{"city": "string", "geo": store.Attributes{"zone": "number|integer"}},
			}},
			records: []store.Record{
				{"tags": []any{"a", "b|c", "é"}, "scores": []any{1.5, -2}, "counts": []any{1, 62, 3844}, "vector": []any{0.1, -0.25, 1}, "list": []any{1, "x", true},
					"data": map[string]any{"deep": []any{1, nil, "x"}}, "thing": map[string]any{"k": "v"}, "address": map[string]any{"city": "Köln", "geo": map[string]any{"zone": 3}}},
				{"tags": []any{}, "address": map[string]any{"city": "Rome"}}, {},
			},
			update: store.Record{"tags": []any{"changed"}, "address": map[string]any{"city": "Bonn"}},
		},
		"formats": {
			definition: store.Definition{Attributes: store.Attributes{
				"uuid": "uuid", "ip4": "ip4", "ip6": "ip6", "mac": "mac", "cidr": "cidr", "semver": "semver", "phone": "phone", "color": "color", "ean": "ean",
			}},
			records: []store.Record{
				{"uuid": "123e4567-e89b-42d3-a456-426614174000", "ip4": "192.168.100.200", "ip6": "2001:db8::8:800:200c:417a", "mac": "00:1a:2b:3c:4d:5e", "cidr": "10.0.0.0/8",
					"semver": "1.12.3", "phone": "+4989123456", "color": "#ff8800", "ean": "4006381333931"},
				{"ip6": "::1"}, {"ip6": "fe80:1:2:3:4:5:6:7"}, {},
			},
			update: store.Record{"color": "#000000"},
		},
		"secrets": {
			definition: store.Definition{Attributes: store.Attributes{"name": "string", "token": "secret"}},
			records:    []store.Record{{"name": "a", "token": "s3cr3t é"}, {"name": "b"}},
			update:     store.Record{"token": "changed"},
		},
		"passwords": {
			definition: store.Definition{Attributes: store.Attributes{"name": "string", "password": "password"}},
			records:    []store.Record{{"name": "a", "password": "correct horse é"}, {"name": "b"}},
			update:     store.Record{"name": "changed"},
			rewords:    []string{"password"},
		},
		"clocks": {
			definition: store.Definition{Attributes: store.Attributes{"clock": "timeonly", "name": "string"}},
			records:    []store.Record{{"clock": "10:20:30.456"}, {"clock": "00:00:00.000"}, {"clock": "23:59:59.999"}, {}},
			update:     store.Record{"clock": "12:00:00.000", "name": "changed"},
			misread:    map[string]any{"clock": "NaN:NaN:NaN.NaN"}, // it decodes twice
		},
		// Bytes are required for the original, whatever is declared, and an update
		// by it that does not name them loses them, see TestInteropFaults.
		"bytes": {
			definition: store.Definition{Attributes: store.Attributes{"data": "buffer", "flags": "bits:16", "name": "string"}},
			records: []store.Record{
				{"data": []byte{0, 1, 250, 255}, "flags": []byte{0xa5, 1}}, {"data": []byte("text, as bytes"), "flags": []byte{0, 0}}, {"data": make([]byte, 300), "flags": []byte{255, 255}},
			},
			update: store.Record{"data": []byte{7}, "flags": []byte{1, 2}, "name": "changed"},
		},
		"places": {
			definition: store.Definition{Attributes: store.Attributes{"spot": "geo:point", "name": "string"}},
			records: []store.Record{
				{"spot": map[string]any{"latitude": 48.137154, "longitude": 11.576124}}, {"spot": map[string]any{"latitude": -90, "longitude": 180}},
			},
			update: store.Record{"name": "changed"},
		},
		"parts": {
			definition: store.Definition{
				Attributes: store.Attributes{"region": "string", "at": "datetime", "n": "number|integer"},
				Partitions: map[string]store.Partition{"byRegion": {"region": "string"}, "byDay": {"at": "date|maxlength:10"}},
			},
			records: []store.Record{
				{"region": "eu", "at": time.Date(2026, 2, 28, 1, 0, 0, 0, time.UTC), "n": 1}, {"region": "us", "n": 2}, {"region": "eu", "n": 3}, {"n": 4},
			},
			update: store.Record{"region": "us"},
		},
	}
	sized := func(behavior string, sizes ...int) interop {
		c := interop{definition: store.Definition{Attributes: store.Attributes{"a": "string", "b": "string", "n": "number"}, Behavior: behavior},
			update: store.Record{"n": 2.5}}
		for i, size := range sizes {
			c.records = append(c.records, store.Record{"a": "short", "b": string([]rune(long)[:size]), "n": float64(i)})
			c.large = c.large || size > 1500 && behavior == "user-managed"
		}
		return c
	}
	all["user-managed"] = sized("user-managed", 10, 3000)
	all["enforce-limits"] = sized("enforce-limits", 10, 800)
	all["truncate-data"] = sized("truncate-data", 10, 800)
	all["body-overflow"] = sized("body-overflow", 10, 3000)
	all["body-only"] = sized("body-only", 10, 3000)
	for name, c := range all {
		c.definition.Name = name
		for i := range c.records {
			c.records[i]["id"] = fmt.Sprintf("%s-%d", name, i)
		}
		all[name] = c
	}
	return all
}

// theirs gives a definition as the original is given it.
func (c interop) theirs() map[string]any {
	def := map[string]any{"name": c.definition.Name, "attributes": optional(c.definition.Attributes), "timestamps": c.definition.Timestamps, "asyncPartitions": false}
	if c.definition.Behavior != "" {
		def["behavior"] = c.definition.Behavior
	}
	partitions := map[string]any{}
	for name, fields := range c.definition.Partitions {
		partitions[name] = map[string]any{"fields": fields}
	}
	if len(partitions) > 0 {
		def["partitions"] = partitions
	}
	return def
}

// optional says of each attribute that it is, unless it is required: in the original's
// language nothing else means that.
func optional(attrs store.Attributes) map[string]any {
	out := map[string]any{}
	for name, def := range attrs {
		switch def := def.(type) {
		case store.Attributes:
			out[name] = optional(def)
		case string:
			if !strings.Contains(def, "required") {
				def += "|optional"
			}
			out[name] = def
		}
	}
	return out
}
