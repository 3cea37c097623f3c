package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/s3db-go/replicator"
)

// key names a record.
type key struct{ resource, id string }

func (k key) String() string { return k.resource + "/" + k.id }

func compareKeys(a, b key) int {
	return cmp.Or(cmp.Compare(a.resource, b.resource), cmp.Compare(a.id, b.id))
}

// contents are records by their names.
type contents map[key]replicator.Record

// verdict is what a comparison found.
type verdict struct {
	records, missing, different int
	findings                    []string // a line for each record at fault
}

func (v verdict) String() string {
	return fmt.Sprintf("%s records, %s missing, %s different", thousands(v.records), thousands(v.missing), thousands(v.different))
}

// ofWrites says it of the shop, which must hold what so many writes made of it.
func (v verdict) ofWrites(n int) string {
	if len(v.findings) > 0 {
		return fmt.Sprintf("%s acknowledged writes must give %v", thousands(n), v)
	}
	return fmt.Sprintf("%s records, which show all %s acknowledged writes", thousands(v.records), thousands(n))
}

// compare looks for each record of want in got. What got has beyond that should have
// been deleted, and counts as different.
func compare(want, got contents) verdict {
	v := verdict{records: len(want)}
	for _, k := range slices.SortedFunc(maps.Keys(want), compareKeys) {
		switch record, found := got[k]; {
		case !found:
			v.missing++
			v.findings = append(v.findings, fmt.Sprintf("%v is missing", k))
		case !record.Equal(want[k]):
			v.different++
			v.findings = append(v.findings, fmt.Sprintf("%v is %v, must be %v", k, record, want[k]))
		}
	}
	for _, k := range slices.SortedFunc(maps.Keys(got), compareKeys) {
		if _, wanted := want[k]; !wanted {
			v.different++
			v.findings = append(v.findings, fmt.Sprintf("%v must not be there", k))
		}
	}
	return v
}

// withoutTimestamps leaves out what only the store knows.
func withoutTimestamps(c contents) contents {
	out := make(contents, len(c))
	for k, record := range c {
		record = record.Clone()
		delete(record, "createdAt")
		delete(record, "updatedAt")
		out[k] = record
	}
	return out
}
