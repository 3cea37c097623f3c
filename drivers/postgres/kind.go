package postgres

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/schema"
)

// kind is how the values of a column travel: in PostgreSQL's binary form, or as text,
// which the server then casts to whatever the column is.
type kind uint8

const (
	kindOther kind = iota // as text, to be cast: enums, vectors, intervals, and what is not known
	kindText              // as text, which needs no cast
	kindNumeric
	kindTime
	kindInet
	kindCIDR
	kindJSON
	kindArray
	kindInt2
	kindInt4
	kindInt8
	kindFloat4
	kindFloat8
	kindBool
	kindBytes
	kindUUID
	kindDate
	kindTimestamp
	kindTimestampTZ
	kindJSONB
)

// kindOf gives the kind of a type by its name in the catalogue.
func kindOf(typname string) kind {
	switch typname {
	case "text", "varchar", "bpchar", "name":
		return kindText
	case "numeric":
		return kindNumeric
	case "time":
		return kindTime
	case "inet":
		return kindInet
	case "cidr":
		return kindCIDR
	case "json":
		return kindJSON
	case "int2":
		return kindInt2
	case "int4":
		return kindInt4
	case "int8":
		return kindInt8
	case "float4":
		return kindFloat4
	case "float8":
		return kindFloat8
	case "bool":
		return kindBool
	case "bytea":
		return kindBytes
	case "uuid":
		return kindUUID
	case "date":
		return kindDate
	case "timestamp":
		return kindTimestamp
	case "timestamptz":
		return kindTimestampTZ
	case "jsonb":
		return kindJSONB
	}
	return kindOther
}

// cast reports whether values travel as text that the server has to cast.
func (k kind) cast() bool {
	switch k {
	case kindOther, kindNumeric, kindTime, kindInet, kindCIDR, kindJSON, kindArray:
		return true
	}
	return false
}

// wire gives the type in which values of the kind are sent: the name of its array, and
// the number of the type itself and of its array, which never change.
func (k kind) wire() (array string, element, oid uint32) {
	switch k {
	case kindInt2:
		return "int2[]", 21, 1005
	case kindInt4:
		return "int4[]", 23, 1007
	case kindInt8:
		return "int8[]", 20, 1016
	case kindFloat4:
		return "float4[]", 700, 1021
	case kindFloat8:
		return "float8[]", 701, 1022
	case kindBool:
		return "bool[]", 16, 1000
	case kindBytes:
		return "bytea[]", 17, 1001
	case kindUUID:
		return "uuid[]", 2950, 2951
	case kindDate:
		return "date[]", 1082, 1182
	case kindTimestamp:
		return "timestamp[]", 1114, 1115
	case kindTimestampTZ:
		return "timestamptz[]", 1184, 1185
	case kindJSONB:
		return "jsonb[]", 3802, 3807
	}
	return "text[]", 25, 1009
}

// typeOf gives the type of a column that is made for fields of the type. Text has no
// limit, also where the source has one, so that the source may change its mind.
func typeOf(t cdc.Type) string {
	switch t {
	case cdc.TypeString:
		return "text"
	case cdc.TypeBool:
		return "boolean"
	case cdc.TypeInt:
		return "bigint"
	case cdc.TypeFloat:
		return "double precision"
	case cdc.TypeDecimal:
		return "numeric"
	case cdc.TypeBytes:
		return "bytea"
	case cdc.TypeTime:
		return "timestamp with time zone"
	case cdc.TypeDate:
		return "date"
	}
	return "jsonb"
}

// fits reports whether a column takes values of the type that a field would get, at
// least those that such a field is likely to have. Times, and numbers of many digits,
// are often kept as text; whole numbers are not. Of types that it does not know it
// believes that they fit. A column that is there is wanted as it is where only records
// tell of it: each value shows for itself whether it is taken.
func fits(there, wanted schema.Column) bool {
	if there.Type == wanted.Type {
		return true
	}
	have, _, _ := strings.Cut(there.Type, "(")
	if strings.HasSuffix(there.Type, "[]") {
		have = "array"
	}
	switch wanted.Type {
	case "boolean":
		return !oneOf(have, "smallint", "integer", "bigint", "real", "double precision", "numeric", "bytea", "uuid", "inet", "cidr", "array") && !temporal(have)
	case "bigint", "double precision", "numeric":
		return !oneOf(have, "boolean", "bytea", "uuid", "inet", "cidr", "array") && !temporal(have)
	case "timestamp with time zone", "date":
		return !oneOf(have, "smallint", "integer", "bigint", "real", "double precision", "numeric", "boolean", "bytea", "uuid", "inet", "cidr", "array")
	case "bytea":
		return oneOf(have, "bytea", "text", "character varying", "json", "jsonb")
	case "jsonb":
		return oneOf(have, "json", "jsonb", "text", "character varying", "array") || !known(have)
	}
	return !oneOf(have, "boolean", "bytea", "smallint", "integer", "bigint", "real", "double precision")
}

func temporal(name string) bool {
	return name == "date" || strings.HasPrefix(name, "time") // time, timestamp, with and without a zone
}

func known(name string) bool {
	return temporal(name) || oneOf(name, "text", "character varying", "character", "smallint", "integer", "bigint", "real", "double precision",
		"numeric", "boolean", "bytea", "uuid", "inet", "cidr", "array", "json", "jsonb")
}

func oneOf(name string, names ...string) bool { return slices.Contains(names, name) }

// array builds the binary form of a one-dimensional array.
type array struct {
	data  []byte
	count int
	nulls bool
}

// arrayHeader is what stands before the elements: dimensions, whether there are nulls,
// the element's type, the length and the lower bound.
const arrayHeader = 20

func (a *array) begin(buf []byte) {
	a.data = append(buf[:0], make([]byte, arrayHeader)...)
	a.count, a.nulls = 0, false
}

// null adds one.
func (a *array) null() {
	a.data = append(a.data, 0xff, 0xff, 0xff, 0xff) // a length of -1
	a.count++
	a.nulls = true
}

// add adds a value as the column has it, unless there is a reason not to.
func (a *array) add(c *column, v any) (reason string) {
	start := len(a.data)
	data, reason := c.append(append(a.data, 0, 0, 0, 0), v)
	if reason != "" {
		a.data = a.data[:start]
		return reason
	}
	binary.BigEndian.PutUint32(data[start:], uint32(len(data)-start-4))
	a.data = data
	a.count++
	return ""
}

// version adds a version, to a column of type bigint.
func (a *array) version(v uint64) {
	a.data = binary.BigEndian.AppendUint64(append(a.data, 0, 0, 0, 8), v)
	a.count++
}

// end fills in the header and gives the whole.
func (a *array) end(element uint32) []byte {
	binary.BigEndian.PutUint32(a.data[0:], 1)
	if a.nulls {
		binary.BigEndian.PutUint32(a.data[4:], 1)
	}
	binary.BigEndian.PutUint32(a.data[8:], element)
	binary.BigEndian.PutUint32(a.data[12:], uint32(a.count))
	binary.BigEndian.PutUint32(a.data[16:], 1)
	return a.data
}
