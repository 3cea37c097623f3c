package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The columns of a row that say what it does, instead of holding a value.
const (
	changeTypeColumn = "_CHANGE_TYPE"
	sequenceColumn   = "_CHANGE_SEQUENCE_NUMBER"
)

// sequence is a change sequence number: up to four hexadecimal numbers, compared one
// by one.
type sequence [4]uint64

var sequenceForm = regexp.MustCompile(`^[0-9A-Fa-f]{1,16}(/[0-9A-Fa-f]{1,16}){0,3}$`)

func parseSequence(text string) (sequence, error) {
	var s sequence
	if !sequenceForm.MatchString(text) {
		return s, errors.New(sequenceColumn + " is one to four sections of up to 16 hexadecimal digits, with / between")
	}
	for i, section := range strings.Split(text, "/") {
		s[i], _ = strconv.ParseUint(section, 16, 64) // as the form was held
	}
	return s, nil
}

// change is one written row, judged.
type change struct {
	row      row
	kind     string // UPSERT, DELETE, or "" for a row that is just appended
	sequence sequence
}

// append puts rows into the table that come without a change type.
func (t *table) append(r row) {
	t.rows = append(t.rows, &stored{row: r})
}

// capture applies an upsert or a delete: the row of a key is replaced as a whole, by
// whatever has no lower sequence number than what is there. A deleted key is
// remembered, so that an earlier upsert that comes late does not bring it back; the
// vendor forgets it after two days.
func (t *table) capture(c change) {
	if t.byKey == nil {
		t.indexKeys()
	}
	k := t.keyText(c.row)
	s := t.byKey[k]
	if s == nil {
		s = &stored{}
		t.byKey[k] = s
		t.rows = append(t.rows, s)
	} else if slices.Compare(c.sequence[:], s.sequence[:]) < 0 {
		return
	}
	*s = stored{row: c.row, sequence: c.sequence, deleted: c.kind == "DELETE"}
}

// indexKeys prepares a table for its first captured change. Of rows that were appended
// with one key before, the last stays.
func (t *table) indexKeys() {
	t.byKey = map[string]*stored{}
	for _, s := range t.rows {
		if former := t.byKey[t.keyText(s.row)]; former != nil {
			former.deleted = true
		}
		t.byKey[t.keyText(s.row)] = s
	}
}

// keyText is the primary key of a row as a text.
func (t *table) keyText(r row) string {
	var columns []column
	for _, name := range t.key() {
		c, _ := find(t.columns(), name)
		columns = append(columns, c)
	}
	return partitionKey(columns, r)
}

// partitionKey is a text that differs where the values of the columns do.
func partitionKey(columns []column, r row) string {
	var b strings.Builder
	for _, c := range columns {
		if r[c.Name] == nil {
			b.WriteString("null,") // a value starts with its length
			continue
		}
		text := fmt.Sprint(render(c, r[c.Name]))
		fmt.Fprintf(&b, "%d:%s,", len(text), text)
	}
	return b.String()
}
