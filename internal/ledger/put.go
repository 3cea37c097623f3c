package ledger

import (
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// fillPercent is how full bbolt leaves the pages that it splits. Keys come nearly
// in order, so what is left free is seldom used; a tenth is left for rows that grow
// when they are replaced.
const fillPercent = 0.9

// Put writes the rows, all or none, and returns when they are durable. Of rows
// with one identity the last remains. Every row needs a Destination, a Status and
// a ChangeID.
func (l *Ledger) Put(rows ...Row) error {
	if len(rows) == 0 {
		return nil
	}
	// Encoded before the transaction, of which there is only one at a time.
	bodies := make([][]byte, len(rows))
	for i := range rows {
		r := &rows[i]
		if r.Destination == "" || r.Status == "" || r.Change.ChangeID.IsZero() {
			return errors.New("ledger: put: a row lacks its destination, status or change id")
		}
		var err error
		if bodies[i], err = appendBody(make([]byte, headLen), r); err != nil {
			return fmt.Errorf("ledger: put: %w", err)
		}
	}
	return l.guard("put", func() error {
		return l.db.Update(func(tx *bolt.Tx) error {
			w := writer{groups: tx.Bucket(groupsBucket), rows: tx.Bucket(rowsBucket), index: tx.Bucket(indexBucket)}
			w.rows.FillPercent, w.index.FillPercent = fillPercent, fillPercent
			for i := range rows {
				if err := w.put(&rows[i], bodies[i]); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// writer holds the buckets of one transaction.
type writer struct{ groups, rows, index *bolt.Bucket }

// put writes a row, whose value lacks only its head, and its place in the index.
func (w *writer) put(r *Row, value []byte) error {
	g := groupOf(r)
	if err := g.findNumber(w.groups); err != nil {
		return err
	}
	h := head{group: g.number, time: stamp(r.Time), created: stamp(r.CreatedAt)}
	if r.CreatedAt.IsZero() {
		h.created = h.time
	}
	key := rowKey(r.Destination, r.Target, r.Change.ChangeID)
	if old := w.rows.Get(key); old != nil {
		was, _, err := decodeHead(old)
		if err != nil {
			return err
		}
		h.created = was.created
		if err := w.index.Delete(indexKey(was.group, was.time, r.Change.ChangeID)); err != nil {
			return err
		}
	}
	h.append(value[:0])
	if err := w.rows.Put(key, value); err != nil {
		return err
	}
	return w.index.Put(indexKey(h.group, h.time, r.Change.ChangeID), []byte(r.Change.RecordID))
}
