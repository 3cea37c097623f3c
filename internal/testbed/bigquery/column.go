package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"cloud.google.com/go/bigquery/storage/apiv1/storagepb"
)

// column is one field of a table's schema, as REST writes it. Whatever else a client
// may say of a field is not known here, and refused.
type column struct {
	Name        string   `json:"name"`
	Type        string   `json:"type"`
	Mode        string   `json:"mode,omitempty"`
	Description string   `json:"description,omitempty"`
	Fields      []column `json:"fields,omitempty"`
}

const (
	required = "REQUIRED"
	repeated = "REPEATED"
	nullable = "NULLABLE"
)

// The limits that the vendor states for schemas.
const (
	maxColumnName = 300
	maxNesting    = 15
	maxKeyColumns = 16
	maxClustering = 4
)

// aliases maps the names of GoogleSQL's types to those that the REST API answers with.
var aliases = map[string]string{"INT64": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN", "STRUCT": "RECORD"}

// storageTypes are the types that are known here, and what the Storage Write API calls
// them.
var storageTypes = map[string]storagepb.TableFieldSchema_Type{
	"STRING": storagepb.TableFieldSchema_STRING, "BYTES": storagepb.TableFieldSchema_BYTES,
	"INTEGER": storagepb.TableFieldSchema_INT64, "FLOAT": storagepb.TableFieldSchema_DOUBLE,
	"BOOLEAN": storagepb.TableFieldSchema_BOOL, "NUMERIC": storagepb.TableFieldSchema_NUMERIC,
	"BIGNUMERIC": storagepb.TableFieldSchema_BIGNUMERIC, "TIMESTAMP": storagepb.TableFieldSchema_TIMESTAMP,
	"DATE": storagepb.TableFieldSchema_DATE, "DATETIME": storagepb.TableFieldSchema_DATETIME,
	"TIME": storagepb.TableFieldSchema_TIME, "JSON": storagepb.TableFieldSchema_JSON,
	"RECORD": storagepb.TableFieldSchema_STRUCT,
}

// keyTypes are those that the vendor allows in a primary key.
var keyTypes = []string{"BIGNUMERIC", "BOOLEAN", "DATE", "DATETIME", "INTEGER", "NUMERIC", "STRING", "TIMESTAMP"}

// clusterTypes are those that the vendor allows to cluster by.
var clusterTypes = append(slices.Clone(keyTypes), "BYTES")

var columnName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// reserved are the prefixes that no column's name may have, in any case.
var reserved = []string{"_TABLE_", "_FILE_", "_PARTITION", "_ROW_TIMESTAMP", "__ROOT__", "_COLIDENTIFIER",
	"_CHANGE_SEQUENCE_NUMBER", "_CHANGE_TYPE", "_CHANGE_TIMESTAMP"}

// canonical judges a schema and gives it with the types' and modes' usual names.
func canonical(columns []column, depth int) ([]column, error) {
	if depth > maxNesting {
		return nil, fmt.Errorf("records are nested deeper than %d", maxNesting)
	}
	seen := map[string]bool{}
	out := make([]column, len(columns))
	for i, c := range columns {
		if !columnName.MatchString(c.Name) || len(c.Name) > maxColumnName {
			return nil, fmt.Errorf("Invalid field name %q. Fields must contain only letters, numbers, and underscores, start with a letter or underscore, and be at most %d characters long", c.Name, maxColumnName)
		}
		upper := strings.ToUpper(c.Name)
		if slices.ContainsFunc(reserved, func(p string) bool { return strings.HasPrefix(upper, p) }) {
			return nil, fmt.Errorf("Invalid field name %q. Field names with this prefix are reserved", c.Name)
		}
		if seen[upper] {
			return nil, fmt.Errorf("Duplicate field name: %s", c.Name)
		}
		seen[upper] = true
		c.Type, c.Mode = strings.ToUpper(c.Type), strings.ToUpper(c.Mode)
		if alias, ok := aliases[c.Type]; ok {
			c.Type = alias
		}
		if c.Mode == "" {
			c.Mode = nullable
		}
		if _, ok := storageTypes[c.Type]; !ok {
			return nil, fmt.Errorf("Invalid value for type: %q is not a valid value, or not known to the stand-in (field %s)", c.Type, c.Name)
		}
		if c.Mode != required && c.Mode != repeated && c.Mode != nullable {
			return nil, fmt.Errorf("Invalid value for mode: %q is not a valid value (field %s)", c.Mode, c.Name)
		}
		if (c.Type == "RECORD") != (len(c.Fields) > 0) {
			return nil, fmt.Errorf("Field %s: a RECORD has fields, and nothing else does", c.Name)
		}
		var err error
		if c.Fields, err = canonical(c.Fields, depth+1); err != nil {
			return nil, err
		}
		out[i] = c
	}
	return out, nil
}

// evolve gives the schema after an update, under the vendor's rules: columns may be
// added that are not required, required ones may become nullable, and nothing else may
// change. The order of those that exist stays.
func evolve(was, wanted []column, table, prefix string) ([]column, error) {
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("Provided Schema does not match Table "+table+". "+format, args...)
	}
	out := make([]column, 0, len(wanted))
	for _, old := range was {
		i := slices.IndexFunc(wanted, func(c column) bool { return strings.EqualFold(c.Name, old.Name) })
		if i < 0 {
			return nil, refuse("Field %s%s is missing in new schema", prefix, old.Name)
		}
		c := wanted[i]
		if c.Type != old.Type {
			return nil, refuse("Field %s%s has changed type from %s to %s", prefix, old.Name, old.Type, c.Type)
		}
		if c.Mode != old.Mode && (old.Mode != required || c.Mode != nullable) {
			return nil, refuse("Field %s%s has changed mode from %s to %s", prefix, old.Name, old.Mode, c.Mode)
		}
		var err error
		if c.Fields, err = evolve(old.Fields, c.Fields, table, prefix+old.Name+"."); err != nil {
			return nil, err
		}
		c.Name = old.Name
		out = append(out, c)
	}
	for _, c := range wanted {
		if slices.ContainsFunc(was, func(old column) bool { return strings.EqualFold(c.Name, old.Name) }) {
			continue
		}
		if c.Mode == required {
			return nil, refuse("Cannot add required fields to an existing schema. (field: %s%s)", prefix, c.Name)
		}
		out = append(out, c)
	}
	return out, nil
}

// find gives the column of a name, in any case.
func find(columns []column, name string) (column, bool) {
	i := slices.IndexFunc(columns, func(c column) bool { return strings.EqualFold(c.Name, name) })
	if i < 0 {
		return column{}, false
	}
	return columns[i], true
}

// storageSchema is a schema as the Storage Write API tells it.
func storageSchema(columns []column) *storagepb.TableSchema {
	return &storagepb.TableSchema{Fields: storageFields(columns)}
}

func storageFields(columns []column) []*storagepb.TableFieldSchema {
	modes := map[string]storagepb.TableFieldSchema_Mode{
		nullable: storagepb.TableFieldSchema_NULLABLE,
		required: storagepb.TableFieldSchema_REQUIRED,
		repeated: storagepb.TableFieldSchema_REPEATED,
	}
	var out []*storagepb.TableFieldSchema
	for _, c := range columns {
		out = append(out, &storagepb.TableFieldSchema{
			Name: c.Name, Type: storageTypes[c.Type], Mode: modes[c.Mode],
			Description: c.Description, Fields: storageFields(c.Fields),
		})
	}
	return out
}
