package main

import (
	"slices"
	"strings"
)

// truth is SQL's: null compares as unknown, and only what is true is selected.
type truth int

const (
	no truth = iota
	unknown
	yes
)

// binder resolves the names of a query against the columns of its source, and judges
// types before any row is looked at.
type binder struct {
	columns    []column
	parameters []queryParameter
}

type (
	predicate func(row) truth
	operand   struct {
		class string
		value func(row) value
	}
)

func (b binder) condition(e expression) (predicate, error) {
	switch e.op {
	case "AND", "OR":
		left, err := b.condition(e.args[0])
		if err != nil {
			return nil, err
		}
		right, err := b.condition(e.args[1])
		if e.op == "AND" {
			return func(r row) truth { return min(left(r), right(r)) }, err
		}
		return func(r row) truth { return max(left(r), right(r)) }, err
	case "NOT":
		inner, err := b.condition(e.args[0])
		return func(r row) truth { return yes - inner(r) }, err
	case "NULL":
		c, err := named(b.columns, e.args[0].text)
		if e.args[0].op != "column" {
			return nil, invalidQuery("The stand-in knows IS NULL of columns only")
		}
		return func(r row) truth { return truthOf(r[c.Name] == nil) }, err
	}
	if len(e.args) == 2 {
		return b.comparison(e)
	}
	o, err := b.operand(e)
	if err == nil && o.class != "BOOLEAN" {
		err = invalidQuery("A condition should return type BOOL, but returns type %s", o.class)
	}
	return func(r row) truth {
		v, ok := o.value(r).(bool)
		if !ok {
			return unknown
		}
		return truthOf(v)
	}, err
}

func (b binder) comparison(e expression) (predicate, error) {
	left, err := b.operand(e.args[0])
	if err != nil {
		return nil, err
	}
	right, err := b.operand(e.args[1])
	if err != nil {
		return nil, err
	}
	if left.class == "" || left.class != right.class {
		return nil, invalidQuery("No matching signature for operator %s for argument types: %s, %s", e.op, left.class, right.class)
	}
	holds := map[string]func(int) bool{
		"=":  func(c int) bool { return c == 0 },
		"!=": func(c int) bool { return c != 0 },
		"<>": func(c int) bool { return c != 0 },
		"<":  func(c int) bool { return c < 0 },
		"<=": func(c int) bool { return c <= 0 },
		">":  func(c int) bool { return c > 0 },
		">=": func(c int) bool { return c >= 0 },
	}[e.op]
	return func(r row) truth {
		x, y := left.value(r), right.value(r)
		if x == nil || y == nil {
			return unknown
		}
		return truthOf(holds(compare(x, y)))
	}, nil
}

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

func (b binder) operand(e expression) (operand, error) {
	switch e.op {
	case "column":
		c, err := named(b.columns, e.text)
		return operand{class(c), func(r row) value { return r[c.Name] }}, err
	case "parameter":
		return b.parameter(e.text)
	}
	v, err := parse(e.op, e.text)
	if err != nil {
		return operand{}, invalidQuery("Could not read the %s literal: it %v", e.op, err)
	}
	return operand{class(column{Type: e.op}), func(row) value { return v }}, nil
}

func (b binder) parameter(name string) (operand, error) {
	i := slices.IndexFunc(b.parameters, func(p queryParameter) bool { return strings.EqualFold(p.Name, name) })
	if i < 0 {
		return operand{}, invalidQuery("Query parameter '%s' not found", name)
	}
	p := b.parameters[i]
	typ := strings.ToUpper(p.ParameterType.Type)
	if alias, ok := aliases[typ]; ok {
		typ = alias
	}
	if p.ParameterValue.Value == nil {
		return operand{class(column{Type: typ}), func(row) value { return nil }}, nil
	}
	v, err := parse(typ, *p.ParameterValue.Value)
	if err != nil {
		return operand{}, invalidQuery("Invalid value of query parameter '%s': it %v", name, err)
	}
	return operand{class(column{Type: typ}), func(row) value { return v }}, nil
}

// sorted orders rows; equal ones stay as they were.
func (b binder) sorted(by []order, rows []row) ([]row, error) {
	for i, o := range by {
		c, err := named(b.columns, o.column)
		if err != nil {
			return nil, err
		}
		if class(c) == "" {
			return nil, invalidQuery("ORDER BY does not support expressions of type %s %s", c.Mode, c.Type)
		}
		by[i].column = c.Name
	}
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, func(x, y row) int {
		for _, o := range by {
			n := compare(x[o.column], y[o.column])
			if n != 0 && o.desc {
				return -n
			}
			if n != 0 {
				return n
			}
		}
		return 0
	})
	return rows, nil
}

// first keeps of each partition the row that comes first in the window's order.
func (b binder) first(w window, rows []row) ([]row, error) {
	var columns []column
	for _, name := range w.partition {
		c, err := named(b.columns, name)
		if err != nil {
			return nil, err
		}
		if class(c) == "" || c.Type == "FLOAT" {
			return nil, invalidQuery("Partitioning by expressions of type %s %s is not allowed", c.Mode, c.Type)
		}
		columns = append(columns, c)
	}
	rows, err := b.sorted(w.orderBy, rows)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	return keep(rows, func(r row) bool {
		k := partitionKey(columns, r)
		if seen[k] {
			return false
		}
		seen[k] = true
		return true
	}), nil
}
