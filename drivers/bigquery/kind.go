package bigquery

import (
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/schema"
)

// kind is how the values of a column are written.
type kind uint8

const (
	kindNone kind = iota // not at all: RANGE, and what is not known
	kindString
	kindText // as text that BigQuery reads: GEOGRAPHY, INTERVAL
	kindBytes
	kindInt
	kindFloat
	kindBool
	kindNumeric
	kindBigNumeric
	kindTimestamp
	kindDate
	kindDatetime
	kindTime
	kindJSON
	kindRecord
)

// kindOf gives the kind of a type by either of its names.
func kindOf(typ string) kind {
	switch typ {
	case "STRING":
		return kindString
	case "GEOGRAPHY", "INTERVAL":
		return kindText
	case "BYTES":
		return kindBytes
	case "INTEGER", "INT64":
		return kindInt
	case "FLOAT", "FLOAT64":
		return kindFloat
	case "BOOLEAN", "BOOL":
		return kindBool
	case "NUMERIC":
		return kindNumeric
	case "BIGNUMERIC":
		return kindBigNumeric
	case "TIMESTAMP":
		return kindTimestamp
	case "DATE":
		return kindDate
	case "DATETIME":
		return kindDatetime
	case "TIME":
		return kindTime
	case "JSON":
		return kindJSON
	case "RECORD", "STRUCT":
		return kindRecord
	}
	return kindNone
}

// wire gives the type of the field that carries a kind: of those that the vendor takes
// (cloud.google.com/bigquery/docs/write-api#data_type_conversions) one that loses
// nothing.
func (k kind) wire() descriptorpb.FieldDescriptorProto_Type {
	switch k {
	case kindInt, kindTimestamp:
		return descriptorpb.FieldDescriptorProto_TYPE_INT64
	case kindDate:
		return descriptorpb.FieldDescriptorProto_TYPE_INT32
	case kindFloat:
		return descriptorpb.FieldDescriptorProto_TYPE_DOUBLE
	case kindBool:
		return descriptorpb.FieldDescriptorProto_TYPE_BOOL
	case kindBytes:
		return descriptorpb.FieldDescriptorProto_TYPE_BYTES
	case kindRecord:
		return descriptorpb.FieldDescriptorProto_TYPE_MESSAGE
	}
	return descriptorpb.FieldDescriptorProto_TYPE_STRING
}

// nameOfType gives the name that SQL has for a type, of which REST has another.
func nameOfType(typ string) string {
	switch typ {
	case "INTEGER":
		return "INT64"
	case "FLOAT":
		return "FLOAT64"
	case "BOOLEAN":
		return "BOOL"
	case "RECORD":
		return "STRUCT"
	}
	return typ
}

// typeOf gives the type of a column that is made for fields of the type. Decimals get
// the one that holds the most digits. Lists are JSON, since an ARRAY holds no null, and
// does not tell one that is empty from none.
func typeOf(t cdc.Type) string {
	switch t {
	case cdc.TypeString:
		return "STRING"
	case cdc.TypeBool:
		return "BOOL"
	case cdc.TypeInt:
		return "INT64"
	case cdc.TypeFloat:
		return "FLOAT64"
	case cdc.TypeDecimal:
		return "BIGNUMERIC"
	case cdc.TypeBytes:
		return "BYTES"
	case cdc.TypeTime:
		return "TIMESTAMP"
	case cdc.TypeDate:
		return "DATE"
	}
	return "JSON"
}

// typeOfKey gives the type of a column that is part of the key: one that the vendor
// takes there, and that compares without surprises.
func typeOfKey(t cdc.Type) string {
	switch t {
	case cdc.TypeBool, cdc.TypeInt, cdc.TypeDecimal, cdc.TypeTime, cdc.TypeDate:
		return typeOf(t)
	case cdc.TypeFloat:
		return typeOf(cdc.TypeDecimal)
	}
	return typeOf(cdc.TypeString)
}

// typeOfValue gives the type of a field of which only a value is known.
func typeOfValue(v any) cdc.Type {
	switch v := v.(type) {
	case string:
		return cdc.TypeString
	case bool:
		return cdc.TypeBool
	case int64:
		return cdc.TypeInt
	case float64:
		return cdc.TypeFloat
	case cdc.Decimal:
		c := newColumn(fieldOf("it", typeOf(cdc.TypeDecimal)), 1)
		if _, reason := c.decimal(v); reason != "" {
			return cdc.TypeString // it has more digits than any number of BigQuery
		}
		return cdc.TypeDecimal
	case []byte:
		return cdc.TypeBytes
	case time.Time:
		return cdc.TypeTime
	}
	return cdc.TypeAny
}

// fits reports whether a column takes values of the type that a field would get, at
// least some of them. Of types that it does not know it believes that they do.
func fits(there, wanted schema.Column) bool {
	have, _, list := strings.Cut(there.Type, "<")
	if list {
		have = "ARRAY"
	}
	oneOf := func(names ...string) bool { return slices.Contains(names, have) || have == "JSON" || have == "STRING" }
	switch wanted.Type {
	case "BOOL":
		return oneOf("BOOL")
	case "INT64", "FLOAT64", "BIGNUMERIC":
		return oneOf("INT64", "FLOAT64", "NUMERIC", "BIGNUMERIC")
	case "TIMESTAMP", "DATE":
		return oneOf("TIMESTAMP", "DATE", "DATETIME")
	case "BYTES":
		return oneOf("BYTES")
	case "JSON":
		return oneOf("ARRAY", "STRUCT")
	}
	return !slices.Contains([]string{"BOOL", "BYTES", "ARRAY", "STRUCT"}, have)
}
