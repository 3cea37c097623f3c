package engine

import (
	"slices"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/ledger"
)

// keyed reports whether a delivery's key is another than the record's id, so that the
// record may have had more than one row at the target.
func keyed(d *cdc.Delivery) bool {
	id, ok := d.Key["id"].(string)
	return len(d.Key) != 1 || !ok || id != d.RecordID
}

// rowsOf gives the keys of the rows that a delivery writes or removes.
func rowsOf(d *cdc.Delivery) []cdc.Record {
	if d.OldKey != nil {
		return []cdc.Record{d.Key, d.OldKey}
	}
	return []cdc.Record{d.Key}
}

// spared gives the failures of its record that a delivery has not closed by being accepted,
// although they are older, among those that the ledger has and those that end together
// with it. One is closed when every row is as it is to be that it would have changed: any
// other of them is still to be removed, or was never written.
func (e *Engine) spared(o *Outcome, others []Outcome) (ids []cdc.ID, err error) {
	if !o.Covers || o.Rows == nil || o.Status != Replicated {
		return nil, nil
	}
	look := func(failed *cdc.Change) error {
		if failed.Version >= o.Change.Version {
			return nil
		}
		closed, err := e.closes(o, failed)
		if !closed {
			ids = append(ids, failed.ChangeID)
		}
		return err
	}
	for i := range others {
		other := &others[i]
		if other.Status != Failed && other.Status != Held || other.Target != o.Target || other.Change.RecordKey() != o.Change.RecordKey() {
			continue
		}
		if err := look(other.Change); err != nil {
			return nil, err
		}
	}
	q := ledger.Query{Destination: e.cfg.Name, Target: o.Target, Resource: o.Change.Resource, RecordID: o.Change.RecordID}
	for rows, err := range e.cfg.Ledger.Failures(q, failuresAtOnce) {
		for i := 0; i < len(rows) && err == nil; i++ {
			err = look(&rows[i].Change)
		}
		if err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// closes reports whether every row that a failure would have changed is among those that
// an outcome has dealt with. A restatement has written the present row, so that of a failure
// only the one counts that it was to take away.
func (e *Engine) closes(o *Outcome, failed *cdc.Change) (bool, error) {
	var rows []cdc.Record
	if o.Restated {
		s, err := e.steps(&replay{target: o.Target, change: *o.Change, former: []former{ended(failed)}})
		if err != nil {
			return false, err
		}
		for i := range s.verdicts {
			if v := &s.verdicts[i]; v.Err == nil && v.Skip == "" {
				rows = append(rows, v.Delivery.Key)
			}
		}
	} else {
		verdicts, err := e.routeTo(nil, failed, o.Target)
		if err != nil || len(verdicts) == 0 || verdicts[0].Err != nil || verdicts[0].Skip != "" {
			return false, err // which rows can't be told
		}
		rows = rowsOf(&verdicts[0].Delivery)
	}
	return !slices.ContainsFunc(rows, func(key cdc.Record) bool { return !slices.ContainsFunc(o.Rows, key.Equal) }), nil
}
