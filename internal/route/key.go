package route

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/s3db-go/replicator/cdc"
)

// idColumn is the key of a target that has no other, and the one column that can
// be filled in: with the record's id.
const idColumn = "id"

// keyColumns chooses the key of a record at its target: the rule's, else the
// target's own if the record has all its columns, else nil, which stands for the
// id. A nil record, the unknown state before a delete, counts as having them: a
// delete by another key than the one that the row was written under would find
// nothing and look done.
func keyColumns(rule, target []string, record cdc.Record) []string {
	if len(rule) > 0 {
		return rule
	}
	lacks := func(column string) bool { return !record.Has(column) }
	if len(target) > 0 && (record == nil || !slices.ContainsFunc(target, lacks)) {
		return target
	}
	return nil
}

// keyOf gives the key columns of a record with their values, and recordID for an
// id that the record does not have; and its lane, the text that two keys share only if they
// are equal. An id is its own text.
func keyOf(columns []string, record cdc.Record, recordID string) (key cdc.Record, lane string, err error) {
	if columns == nil {
		columns = []string{idColumn}
	}
	key = make(cdc.Record, len(columns))
	var v any
	for _, column := range columns {
		var present bool
		v, present = record[column]
		switch v.(type) {
		case nil:
			switch {
			case !present && column == idColumn:
				v = recordID
			case record == nil:
				return nil, "", fmt.Errorf("key column %q can't be told: the record's last state is not known", column)
			case !present:
				return nil, "", fmt.Errorf("key column %q is missing", column)
			default:
				return nil, "", fmt.Errorf("key column %q is nil", column)
			}
		case []any, map[string]any:
			return nil, "", fmt.Errorf("key column %q holds a list or an object, which can't be a key", column)
		}
		key[column] = v
	}
	id, ok := v.(string)
	switch {
	case !ok || len(columns) > 1 || columns[0] != idColumn || strings.HasPrefix(id, "\x00"):
		return key, laneOf(key), nil
	case id == recordID:
		return key, recordID, nil // which holds no memory of the record, as a lane may for long
	}
	return key, strings.Clone(id), nil
}

// hasKey reports whether the record's key is this one.
func hasKey(record, key cdc.Record, recordID string) bool {
	for column, want := range key {
		v, present := record[column]
		if !present && column == idColumn {
			v = recordID
		}
		if !cdc.Equal(v, want) {
			return false
		}
	}
	return true
}

// laneOf gives the lane of a key that is not just an id. It begins with a NUL and names the
// columns and the types of their values.
func laneOf(key cdc.Record) string {
	b := make([]byte, 0, 64)
	for _, column := range slices.Sorted(maps.Keys(key)) {
		b = append(b, 0)
		b = strconv.AppendQuote(b, column)
		b = appendKeyValue(append(b, '='), key[column])
	}
	return string(b)
}

// appendKeyValue writes equal values (see [cdc.Equal]) alike and others apart.
func appendKeyValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		return strconv.AppendQuote(b, v)
	case int64:
		return strconv.AppendInt(append(b, 'i'), v, 10)
	case float64:
		// Adding zero turns -0 into 0, which are equal.
		return strconv.AppendFloat(append(b, 'f'), v+0, 'g', -1, 64)
	case cdc.Decimal:
		text := v.String()
		if strings.Contains(text, ".") {
			text = strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
		}
		return append(append(b, 'd'), text...)
	case bool:
		return strconv.AppendBool(append(b, 'b'), v)
	case time.Time:
		return strconv.AppendInt(append(b, 't'), v.UnixMicro(), 10)
	case []byte:
		return strconv.AppendQuote(append(b, 'x'), string(v))
	}
	// Only a source that did not normalize its values gets here.
	return fmt.Appendf(append(b, '?'), "%T %v", v, v)
}
