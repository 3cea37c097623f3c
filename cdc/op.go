package cdc

import (
	"fmt"
	"strings"
)

// Op is what happened to a record. It is a set of bits, so that a route can name
// several: Inserted | Updated. A [Change] holds exactly one. Where a set is asked
// for, the zero value means all.
type Op uint8

// The operations on a record.
const (
	Inserted Op = 1 << iota
	Updated
	Deleted

	AllOps = Inserted | Updated | Deleted
)

// Has reports whether the set o contains every operation of p.
func (o Op) Has(p Op) bool { return o&p == p }

// Single reports whether o is exactly one known operation.
func (o Op) Single() bool { return o == Inserted || o == Updated || o == Deleted }

// Each gives the known operations of the set, one by one.
func (o Op) Each(yield func(Op) bool) {
	for _, p := range [...]Op{Inserted, Updated, Deleted} {
		if o.Has(p) && !yield(p) {
			return
		}
	}
}

// String gives "inserted", "updated", "deleted", or several joined by "|".
func (o Op) String() string {
	switch o {
	case Inserted:
		return "inserted"
	case Updated:
		return "updated"
	case Deleted:
		return "deleted"
	case 0:
		return "none"
	}
	var names []string
	for p := range o.Each {
		names = append(names, p.String())
	}
	if rest := o &^ AllOps; rest != 0 {
		names = append(names, fmt.Sprintf("Op(%d)", uint8(rest)))
	}
	return strings.Join(names, "|")
}

// MarshalText writes what String gives.
func (o Op) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (o *Op) UnmarshalText(text []byte) error {
	var set Op
	for name := range strings.SplitSeq(string(text), "|") {
		switch name {
		case "inserted":
			set |= Inserted
		case "updated":
			set |= Updated
		case "deleted":
			set |= Deleted
		case "none":
		default:
			return fmt.Errorf("cdc: unknown operation %q", name)
		}
	}
	*o = set
	return nil
}
