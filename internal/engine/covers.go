package engine

import (
	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/ledger"
)

// keyed reports whether a delivery's key is another than the record's id, so that the
// record may have had more than one row at the target.
func keyed(d *cdc.Delivery) bool {
	id, ok := d.Key["id"].(string)
	return len(d.Key) != 1 || !ok || id != d.RecordID
}

// covers reports whether a delivery that was accepted has closed the failures of its
// record: those that the ledger has, and those that end together with it. A failure under
// another key has not been closed by it: its row is still to be deleted, or was never
// written.
func (e *Engine) covers(o *Outcome, others []Outcome) (bool, error) {
	if !o.Covers || !o.Keyed || o.Status != Replicated || o.Restated {
		return o.Covers, nil
	}
	key, err := e.keyOf(o.Change, o.Target)
	if err != nil {
		return false, err
	}
	same := func(failed *cdc.Change) (bool, error) {
		if failed.Version >= o.Change.Version {
			return true, nil
		}
		of, err := e.keyOf(failed, o.Target)
		return key != nil && of.Equal(key), err
	}
	for i := range others {
		other := &others[i]
		if other.Status != Failed && other.Status != Held || other.Target != o.Target || other.Change.RecordKey() != o.Change.RecordKey() {
			continue
		}
		if ok, err := same(other.Change); !ok {
			return false, err
		}
	}
	q := ledger.Query{Destination: e.cfg.Name, Target: o.Target, Resource: o.Change.Resource, RecordID: o.Change.RecordID}
	for rows, err := range e.cfg.Ledger.Failures(q, failuresAtOnce) {
		for i := 0; i < len(rows) && err == nil; i++ {
			var ok bool
			if ok, err = same(&rows[i].Change); !ok {
				return false, err
			}
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

// keyOf gives the one key of a change at a target, nil if it has two or can't be told.
func (e *Engine) keyOf(change *cdc.Change, target string) (cdc.Record, error) {
	verdicts, err := e.routeTo(nil, change, target)
	if err != nil || len(verdicts) == 0 || verdicts[0].Err != nil || verdicts[0].Skip != "" || verdicts[0].Delivery.OldKey != nil {
		return nil, err
	}
	return verdicts[0].Delivery.Key, nil
}
