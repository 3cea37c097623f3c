package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
)

// line is one thing that was measured. Ratios are such that greater is better, and
// are left out of lines that are only for the record.
type line struct {
	Case       string             `json:"case"`
	Ours       float64            `json:"ours"`
	Limit      float64            `json:"limit,omitempty"`
	RatioLimit float64            `json:"ratio_limit,omitempty"`
	Peers      map[string]float64 `json:"peers,omitempty"`
	RatioPeer  float64            `json:"ratio_peer,omitempty"`
	Unit       string             `json:"unit"`
	N          int                `json:"n"`
	Spread     float64            `json:"spread"`
}

// judged fills in the ratios to what the line has, if its figures are rates.
func (l line) judged() line {
	if l.Limit > 0 {
		l.RatioLimit = round(l.Ours / l.Limit)
	}
	if len(l.Peers) > 0 {
		l.RatioPeer = round(l.Ours / slices.Max(slices.Collect(maps.Values(l.Peers))))
	}
	return l
}

// round keeps three digits: the noise is larger than what is cut.
func round(v float64) float64 {
	if v == 0 || math.IsInf(v, 0) || math.IsNaN(v) {
		return v
	}
	unit := math.Pow(10, math.Floor(math.Log10(math.Abs(v)))-2)
	if unit < 1 {
		inverse := math.Round(1 / unit)
		return math.Round(v*inverse) / inverse
	}
	return math.Round(v/unit) * unit
}

func jsonLines(out io.Writer) func(line) {
	enc := json.NewEncoder(out)
	return func(l line) { _ = enc.Encode(l) }
}

// table prints a row as soon as it is known, so its columns have fixed widths.
func table(out io.Writer) func(line) {
	const format = "%-24s %12s %12s %8s %8s  %-10s %3s %7s  %s\n"
	fmt.Fprintf(out, format, "case", "ours", "limit", "÷limit", "÷peer", "unit", "n", "spread", "peers")
	number := func(v float64) string {
		if v == 0 {
			return "-"
		}
		return fmt.Sprintf("%.6g", v)
	}
	return func(l line) {
		var peers []string
		for _, name := range slices.Sorted(maps.Keys(l.Peers)) {
			peers = append(peers, name+" "+number(l.Peers[name]))
		}
		fmt.Fprintf(out, format, l.Case, number(l.Ours), number(l.Limit), number(l.RatioLimit), number(l.RatioPeer),
			l.Unit, fmt.Sprint(l.N), fmt.Sprintf("%.1f%%", 100*l.Spread), strings.Join(peers, ", "))
	}
}
