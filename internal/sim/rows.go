package sim

import (
	"maps"
	"strings"

	"github.com/s3db-go/replicator/cdc"
)

// contains reports whether a state target that was sent d for f has all that g would
// have brought. It is said here once more, in other words than the engine's.
func (w *world) contains(f *fate, d cdc.Delivery, g *fate) bool {
	e := g.verdict.Delivery
	if f.verdict.Target == events || f.verdict.Err != nil || g.verdict.Err != nil || d.OldKey != nil || e.OldKey != nil || f.verdict.Lane != g.verdict.Lane {
		return false
	}
	if d.Record == nil || w.style == cdc.RowsReplaced {
		return true
	}
	if e.Record == nil {
		return false
	}
	return len(d.Record.Pick(fields(e.Record)...)) == len(e.Record)
}

func fields(r cdc.Record) (names []string) {
	for f := range r {
		names = append(names, f)
	}
	return names
}

// put writes a row as the targets do.
func (w *world) put(f *fate, d cdc.Delivery) {
	at := laneName{d.Target, f.verdict.Lane}
	if d.Target == events {
		return
	}
	if f.verdict.OldLane != "" {
		delete(w.table, laneName{d.Target, f.verdict.OldLane})
	}
	switch {
	case d.Record == nil:
		delete(w.table, at)
	case w.style == cdc.RowsMerged && w.table[at] != nil:
		row := w.table[at].Clone()
		maps.Copy(row, d.Record)
		w.table[at] = row
	default:
		w.table[at] = d.Record
	}
}

// checkEnd: a state target holds the newest of what was not given up, or newer.
func (w *world) checkEnd() {
	for name, fates := range w.lanes {
		if fates[0].held && strings.HasPrefix(name.key, "r") && name.target == keyed {
			continue // a record's, not a row's
		}
		for _, f := range fates {
			if name.target != events && !f.row && !f.given && f.change.Seq > w.newest[name] {
				w.violation("%s ends with %d of lane %q, and not with %d", name.target, w.newest[name], name.key, f.change.Seq)
			}
		}
		w.checkRow(name, fates)
	}
}

// checkRow: where nothing failed, a row is what applying every change in order would
// have made of it.
func (w *world) checkRow(name laneName, fates []*fate) {
	var want cdc.Record
	for _, f := range fates {
		d := f.verdict.Delivery
		switch {
		case name.target == events || f.row || f.given:
			return
		case name.key == f.verdict.OldLane || d.Record == nil:
			want = nil
		case w.style == cdc.RowsMerged && want != nil:
			want = want.Clone()
			maps.Copy(want, d.Record)
		default:
			want = d.Record
		}
	}
	if got := w.table[name]; !maps.Equal(got, want) {
		w.violation("%s holds %v in lane %q, and not %v", name.target, got, name.key, want)
	}
}
