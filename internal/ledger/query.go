package ledger

import (
	"bytes"
	"container/heap"
	"encoding/binary"
	"iter"
	"math"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/codec"
)

// A chunk of rows is what one transaction reads. Its size bounds the memory of a
// query, and how long the transaction keeps bbolt from reusing pages and from
// growing its map.
const (
	chunkRows  = 256
	chunkBytes = 1 << 20
)

// Rows gives the rows that the query selects, newest first by Time. An error is
// given once, as the last. The consumer may take its time, stop early and call Put
// meanwhile; a row that is put meanwhile may be given as it was, as it is, both or
// not at all.
func (l *Ledger) Rows(q Query) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		left := q.limit()
		names := codec.NewInterner()
		for at := (places)(nil); left > 0; {
			chunk, next, err := l.chunk(&q, at, min(left, chunkRows), names)
			for _, row := range chunk {
				if !yield(row, nil) {
					return
				}
			}
			if err != nil {
				yield(Row{}, err)
				return
			}
			if len(next) == 0 {
				return
			}
			left -= len(chunk)
			at = next
		}
	}
}

// places are the groups that a query has not come to the end of, by their numbers, each
// with the index key that is next. So what a chunk has passed in search of the next row of
// a group is not passed again by those that follow. nil is the beginning.
type places map[uint32][]byte

// chunk gives the next rows, at most n of them, and where to go on.
func (l *Ledger) chunk(q *Query, at places, n int, names *codec.Interner) (rows []Row, next places, err error) {
	err = l.guard("read", func() error {
		return l.db.View(func(tx *bolt.Tx) error {
			m, err := newMerge(tx, q, at)
			if err != nil {
				return err
			}
			stored := tx.Bucket(rowsBucket)
			for size := 0; len(rows) < n && size < chunkBytes && m.Len() > 0; {
				s := m.newest()
				key := rowKey(s.group.destination, s.group.target, cdc.ID(s.key[groupLen+stampLen:]))
				value := stored.Get(key)
				row, err := decodeRow(s.group, key, value, names)
				if err != nil {
					return err
				}
				rows = append(rows, row)
				size += len(value)
				m.advance()
			}
			next = m.places()
			return nil
		})
	})
	return rows, next, err
}

// Count gives the number of rows that Rows would give. It reads the index alone,
// some thirty million entries a second.
func (l *Ledger) Count(q Query) (int, error) {
	n, limit := 0, q.limit()
	err := l.guard("count", func() error {
		return l.db.View(func(tx *bolt.Tx) error {
			groups, err := groupsFor(tx, &q)
			if err != nil {
				return err
			}
			for i := range groups {
				for s := newStretch(tx, &groups[i], &q, nil); s.key != nil && n < limit; s.advance() {
					n++
				}
			}
			return nil
		})
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// Oldest gives the least Time of the rows that the query selects, but for its Limit, and
// the zero time if there are none. It reads the index, up to the first of each group.
func (l *Ledger) Oldest(q Query) (oldest time.Time, err error) {
	err = l.guard("read", func() error {
		return l.db.View(func(tx *bolt.Tx) error {
			oldest = time.Time{}
			groups, err := groupsFor(tx, &q)
			if err != nil {
				return err
			}
			for i := range groups {
				if at, ok := newStretch(tx, &groups[i], &q, nil).first(); ok && (oldest.IsZero() || at.Before(oldest)) {
					oldest = at
				}
			}
			return nil
		})
	})
	return oldest, err
}

// Among tells how many of the rows, which need only their identities, are in the ledger
// and selected by the query, but for its Limit.
func (l *Ledger) Among(q Query, rows []Row) (n int, err error) {
	err = l.guard("count", func() error {
		return l.db.View(func(tx *bolt.Tx) error {
			n = 0
			groups, err := groupsByNumber(tx)
			if err != nil {
				return err
			}
			for i := range rows {
				key := rowKey(rows[i].Destination, rows[i].Target, rows[i].Change.ChangeID)
				value := tx.Bucket(rowsBucket).Get(key)
				if value == nil {
					continue
				}
				row, err := readRow(groups, key, value, nil)
				if err != nil {
					return err
				}
				if q.Selects(&row) {
					n++
				}
			}
			return nil
		})
	})
	return n, err
}

func (q *Query) limit() int {
	if q.Limit <= 0 {
		return math.MaxInt
	}
	return q.Limit
}

// stretch is what a query selects of one group in the index, read from the newest.
type stretch struct {
	group  *group
	cursor *bolt.Cursor
	oldest []byte // the least key that is selected
	query  *Query
	any    bool   // the query takes all rows of the stretch
	key    []byte // where it stands, nil at the end
}

// newStretch stands on the newest selected row of the group, from an index key on if that
// is not nil.
func newStretch(tx *bolt.Tx, g *group, q *Query, from []byte) *stretch {
	s := &stretch{group: g, cursor: tx.Bucket(indexBucket).Cursor(), query: q}
	s.any = q.RecordID == "" && q.RetryCountBelow == 0 && !q.GivenUp
	s.oldest = binary.BigEndian.AppendUint32(nil, g.number)
	if !q.Since.IsZero() {
		s.oldest = binary.BigEndian.AppendUint64(s.oldest, stamp(q.Since))
	}
	s.settle(before(s.cursor, upperBound(g, q, from)))
	return s
}

// upperBound gives a key that is above all of the group's that the query selects, from an
// index key on, and above no other of the group.
func upperBound(g *group, q *Query, from []byte) []byte {
	switch {
	case from != nil:
		return append(bytes.Clone(from), 0)
	case !q.Until.IsZero():
		return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(nil, g.number), stamp(q.Until))
	}
	return binary.BigEndian.AppendUint32(nil, g.number+1)
}

// before moves the cursor to the last key below bound.
func before(c *bolt.Cursor, bound []byte) (key, value []byte) {
	if key, _ := c.Seek(bound); key == nil {
		return c.Last()
	}
	return c.Prev()
}

func (s *stretch) advance() { s.settle(s.cursor.Prev()) }

// first gives the time of the oldest row that is selected, reading from the other end.
func (s *stretch) first() (time.Time, bool) {
	if s.key == nil {
		return time.Time{}, false
	}
	key, value := s.cursor.Seek(s.oldest)
	for !s.any && !s.takes(value) {
		key, value = s.cursor.Next() // not beyond s.key, which is selected
	}
	return timeOf(binary.BigEndian.Uint64(key[groupLen:])), true
}

// settle goes on from a key to the first that is selected.
func (s *stretch) settle(key, value []byte) {
	for key != nil && bytes.Compare(key, s.oldest) >= 0 {
		if s.any || s.takes(value) {
			s.key = key
			return
		}
		key, value = s.cursor.Prev()
	}
	s.key = nil
}

// takes compares what the index tells of a row.
func (s *stretch) takes(value []byte) bool {
	retryCount, onRoad, recordID := decodeIndex(value)
	return s.query.takes(retryCount, onRoad) && (s.query.RecordID == "" || s.query.RecordID == string(recordID))
}

// merge is a heap of the stretches that are not at their end.
type merge []*stretch

func newMerge(tx *bolt.Tx, q *Query, at places) (merge, error) {
	groups, err := groupsFor(tx, q)
	if err != nil {
		return nil, err
	}
	var m merge
	for i := range groups {
		from, left := at[groups[i].number]
		if at != nil && !left {
			continue
		}
		if s := newStretch(tx, &groups[i], q, from); s.key != nil {
			m = append(m, s)
		}
	}
	heap.Init(&m)
	return m, nil
}

// places gives where its stretches stand, to be kept beyond the transaction.
func (m merge) places() places {
	at := places{}
	for _, s := range m {
		at[s.group.number] = bytes.Clone(s.key)
	}
	return at
}

func (m merge) newest() *stretch { return m[0] }

// advance moves on from the newest.
func (m *merge) advance() {
	s := m.newest()
	s.advance()
	if s.key == nil {
		heap.Pop(m)
	} else {
		heap.Fix(m, 0)
	}
}

func (m merge) Len() int      { return len(m) }
func (m merge) Swap(i, j int) { m[i], m[j] = m[j], m[i] }

// Less orders by time and change id, then by group, the newest first.
func (m merge) Less(i, j int) bool {
	a, b := m[i].key, m[j].key
	if c := bytes.Compare(a[groupLen:], b[groupLen:]); c != 0 {
		return c > 0
	}
	return bytes.Compare(a[:groupLen], b[:groupLen]) > 0
}

func (m *merge) Push(x any) { *m = append(*m, x.(*stretch)) }

func (m *merge) Pop() any {
	old := *m
	last := old[len(old)-1]
	*m = old[:len(old)-1]
	return last
}
