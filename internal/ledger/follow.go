package ledger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/s3db-go/replicator/internal/codec"
)

// The names in the meta bucket of who follows, and of how far it got with the rows that
// were there before, from the last one down: those that come later have higher keys, with
// few exceptions, and it gets them as changes.
var (
	copyKey = []byte("copy")
	seedKey = []byte("seed")
)

// Follow has the ledger remember which rows change, for one follower, until Changed has
// given them and Pass was told so. Another name than the last begins anew, with all rows
// that are there; "" ends it.
func (l *Ledger) Follow(name string) error {
	return l.guard("follow", func() error {
		return l.db.Update(func(tx *bolt.Tx) error {
			meta := tx.Bucket(metaBucket)
			if string(meta.Get(copyKey)) == name {
				return nil
			}
			for _, bucket := range [][]byte{feedBucket, shownBucket} {
				if err := tx.DeleteBucket(bucket); err != nil {
					return err
				}
				if _, err := tx.CreateBucket(bucket); err != nil {
					return err
				}
			}
			if name == "" {
				return errors.Join(meta.Delete(copyKey), meta.Delete(seedKey))
			}
			if err := meta.Put(copyKey, []byte(name)); err != nil {
				return err
			}
			last, _ := tx.Bucket(rowsBucket).Cursor().Last()
			return seedFrom(meta, last)
		})
	})
}

// seedFrom has the rows up to this one given, none if it is nil.
func seedFrom(meta *bolt.Bucket, row []byte) error {
	if row == nil {
		return meta.Delete(seedKey)
	}
	return meta.Put(seedKey, row)
}

// followedIn gives the bucket that takes note of what changes, nil if nobody follows.
func followedIn(tx *bolt.Tx) *bolt.Bucket {
	if tx.Bucket(metaBucket).Get(copyKey) == nil {
		return nil
	}
	return tx.Bucket(feedBucket)
}

// tell takes note of a row that has changed or gone.
func (w *writer) tell(row []byte) error {
	if w.feed == nil {
		return nil
	}
	seq, err := w.feed.NextSequence()
	if err != nil {
		return err
	}
	value := binary.BigEndian.AppendUint64(make([]byte, 0, stampLen+len(row)), stamp(time.Now()))
	return w.feed.Put(binary.BigEndian.AppendUint64(nil, seq), append(value, row...))
}

// Changes are rows that have changed, as they are now.
type Changes struct {
	Rows []Row
	Gone []string // ids of rows that are not there any more

	feed   []byte // the last key
	seeded bool   // rows are given that were there before
	seed   []byte // the next of them, nil if these are all
}

// Changed gives the next changes, some n of them, none if there are no more. A row that
// changed twice may be given twice.
func (l *Ledger) Changed(n int) (c Changes, err error) {
	names := codec.NewInterner()
	err = l.guard("read", func() error {
		return l.db.View(func(tx *bolt.Tx) error {
			c = Changes{}
			groups, err := groupsByNumber(tx)
			if err != nil {
				return err
			}
			stored, size := tx.Bucket(rowsBucket), 0
			take := func(key, value []byte) error {
				if value == nil {
					c.Gone = append(c.Gone, rowID(key))
					return nil
				}
				row, err := readRow(groups, key, value, names)
				c.Rows, size = append(c.Rows, row), size+len(value)
				return err
			}
			feed, seen := tx.Bucket(feedBucket).Cursor(), map[string]bool{}
			for key, value := feed.First(); key != nil && len(seen) < n && size < chunkBytes; key, value = feed.Next() {
				if len(value) < stampLen {
					return damage("what has changed can't be read")
				}
				c.feed = append(c.feed[:0], key...)
				if row := value[stampLen:]; !seen[string(row)] {
					seen[string(row)] = true
					if err := take(row, stored.Get(row)); err != nil {
						return err
					}
				}
			}
			from := tx.Bucket(metaBucket).Get(seedKey)
			if from == nil || len(seen) > 0 {
				return nil
			}
			rows := stored.Cursor()
			key, value := rows.Seek(from)
			switch {
			case key == nil:
				key, value = rows.Last()
			case !bytes.Equal(key, from): // it has gone
				key, value = rows.Prev()
			}
			for given := 0; key != nil && given < n && size < chunkBytes; given++ {
				if err := take(key, value); err != nil {
					return err
				}
				key, value = rows.Prev()
				c.seeded, c.seed = true, bytes.Clone(key)
			}
			return nil
		})
	})
	return c, err
}

// Pass forgets changes that the follower has taken over.
func (l *Ledger) Pass(c Changes) error {
	return l.guard("follow", func() error {
		return l.db.Update(func(tx *bolt.Tx) error {
			if c.feed != nil {
				feed := tx.Bucket(feedBucket).Cursor()
				for key, _ := feed.First(); key != nil && bytes.Compare(key, c.feed) <= 0; key, _ = feed.First() {
					if err := feed.Delete(); err != nil {
						return err
					}
				}
			}
			if c.seeded {
				return seedFrom(tx.Bucket(metaBucket), c.seed)
			}
			return nil
		})
	})
}

// Behind tells how many changes the follower has not passed, and when the first of them
// was.
func (l *Ledger) Behind() (n uint64, since time.Time, err error) {
	err = l.guard("read", func() error {
		return l.db.View(func(tx *bolt.Tx) error {
			c := tx.Bucket(feedBucket).Cursor()
			first, value := c.First()
			last, _ := c.Last()
			if len(first) != stampLen || len(last) != stampLen || len(value) < stampLen {
				return nil
			}
			// They are removed only at the beginning, so there is none missing in between.
			n = binary.BigEndian.Uint64(last) - binary.BigEndian.Uint64(first) + 1
			since = timeOf(binary.BigEndian.Uint64(value))
			return nil
		})
	})
	return n, since, err
}

// Show takes note of rows that the follower shows without their being in the ledger,
// before it does. Its ends are what Gone gives.
func (l *Ledger) Show(rows []Row) error {
	if len(rows) == 0 {
		return nil
	}
	return l.guard("follow", func() error {
		return l.db.Update(func(tx *bolt.Tx) error {
			shown := tx.Bucket(shownBucket)
			for i := range rows {
				r := &rows[i]
				key := rowKey(r.Destination, r.Target, r.Change.ChangeID)
				if err := shown.Put([]byte(rowID(key)), key); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// Gone gives the ids of those rows that were shown, and which the follower should show no
// more: they are neither in the ledger nor does on give true for their id. What the
// ledger has comes by Changed.
func (l *Ledger) Gone(on func(id string) bool) (ended, gone []string, err error) {
	err = l.guard("read", func() error {
		return l.db.View(func(tx *bolt.Tx) error {
			ended, gone = nil, nil
			stored := tx.Bucket(rowsBucket)
			return tx.Bucket(shownBucket).ForEach(func(id, key []byte) error {
				if on(string(id)) {
					return nil
				}
				ended = append(ended, string(id))
				if stored.Get(key) == nil {
					gone = append(gone, string(id))
				}
				return nil
			})
		})
	})
	return ended, gone, err
}

// Hide forgets rows that Gone told as ended.
func (l *Ledger) Hide(ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	return l.guard("follow", func() error {
		return l.db.Update(func(tx *bolt.Tx) error {
			shown := tx.Bucket(shownBucket)
			for _, id := range ids {
				if err := shown.Delete([]byte(id)); err != nil {
					return err
				}
			}
			return nil
		})
	})
}
