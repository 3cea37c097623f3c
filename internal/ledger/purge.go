package ledger

import (
	"bytes"
	"encoding/binary"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/s3db-go/replicator/cdc"
)

// Purge removes rows that are neither failed nor held and got their status before a time,
// the oldest of each group first, at most n of them. It gives how many it found: fewer
// than n means that there are no more. Settle waits for it, so n bounds for how long.
func (l *Ledger) Purge(before time.Time, n int) (found int, err error) {
	// First a look, which keeps nobody waiting.
	var due []due
	err = l.guard("read", func() error {
		return l.db.View(func(tx *bolt.Tx) (err error) {
			due, err = dueIn(tx, before, n)
			return err
		})
	})
	if err != nil || len(due) == 0 {
		return 0, err
	}
	err = l.update("purge", func(w *writer) error {
		for _, d := range due {
			if w.index.Get(d.index) == nil {
				continue // it has changed since
			}
			if err := w.index.Delete(d.index); err != nil {
				return err
			}
			if err := w.rows.Delete(d.row); err != nil {
				return err
			}
			if err := w.tell(d.row); err != nil {
				return err
			}
		}
		return nil
	})
	return len(due), err
}

// due is a row that is to go, by its keys.
type due struct{ index, row []byte }

func dueIn(tx *bolt.Tx, before time.Time, n int) (found []due, err error) {
	settled, err := groupsWith(tx, func(g *group) bool { return !g.status.failure() })
	if err != nil {
		return nil, err
	}
	end := stamp(before)
	for i := range settled {
		g := &settled[i]
		c := tx.Bucket(indexBucket).Cursor()
		prefix := binary.BigEndian.AppendUint32(nil, g.number)
		for key, _ := c.Seek(prefix); len(found) < n && bytes.HasPrefix(key, prefix); key, _ = c.Next() {
			if len(key) != indexLen {
				return nil, damage("the index can't be read")
			}
			if binary.BigEndian.Uint64(key[groupLen:]) >= end {
				break
			}
			found = append(found, due{bytes.Clone(key), rowKey(g.destination, g.target, cdc.ID(key[groupLen+stampLen:]))})
		}
	}
	return found, nil
}
