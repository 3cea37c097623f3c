package whole

import (
	"fmt"
	"maps"

	"github.com/s3db-go/replicator/cdc"
)

// rowName is a row of a state target.
type rowName struct{ target, key string }

func rowOf(target string, key cdc.Record) rowName { return rowName{target, fmt.Sprint(key)} }

// put writes a row as the targets do.
func (pl *place) put(table map[rowName]cdc.Record, d cdc.Delivery) {
	if pl.Events {
		return
	}
	if d.OldKey != nil {
		delete(table, rowOf(d.Target, d.OldKey))
	}
	at := rowOf(d.Target, d.Key)
	switch row := table[at]; {
	case d.Record == nil:
		delete(table, at)
	case pl.Merges && row != nil:
		row = row.Clone()
		maps.Copy(row, d.Record)
		table[at] = row
	default:
		table[at] = d.Record
	}
}

// checkRows: where nothing failed, the rows of a record are what writing every change in
// order makes of them.
func (pl *place) checkRows(name pastName, past []*entry) {
	want, keys := map[rowName]cdc.Record{}, map[rowName]bool{}
	for _, e := range past {
		if e.ever || e.varied {
			return
		}
		if e.verdict.Skip == "" {
			pl.put(want, e.verdict.Delivery)
			keys[rowOf(name.target, e.verdict.Delivery.Key)] = true
		}
	}
	for key := range keys {
		if got := pl.table[key]; !got.Equal(want[key]) {
			pl.w.violation("%s holds %v in row %v, and not %v", pl.Name, got, key, want[key])
		}
	}
}
