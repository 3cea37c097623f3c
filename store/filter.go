package store

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/s3db-go/replicator/cdc"
)

// Filter selects records by their fields. A field's name may be a dotted path into
// objects. Its condition is a value that the field must equal, or a map of
// operators that must all hold:
//
//	$eq $ne $gt $gte $lt $lte   compare with a value
//	$in $nin                    is, is not one of a list
//	$exists                     is present (true) or absent (false)
//
// Instead of a field's name, $and and $or take a list of filters, $not takes one.
// All conditions of a filter must hold; an empty one selects every record. An
// absent field equals nil, so that $ne and $nin select it. Numbers compare by
// their value, whatever their type; a time compares with text of RFC 3339 too; an
// order between other types does not exist, and selects nothing.
type Filter = map[string]any

// condition decides about a record.
type condition func(Record) bool

// compileFilter tells every fault of a filter.
func compileFilter(f map[string]any) (condition, error) {
	var all []condition
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(f)) {
		c, err := compileField(name, f[name])
		all, errs = append(all, c), append(errs, err)
	}
	return every(all), errors.Join(errs...)
}

func every(all []condition) condition {
	return func(r Record) bool {
		return !slices.ContainsFunc(all, func(c condition) bool { return !c(r) })
	}
}

func compileField(name string, v any) (condition, error) {
	switch name {
	case "$and", "$or":
		filters, err := compileList(name, v)
		if name == "$and" || err != nil {
			return every(filters), err
		}
		return func(r Record) bool {
			return slices.ContainsFunc(filters, func(c condition) bool { return c(r) })
		}, nil
	case "$not":
		inner, ok := asFilter(v)
		if !ok {
			return nil, errors.New("$not takes a filter")
		}
		c, err := compileFilter(inner)
		return func(r Record) bool { return !c(r) }, err
	}
	if strings.HasPrefix(name, "$") {
		return nil, fmt.Errorf("operator %s is not known", name)
	}
	operators, ok := asFilter(v)
	if !ok || !slices.ContainsFunc(slices.Collect(maps.Keys(operators)), func(k string) bool { return strings.HasPrefix(k, "$") }) {
		operators = map[string]any{"$eq": v}
	}
	var all []condition
	var errs []error
	for _, op := range slices.Sorted(maps.Keys(operators)) {
		test, err := compileOperator(op, operators[op])
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
			continue
		}
		all = append(all, func(r Record) bool { return test(lookup(r, name)) })
	}
	return every(all), errors.Join(errs...)
}

func asFilter(v any) (map[string]any, bool) {
	switch v := v.(type) {
	case map[string]any:
		return v, true
	case Record:
		return v, true
	}
	return nil, false
}

// compileList compiles the filters of $and and $or.
func compileList(op string, v any) ([]condition, error) {
	list, err := cdc.NormalizeValue(v)
	filters, ok := list.([]any)
	if err != nil || !ok {
		return nil, fmt.Errorf("%s takes a list of filters", op)
	}
	var all []condition
	var errs []error
	for _, f := range filters {
		inner, ok := asFilter(f)
		if !ok {
			return nil, fmt.Errorf("%s takes a list of filters", op)
		}
		c, err := compileFilter(inner)
		all, errs = append(all, c), append(errs, err)
	}
	return all, errors.Join(errs...)
}

// compileOperator gives the test of a field's value, which is told whether the
// field is there.
func compileOperator(op string, arg any) (func(v any, ok bool) bool, error) {
	want, err := cdc.NormalizeValue(arg)
	if err != nil {
		return nil, fmt.Errorf("%s: the value can't be compared", op)
	}
	ordered := func(holds func(int) bool) (func(any, bool) bool, error) {
		return func(v any, _ bool) bool { n, ok := compare(v, want); return ok && holds(n) }, nil
	}
	switch op {
	case "$eq":
		return func(v any, _ bool) bool { return same(v, want) }, nil
	case "$ne":
		return func(v any, _ bool) bool { return !same(v, want) }, nil
	case "$gt":
		return ordered(func(n int) bool { return n > 0 })
	case "$gte":
		return ordered(func(n int) bool { return n >= 0 })
	case "$lt":
		return ordered(func(n int) bool { return n < 0 })
	case "$lte":
		return ordered(func(n int) bool { return n <= 0 })
	case "$in", "$nin":
		list, ok := want.([]any)
		if !ok {
			return nil, fmt.Errorf("%s takes a list", op)
		}
		return func(v any, _ bool) bool {
			return slices.ContainsFunc(list, func(e any) bool { return same(v, e) }) == (op == "$in")
		}, nil
	case "$exists":
		exists, ok := want.(bool)
		if !ok {
			return nil, errors.New("$exists takes true or false")
		}
		return func(_ any, ok bool) bool { return ok == exists }, nil
	}
	return nil, fmt.Errorf("operator %s is not known", op)
}

// lookup gives the value at a dotted path, and whether there is one.
func lookup(fields map[string]any, path string) (any, bool) {
	if v, ok := fields[path]; ok {
		return v, true
	}
	name, rest, nested := strings.Cut(path, ".")
	inner, ok := fields[name].(map[string]any)
	if !nested || !ok {
		return nil, false
	}
	return lookup(inner, rest)
}

// same reports equality, across the types of numbers and of times.
func same(a, b any) bool {
	if n, ok := compare(a, b); ok {
		return n == 0
	}
	return cdc.Equal(a, b)
}

// compare orders two values, or reports that there is no order between them.
func compare(a, b any) (int, bool) {
	switch a := a.(type) {
	case bool:
		b, ok := b.(bool)
		return compareBool(a, b), ok
	case string:
		if t, ok := b.(time.Time); ok {
			u, err := time.Parse(time.RFC3339Nano, a)
			return u.Compare(t), err == nil
		}
		b, ok := b.(string)
		return cmp.Compare(a, b), ok
	case time.Time:
		if b, ok := b.(time.Time); ok {
			return a.Compare(b), true
		}
		if b, ok := b.(string); ok {
			n, ok := compare(b, a)
			return -n, ok
		}
		return 0, false
	}
	return compareNumbers(a, b)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// compareNumbers compares exactly: a float64 may not hold what an int64 does.
func compareNumbers(a, b any) (int, bool) {
	switch x := a.(type) {
	case int64:
		if y, ok := b.(int64); ok {
			return cmp.Compare(x, y), true
		}
	case float64:
		if y, ok := b.(float64); ok {
			return cmp.Compare(x, y), true
		}
	}
	x, okA := exact(a)
	y, okB := exact(b)
	if !okA || !okB {
		return 0, false
	}
	return x.Cmp(y), true
}
