package store

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Attributes maps an attribute's name to its definition: a string like
// "string|required|min:3", or Attributes (or a map[string]any) of their own.
//
// Types, with the Go type that a record holds them in:
//
//	string, email, url         string
//	any                        string; numbers and booleans become one
//	secret                     string, encrypted at rest
//	password                   string, of which only a hash is kept, by bcrypt or with
//	                           password:argon2id by that; a hash stays as it is
//	number                     float64
//	number|integer             int64
//	money, decimal, crypto     Decimal, rounded to 2, 2 or 8 decimals, or to n as in
//	                           money:n; money and crypto are not negative
//	geo:lat, geo:lon           float64, in degrees with six decimals, or n
//	geo:point                  map[string]any of latitude and longitude; a pair, or lat
//	                           and lon, become it
//	boolean                    bool
//	datetime                   time.Time in UTC, cut to milliseconds
//	dateonly, timeonly         string like 2006-01-02, like 15:04:05.000
//	duration                   string like PT1H30M; 1h30m becomes it
//	uuid, ip4, ip6, mac, cidr, semver, phone, color, ean, cron, locale, currency, country
//	                           string, in its one usual spelling: "usd" becomes "USD"
//	buffer, bits:n             []byte, of n bits
//	json                       anything; times and bytes become text
//	object                     map[string]any
//	array|items:string         []any of string
//	array|items:number         []any of float64, or of int64 with |integer
//	array, array|items:json    []any of anything
//	embedding, embedding:256   []any of float64, rounded to six decimals
//
// Modifiers are required, optional (the default), default:x, and min:n and max:n
// for the value of a number or the length of anything else, for which
// minlength:n, maxlength:n and length:n are other names.
//
// The original reads the type timeonly wrongly, loses what is in a buffer or bits when
// it updates a record, and of these and of geo:point demands a value in each record
// that it writes. An attribute of the type date, for which the format has no values,
// can be declared and not set.
//
// Attributes whose "type" is a plain type, as in {"type": "array", "items": "string"},
// are one attribute in the original's object form, whose type should be told as text
// instead. A part that is called type therefore has a modifier: "string|optional".
type Attributes map[string]any

// Partition maps the paths of attributes to rules: Partition{"region": "string",
// "createdAt": "date"}. Records with the same values are found together, see
// [Resource.Query]. A rule may cut the value's text, as "string|maxlength:3", or its
// time, as "date". A record without one of the values is in no part of it.
type Partition map[string]string

// Definition says what a resource's records look like.
type Definition struct {
	// Name of the resource. Like an id, it can't hold / \ = % or control characters.
	Name string
	// Attributes of a record besides its id.
	Attributes Attributes
	// Timestamps keeps the times of a record's insert and last write in the
	// attributes createdAt and updatedAt, and makes partitions of their days,
	// byCreatedDate and byUpdatedDate.
	Timestamps bool
	// Behavior says where a record goes that has more than the 2 KiB that S3 takes as
	// metadata: "user-managed" (the default; as a whole into the body), "body-overflow"
	// (the largest values into the body), "body-only" (always into the body),
	// "enforce-limits" (it is refused), or "truncate-data" (the largest values are
	// lost: the first of them becomes empty, the others absent).
	Behavior string
	// Partitions by name.
	Partitions map[string]Partition
	// IDSize is the length of the ids that are made for records that come without one;
	// 22 if it is 0, and at least 8 otherwise, for ids of 48 bits.
	IDSize int
	// IDGenerator is "" for random ids, or makes consecutive numbers: "incremental",
	// "incremental:1000" begins there, "incremental:ORD-0001" also puts something in
	// front and keeps four digits. An id is never made twice; some may be left out.
	IDGenerator string
}

// Names of what Timestamps adds.
const (
	createdAt     = "createdAt"
	updatedAt     = "updatedAt"
	timeRule      = "datetime|optional"
	byCreatedDate = "byCreatedDate"
	byUpdatedDate = "byUpdatedDate"
	dayRule       = "date|maxlength:10"
)

// compile gives the attributes in the order of their names, those of Timestamps
// included, or a *ValidationError. What is declared as it is there already, by path,
// is not judged again: another writer knows rules that this one does not.
func (d Definition) compile(there map[string]*attribute) ([]*attribute, error) {
	var faults []Fault
	if reason := unfitID(d.Name); reason != "" {
		faults = append(faults, Fault{"", "the name of a resource " + reason})
	}
	for _, name := range []string{createdAt, updatedAt} {
		if rule, ok := d.Attributes[name]; d.Timestamps && ok && rule != timeRule {
			faults = append(faults, Fault{name, "is an attribute that timestamps define"})
		}
	}
	if !slices.Contains(behaviors(), d.behavior()) {
		faults = append(faults, Fault{"", fmt.Sprintf("the behavior %q is not known; there are %s", d.Behavior, strings.Join(behaviors(), ", "))})
	}
	if reason := d.unfitIDs(); reason != "" {
		faults = append(faults, Fault{"", reason})
	}
	attrs, bad := strictly.parse("", d.callers())
	paths := byPath(attrs)
	bad = slices.DeleteFunc(bad, func(f Fault) bool {
		now, old := paths[f.Attribute], there[f.Attribute]
		return now != nil && old != nil && reflect.DeepEqual(now.declared, old.declared)
	})
	s := &schema{byPath: paths}
	if len(bad) == 0 { // else a partition may be of an attribute that has its own fault
		s.partitions = partitionsOf(d.partitioned())
	}
	return attrs, invalid(d.Name, "", slices.Concat(faults, bad, s.unfitPartitions()))
}

// attributesOf gives the present attributes of a resource by path, none if it is not
// there or can't be read.
func (c *catalogue) attributesOf(name string) map[string]*attribute {
	if e := c.Resources[name]; e != nil {
		if s, err := e.compile(name); err == nil && s != nil {
			return s.byPath
		}
	}
	return nil
}

// callers gives the attributes as the caller has them, those of Timestamps included.
func (d Definition) callers() map[string]any {
	out := translated(d.Attributes, func(_, text string) string { return text })
	if d.Timestamps {
		out[createdAt], out[updatedAt] = timeRule, timeRule
	}
	return out
}

// declared gives the attributes as the catalogue holds them.
func (d Definition) declared() map[string]any { return exported(d.callers()) }

func (d Definition) behavior() string {
	if d.Behavior == "" {
		return userManaged
	}
	return d.Behavior
}

// partitioned gives the partitions as the catalogue holds them.
func (d Definition) partitioned() map[string]any {
	out := make(map[string]any, len(d.Partitions)+2)
	put := func(name string, rules map[string]string) {
		fields := make(map[string]any, len(rules))
		for path, rule := range rules {
			fields[path] = rule
		}
		out[name] = map[string]any{"fields": fields}
	}
	if d.Timestamps {
		put(byCreatedDate, Partition{createdAt: dayRule})
		put(byUpdatedDate, Partition{updatedAt: dayRule})
	}
	for name, rules := range d.Partitions {
		put(name, rules)
	}
	return out
}

// definition gives what the schema was compiled from.
func (s *schema) definition() Definition {
	def := Definition{Name: s.resource, Attributes: redeclare(s.attributes), Timestamps: s.timestamps}
	if s.behavior != userManaged {
		def.Behavior = s.behavior
	}
	def.IDSize, def.IDGenerator = s.ids.size, s.ids.generator
	if def.IDSize == idSize {
		def.IDSize = 0
	}
	own := map[string]string{}
	if s.timestamps {
		own[byCreatedDate], own[byUpdatedDate] = createdAt, updatedAt
		delete(def.Attributes, createdAt)
		delete(def.Attributes, updatedAt)
	}
	for _, p := range s.partitions {
		rules := p.rules()
		if field := own[p.name]; field != "" && maps.Equal(rules, Partition{field: dayRule}) {
			continue
		}
		if def.Partitions == nil {
			def.Partitions = make(map[string]Partition)
		}
		def.Partitions[p.name] = rules
	}
	return def
}

func redeclare(attrs []*attribute) Attributes {
	out := make(Attributes, len(attrs))
	for _, a := range attrs {
		switch d := a.declared.(type) {
		case nil:
			parts := redeclare(a.fields)
			maps.Copy(parts, a.marks)
			out[a.name] = parts
		case map[string]any:
			out[a.name] = Attributes(maps.Clone(d))
		default:
			out[a.name] = d
		}
	}
	return out
}
