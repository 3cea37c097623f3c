package s3db

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/store"
)

// defDecimal is followed by how many decimals there are.
const defDecimal = "decimal:"

// typedDecimal gives a decimal's type. The format keeps a fixed number of decimals, and
// the original reads what was written before by the number that is declared now: so
// it is that of the source and stays as it is. Where the source names none, text keeps
// every digit.
func typedDecimal(native string) string {
	declared, _, _ := strings.Cut(native, "|")
	name, digits, _ := strings.Cut(declared, ":")
	standard, ok := map[string]string{"money": "2", "decimal": "2", "crypto": "8"}[name]
	if digits == "" {
		digits = standard
	}
	if _, err := strconv.Atoi(digits); !ok || err != nil {
		return defString
	}
	return defDecimal + digits
}

// tooPrecise gives the numbers that a field with the type of [typedDecimal] would round. A
// field with rules of its own was declared by somebody else, and does what it says.
func tooPrecise(path string, fields map[string]any, attributes store.Attributes) []store.Fault {
	var faults []store.Fault
	for name, v := range fields {
		switch definition := attributes[name].(type) {
		case store.Attributes:
			if object, ok := v.(map[string]any); ok {
				faults = append(faults, tooPrecise(path+name+".", object, definition)...)
			}
		case string:
			digits, ok := strings.CutPrefix(definition, defDecimal)
			if !ok {
				continue
			}
			if n, err := strconv.Atoi(digits); err == nil && decimals(v) > n {
				faults = append(faults, store.Fault{Attribute: path + name, Reason: fmt.Sprintf("has more decimals than the %d that the field holds", n)})
			}
		}
	}
	slices.SortFunc(faults, func(a, b store.Fault) int { return strings.Compare(a.Attribute, b.Attribute) })
	return faults
}

// decimals counts a number's digits behind the point, but for zeros at its end.
func decimals(v any) int {
	text := ""
	switch v := v.(type) {
	case float64:
		text = strconv.FormatFloat(v, 'f', -1, 64)
	case cdc.Decimal:
		text = v.String()
	}
	_, frac, _ := strings.Cut(text, ".")
	return len(strings.TrimRight(frac, "0"))
}
