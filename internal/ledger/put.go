package ledger

import (
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/s3db-go/replicator/cdc"
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
		var err error
		if bodies[i], err = encode(&rows[i]); err != nil {
			return fmt.Errorf("ledger: put: %w", err)
		}
	}
	return l.update("put", func(w *writer) error {
		for i := range rows {
			if err := w.put(&rows[i], bodies[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// encode gives a row's value but for its head, for which it leaves room.
func encode(r *Row) ([]byte, error) {
	if r.Destination == "" || r.Status == "" || r.Change.ChangeID.IsZero() {
		return nil, errors.New("a row lacks its destination, status or change id")
	}
	return appendBody(make([]byte, headLen), r)
}

// update runs what writes in one transaction.
func (l *Ledger) update(what string, write func(*writer) error) error {
	return l.guard(what, func() error {
		return l.db.Update(func(tx *bolt.Tx) error {
			w := &writer{tx: tx, groups: tx.Bucket(groupsBucket), rows: tx.Bucket(rowsBucket), index: tx.Bucket(indexBucket), failures: tx.Bucket(failBucket)}
			w.feed = followedIn(tx)
			w.rows.FillPercent, w.index.FillPercent = fillPercent, fillPercent
			return write(w)
		})
	})
}

// writer holds the buckets of one transaction.
type writer struct {
	tx                            *bolt.Tx
	groups, rows, index, failures *bolt.Bucket
	feed                          *bolt.Bucket // nil if nobody follows

	byNumber map[uint32]group // nil until it is asked for
}

// known gives the groups of the rows that stand in the file.
func (w *writer) known() (_ map[uint32]group, err error) {
	if w.byNumber == nil {
		w.byNumber, err = groupsByNumber(w.tx)
	}
	return w.byNumber, err
}

// put writes a row, whose value lacks only its head, and its places in index and
// failures.
func (w *writer) put(r *Row, value []byte) error {
	g := groupOf(r)
	if err := g.findNumber(w.groups); err != nil {
		return err
	}
	if w.byNumber != nil {
		w.byNumber[g.number] = g
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
		if err := w.forget(key, old, was); err != nil {
			return err
		}
	}
	h.append(value[:0])
	if err := w.rows.Put(key, value); err != nil {
		return err
	}
	if f := failureKey(r); r.Status.failure() && len(f) <= bolt.MaxKeySize {
		if err := w.failures.Put(f, nil); err != nil {
			return err
		}
	}
	if err := w.index.Put(indexKey(h.group, h.time, r.Change.ChangeID), indexValue(r)); err != nil {
		return err
	}
	return w.tell(key)
}

// forget takes a row that is being replaced out of index and failures.
func (w *writer) forget(key, value []byte, was head) error {
	change := cdc.ID(key)
	if err := w.index.Delete(indexKey(was.group, was.time, change)); err != nil {
		return err
	}
	groups, err := w.known()
	if g, known := groups[was.group]; err != nil || known && !g.status.failure() {
		return err
	}
	old, err := readRow(groups, key, value, nil)
	if err != nil {
		return err
	}
	return w.failures.Delete(failureKey(&old))
}
