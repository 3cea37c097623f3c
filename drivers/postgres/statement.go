package postgres

import (
	"fmt"
	"slices"
	"strings"
)

// The columns that are the driver's own.
const (
	versionColumn   = "_version"
	changeColumn    = "_change_id"
	operationColumn = "_operation"
	timeColumn      = "_time"
)

func isOwn(column string) bool {
	switch column {
	case versionColumn, changeColumn, operationColumn, timeColumn:
		return true
	}
	return false
}

// shape is the columns that one statement's rows have, by their place in the table.
type shape struct {
	table *table
	key   []int // that identify a row; none for rows that are only added
	rest  []int // the others, the version excepted
}

// fence ends every transaction: past its time it fails, and the transaction with it. A
// request that a broken network delivers late, when its sender has long sent the same
// records again and newer ones after, so does nothing.
const fence = "SELECT 1 / (pg_catalog.clock_timestamp() < $1::timestamptz)::int"

// versioned reports whether rows are only written over older ones.
func (s shape) versioned() bool { return s.table.guarded && len(s.key) > 0 }

// columns gives the places of all columns that are sent.
func (s shape) columns() []int {
	all := append(append(make([]int, 0, len(s.key)+len(s.rest)+1), s.key...), s.rest...)
	if s.versioned() {
		all = append(all, s.table.index[versionColumn])
	}
	return all
}

// source gives the FROM item that holds the rows: u, with the columns c1, c2 … in the
// order of columns.
func (s shape) source() string {
	var types, names []string
	for i, at := range s.columns() {
		array, _, _ := s.table.columns[at].kind.wire()
		types = append(types, fmt.Sprintf("$%d::%s", i+1, array))
		names = append(names, fmt.Sprintf("c%d", i+1))
	}
	return fmt.Sprintf("unnest(%s) AS u(%s)", strings.Join(types, ", "), strings.Join(names, ", "))
}

// value gives the expression for the i-th of the columns.
func (s shape) value(i int) string {
	text := fmt.Sprintf("u.c%d", i+1)
	if cast := s.table.columns[s.columns()[i]].cast; cast != "" {
		text += "::" + cast
	}
	return text
}

// insert begins a statement that adds the rows.
func (s shape) insert() string {
	var names, values []string
	for i, at := range s.columns() {
		names = append(names, quote(s.table.columns[at].name))
		values = append(values, s.value(i))
	}
	return fmt.Sprintf("INSERT INTO %s AS t (%s)\nSELECT %s\nFROM %s",
		s.table.name, strings.Join(names, ", "), strings.Join(values, ", "), s.source())
}

// upsert adds the rows, or writes them over those that have their keys.
func (s shape) upsert() string {
	var set []string
	for _, at := range s.columns()[len(s.key):] {
		name := quote(s.table.columns[at].name)
		set = append(set, name+" = EXCLUDED."+name)
	}
	action := "NOTHING"
	if len(set) > 0 {
		action = "UPDATE SET " + strings.Join(set, ", ") + s.guard("\nWHERE ", "EXCLUDED."+quote(versionColumn))
	}
	return fmt.Sprintf("%s\nON CONFLICT (%s) DO %s", s.insert(), quoteAll(s.keyNames(), ""), action)
}

// appended adds the rows, each once if the table can tell.
func (s shape) appended() string {
	if s.table.arbiter([]string{changeColumn}) {
		return s.insert() + "\nON CONFLICT (" + quote(changeColumn) + ") DO NOTHING"
	}
	return s.insert()
}

// update writes the rows over those that are there, "" if there is nothing to write.
func (s shape) update() string {
	var set []string
	columns := s.columns()
	for i := len(s.key); i < len(columns); i++ {
		set = append(set, quote(s.table.columns[columns[i]].name)+" = "+s.value(i))
	}
	if len(set) == 0 {
		return ""
	}
	return fmt.Sprintf("UPDATE %s AS t SET %s\nFROM %s\nWHERE %s%s",
		s.table.name, strings.Join(set, ", "), s.source(), s.match(), s.guard("\nAND ", s.version()))
}

// insertMissing adds the rows that update did not find.
func (s shape) insertMissing() string {
	return fmt.Sprintf("%s\nWHERE NOT EXISTS (SELECT FROM %s AS t WHERE %s)", s.insert(), s.table.name, s.match())
}

// remove deletes the rows.
func (s shape) remove() string {
	return fmt.Sprintf("DELETE FROM %s AS t\nUSING %s\nWHERE %s%s", s.table.name, s.source(), s.match(), s.guard("\nAND ", s.version()))
}

// match compares a row's key with the one that is sent.
func (s shape) match() string {
	var parts []string
	for i, name := range s.keyNames() {
		parts = append(parts, "t."+quote(name)+" = "+s.value(i))
	}
	return strings.Join(parts, " AND ")
}

// guard gives the condition that the row is not newer than what is sent.
func (s shape) guard(before, version string) string {
	if !s.versioned() {
		return ""
	}
	own := "t." + quote(versionColumn)
	return fmt.Sprintf("%s(%s IS NULL OR %s <= %s)", before, own, own, version)
}

// version gives the expression for the version that is sent.
func (s shape) version() string {
	if !s.versioned() {
		return ""
	}
	return s.value(len(s.columns()) - 1)
}

func (s shape) keyNames() []string {
	names := make([]string, len(s.key))
	for i, at := range s.key {
		names[i] = s.table.columns[at].name
	}
	return names
}

// blind reports whether ON CONFLICT can't be used: there is no constraint that it could
// name, or the rows lack a column that an insert must give, which is checked before a
// row's like is looked for.
func (s shape) blind() bool {
	if !s.table.arbiter(s.keyNames()) {
		return true
	}
	given := s.columns()
	for at, c := range s.table.columns {
		if c.required && !slices.Contains(given, at) {
			return true
		}
	}
	return false
}
