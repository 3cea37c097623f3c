package ledger

import (
	"slices"

	bolt "go.etcd.io/bbolt"

	"github.com/s3db-go/replicator/cdc"
)

// End is how a delivery ended, and what that says of the failures of its record.
type End struct {
	// Row has the status Replicated, Failed, Held or Discarded. Its Attempts are those of
	// this time on the road.
	Row
	// Keep puts a row that is Replicated in any case, and not only over a failure.
	Keep bool
	// Covers: the target wants state, so that with this delivery the record's failures of
	// before are superseded, but for those that are spared.
	Covers bool
	Spared []cdc.ID
	// Restated: it carried the record's present state in the place of its failures, and has
	// no row of its own: they share its fate.
	Restated bool
}

// Settle writes how deliveries ended, all or none, and returns when that is durable. A
// row that is there already changes its status, keeps its change, its RetryCount and
// CreatedAt, and adds up its Attempts. What was discarded stays so. For each end it
// gives by how many the failures of its record have become more, or fewer. Where nothing
// changes, nothing is written.
func (l *Ledger) Settle(ends ...End) (failures []int, err error) {
	failures = make([]int, len(ends))
	var due []int
	err = l.guard("read", func() error {
		return l.db.View(func(tx *bolt.Tx) error {
			for i := range ends {
				if ends[i].changes(tx) {
					due = append(due, i)
				}
			}
			return nil
		})
	})
	if err != nil || len(due) == 0 {
		return failures, err
	}
	err = l.update("settle", func(w *writer) error {
		for _, i := range due {
			var err error
			if failures[i], err = w.settle(&ends[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return failures, err
}

// changes reports whether an end may have something to write.
func (e *End) changes(tx *bolt.Tx) bool {
	if e.Status != Replicated || e.Keep {
		return true
	}
	for key := range keysFrom(tx, e.recordPrefix(), nil) {
		f, err := decodeFailure(key)
		if err != nil || f.change == e.Change.ChangeID || e.Covers && f.version < e.Change.Version {
			return true
		}
		if f.version > e.Change.Version {
			break
		}
	}
	return false
}

func (e *End) recordPrefix() []byte {
	return recordPrefix(e.Destination, e.Target, e.Change.Resource, e.Change.RecordID)
}

// settle writes one end, and gives by how many the failures of its record have changed.
func (w *writer) settle(e *End) (failures int, err error) {
	if !e.Restated {
		if failures, err = w.own(e); err != nil {
			return 0, err
		}
	}
	if e.Status == Replicated && !e.Covers || e.Status != Replicated && !e.Restated {
		return failures, nil
	}
	former, err := w.former(e)
	if err != nil {
		return 0, err
	}
	for i := range former {
		row := &former[i]
		switch {
		case slices.Contains(e.Spared, row.Change.ChangeID):
			continue
		case e.Status == Replicated && e.Restated:
			row.Status, row.Error = Replicated, ""
		case e.Status == Replicated:
			row.Status = Superseded
		case !row.WillRetry:
			continue // it was not this one's to carry
		case e.Status == Discarded:
			row.Status, row.Error = Discarded, e.Error
		default:
			row.Error = e.Error
		}
		if e.Restated {
			row.Attempts, row.Duration = row.Attempts+e.Attempts, e.Duration
		}
		row.Time, row.WillRetry = e.Time, false
		if err := w.write(row); err != nil {
			return 0, err
		}
		if !row.Status.failure() {
			failures--
		}
	}
	return failures, nil
}

// own writes the row of the delivery itself.
func (w *writer) own(e *End) (failures int, err error) {
	row := e.Row
	old, found, err := w.find(row.Destination, row.Target, row.Change.ChangeID)
	if err != nil || found && old.Status == Discarded {
		return 0, err
	}
	failed := found && old.Status.failure()
	if row.Status == Replicated && !e.Keep && !failed {
		return 0, nil
	}
	if found {
		row.RetryCount, row.Attempts = old.RetryCount, row.Attempts+old.Attempts
		// A backfill's chunk that is repeated brings the record's newer state under the same
		// id; what is replayed is the change as it stands here.
		if row.Change.Version <= old.Change.Version {
			row.Change = old.Change
		}
	}
	if failed {
		failures--
	}
	if row.Status.failure() {
		failures++
	}
	return failures, w.write(&row)
}

// former gives the failures of the record that are older than the delivery.
func (w *writer) former(e *End) (rows []Row, err error) {
	// First all keys: what is written moves them.
	var found []failure
	for key := range keysFrom(w.tx, e.recordPrefix(), nil) {
		f, err := decodeFailure(key)
		if err != nil {
			return nil, err
		}
		if f.version >= e.Change.Version {
			break
		}
		found = append(found, f)
	}
	for _, f := range found {
		row, there, err := w.find(f.destination, f.target, f.change)
		if err != nil {
			return nil, err
		}
		if !there {
			return nil, damage("a failure has no row")
		}
		rows = append(rows, row)
	}
	return rows, nil
}
