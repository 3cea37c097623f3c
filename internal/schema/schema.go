// Package schema computes what has to be done to a table so that it can take the
// records of a resource: from the table that is, and the shape that is wanted, to
// steps, and to what no step may mend. It does no I/O, and knows no vendor's types:
// those are text to it, and whether one takes another's values is asked.
//
// # What it promises
//
// No step ever loses data or rewrites it. Drop is the one that could, and stands in a
// plan only if the rules say DropCreate, and only for a table without rows, unless
// they say DropRows too.
//
// # What it does not
//
// It never changes a column that is there: neither its type nor whether it may be
// null. What does not fit is a mismatch, and the rules say what becomes of it.
package schema

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Column of a table.
type Column struct {
	// Name as it stands in the table.
	Name string
	// Type in the vendor's own words.
	Type string
	// Required columns must be given with every row that is inserted: they take no null
	// and have no default. Of a column that is wanted it says nothing.
	Required bool
	// Computed columns can't be written.
	Computed bool
}

// Table is a table as it is.
type Table struct {
	Columns []Column
	// Unique holds the sets of columns by which a row can be found, each in any order.
	Unique [][]string
	// Filled says that there are rows in it, or that this is not known.
	Filled bool
}

// Shape is what is wanted of a table.
type Shape struct {
	Columns []Column
	// Key holds the names of the columns that identify a row; they are among Columns.
	Key []string
	// Open shapes have further columns, which are not known yet.
	Open bool
}

// Strategy says what may be done to a table.
type Strategy uint8

// The strategies.
const (
	Alter        Strategy = iota // create it, add columns, and nothing else
	DropCreate                   // as Alter, and create anew what does not fit all the same
	ValidateOnly                 // nothing
)

// OnMismatch says what becomes of a table that does not fit.
type OnMismatch uint8

// The ways to take a mismatch.
const (
	Error  OnMismatch = iota // nothing is written to it
	Warn                     // as Ignore, but it is said
	Ignore                   // records are written as far as they fit
)

// Rules are what the user chose, and what the vendor knows.
type Rules struct {
	Strategy   Strategy
	OnMismatch OnMismatch
	// DropRows lets DropCreate drop a table that holds rows.
	DropRows bool
	// Unique is what the vendor calls that by which a row can be found. "" stands for: a
	// unique constraint.
	Unique string
	// Fits reports whether a column that is there takes values of the type that is
	// wanted, at least some. nil stands for: the types are equal.
	Fits func(there, wanted Column) bool
}

// Action is what a step does.
type Action uint8

// The actions.
const (
	Create Action = iota // a table, of all columns and the key
	Add                  // columns, which may be null
	Drop                 // the table
)

// Step is one thing to do.
type Step struct {
	Action  Action
	Columns []Column
	Key     []string
}

// Mismatch is one thing that no step mends.
type Mismatch struct {
	Column string // "" for the table as a whole
	Reason string
}

// Error gives the column and the reason.
func (m Mismatch) Error() string {
	if m.Column == "" {
		return "the table " + m.Reason
	}
	return fmt.Sprintf("column %q %s", m.Column, m.Reason)
}

// Plan is what to do, in order, and what stays wrong after it.
type Plan struct {
	Steps      []Step
	Mismatches []Mismatch
	// Missing holds what the steps would be that the strategy does not allow, for who
	// wants to do them by hand.
	Missing []Step
}

// Err joins the mismatches, nil if there are none.
func (p Plan) Err() error {
	errs := make([]error, len(p.Mismatches))
	for i, m := range p.Mismatches {
		errs[i] = m
	}
	return errors.Join(errs...)
}

// Compute gives the plan for a table, nil if there is none.
func Compute(there *Table, wanted Shape, rules Rules) Plan {
	create := Step{Action: Create, Columns: wanted.Columns, Key: wanted.Key}
	if there == nil {
		if rules.Strategy == ValidateOnly {
			return Plan{Mismatches: []Mismatch{{Reason: "does not exist"}}, Missing: []Step{create}}
		}
		return Plan{Steps: []Step{create}}
	}
	missing := there.lacks(wanted)
	wrong := there.mismatches(wanted, rules)
	switch rules.Strategy {
	case DropCreate:
		switch {
		case wrong == nil:
			return Plan{Steps: adding(missing)}
		case there.Filled && !rules.DropRows:
			wrong = append(wrong, Mismatch{Reason: "holds rows, so that it is not dropped to be created anew"})
			return Plan{Mismatches: append(absent(missing), wrong...), Missing: adding(missing)}
		}
		return Plan{Steps: []Step{{Action: Drop}, create}}
	case ValidateOnly:
		return Plan{Mismatches: append(absent(missing), wrong...), Missing: adding(missing)}
	}
	return Plan{Steps: adding(missing), Mismatches: wrong}
}

// adding gives the step that adds columns, none for none.
func adding(columns []Column) []Step {
	if len(columns) == 0 {
		return nil
	}
	return []Step{{Action: Add, Columns: columns}}
}

// absent says of columns that they are not there.
func absent(columns []Column) (out []Mismatch) {
	for _, c := range columns {
		out = append(out, Mismatch{c.Name, "does not exist"})
	}
	return out
}

// lacks gives the columns that are wanted and not there.
func (t *Table) lacks(wanted Shape) (out []Column) {
	for _, c := range wanted.Columns {
		if t.column(c.Name) == nil {
			out = append(out, c)
		}
	}
	return out
}

func (t *Table) column(name string) *Column {
	for i := range t.Columns {
		if t.Columns[i].Name == name {
			return &t.Columns[i]
		}
	}
	return nil
}

// mismatches gives what is there and does not fit.
func (t *Table) mismatches(wanted Shape, rules Rules) (out []Mismatch) {
	fits := rules.Fits
	if fits == nil {
		fits = func(there, wanted Column) bool { return there.Type == wanted.Type }
	}
	for _, c := range wanted.Columns {
		switch there := t.column(c.Name); {
		case there == nil:
		case there.Computed && slices.Contains(wanted.Key, c.Name):
			out = append(out, Mismatch{c.Name, "is computed, and can't be the key"})
		case !there.Computed && !fits(*there, c):
			out = append(out, Mismatch{c.Name, fmt.Sprintf("is %s, which takes no %s", there.Type, c.Type)})
		}
	}
	if len(wanted.Key) > 0 && !slices.ContainsFunc(t.Unique, func(u []string) bool { return sameSet(u, wanted.Key) }) {
		out = append(out, Mismatch{Reason: fmt.Sprintf("has no %s on %s, by which a row would be found", cmp.Or(rules.Unique, "unique constraint"), quoted(wanted.Key))})
	}
	if wanted.Open {
		return out
	}
	for _, there := range t.Columns {
		if there.Required && !slices.ContainsFunc(wanted.Columns, func(c Column) bool { return c.Name == there.Name }) {
			out = append(out, Mismatch{there.Name, "takes no null and has no default, and no record has it"})
		}
	}
	return out
}

func sameSet(a, b []string) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(name string) bool { return !slices.Contains(b, name) })
}

func quoted(names []string) string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = fmt.Sprintf("%q", name)
	}
	return strings.Join(out, ", ")
}
