package main

import (
	"fmt"
	"maps"
	"slices"
)

// history is what was found by going through the CRM's changes one by one.
type history struct {
	changes    int
	lost       int // never came
	disordered int // came after a later one of the same record
	foreign    int // the shop did not make it, or not twice
	findings   []string
}

func (h history) String() string {
	return fmt.Sprintf("%s changes, %s lost, %s out of order, %s that the shop never made",
		thousands(h.changes), thousands(h.lost), thousands(h.disordered), thousands(h.foreign))
}

// retrace looks for each change that was received among those that the shop made.
func retrace(made map[key][]received, changes []received) history {
	h := history{changes: len(changes)}
	arrived := make(map[key][]received)
	for _, c := range changes {
		arrived[c.key()] = append(arrived[c.key()], c)
	}
	for k := range made {
		if _, known := arrived[k]; !known {
			arrived[k] = nil
		}
	}
	for _, k := range slices.SortedFunc(maps.Keys(arrived), compareKeys) {
		h.retrace(made[k], arrived[k])
	}
	return h
}

// retrace does it for one record.
func (h *history) retrace(made, arrived []received) {
	find := func(count *int, c received, what string) {
		*count++
		h.findings = append(h.findings, fmt.Sprintf("%v %v, revision %d, %s", c.key(), c.Operation, c.Data.Int("revision"), what))
	}
	came := make([]bool, len(made))
	last, version := -1, uint64(0)
	for _, c := range arrived {
		i := slices.IndexFunc(made, func(m received) bool { return m.Operation == c.Operation && m.Data.Equal(c.Data) })
		switch {
		case i < 0:
			find(&h.foreign, c, "was never made")
			continue
		case came[i]:
			find(&h.foreign, c, "came twice, under two ids")
			continue
		case i < last || c.Version <= version:
			find(&h.disordered, c, "came after a later one")
		}
		came[i] = true
		last, version = max(last, i), max(version, c.Version)
	}
	for i, m := range made {
		if !came[i] {
			find(&h.lost, m, "never came")
		}
	}
}
