package ledger

import (
	"bytes"
	"encoding/binary"
	"iter"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/codec"
)

// failureKey gives the key of a row in the bucket of failures. One that is too long for
// the file, which takes names of many thousand bytes, is left out of it.
func failureKey(r *Row) []byte {
	b := recordPrefix(r.Destination, r.Target, r.Change.Resource, r.Change.RecordID)
	b = binary.BigEndian.AppendUint64(b, r.Change.Version)
	return append(b, r.Change.ChangeID[:]...)
}

// recordPrefix begins the keys of a record's failures at a target.
func recordPrefix(destination, target, resource, recordID string) []byte {
	var b []byte
	for _, name := range [...]string{destination, target, resource, recordID} {
		b = appendName(b, name)
	}
	return b
}

// failure is what a key in the bucket of failures says.
type failure struct {
	destination, target, resource, recordID string
	version                                 uint64
	change                                  cdc.ID
}

func decodeFailure(key []byte) (failure, error) {
	d := decoder{rest: key}
	f := failure{destination: d.name(), target: d.name(), resource: d.name(), recordID: d.name()}
	if d.failed || len(d.rest) != stampLen+changeLen {
		return failure{}, damage("a failure can't be read")
	}
	f.version, f.change = binary.BigEndian.Uint64(d.rest), cdc.ID(d.rest[stampLen:])
	return f, nil
}

func (f *failure) rowKey() []byte { return rowKey(f.destination, f.target, f.change) }

// selected compares what the key tells.
func (f *failure) selected(q *Query) bool {
	same := func(want, have string) bool { return want == "" || want == have }
	return same(q.Destination, f.destination) && same(q.Target, f.target) && same(q.Resource, f.resource) && same(q.RecordID, f.recordID)
}

// prefix begins the keys of all failures that the query can select.
func (q *Query) prefix() []byte {
	var b []byte
	for _, name := range [...]string{q.Destination, q.Target, q.Resource, q.RecordID} {
		if name == "" {
			break
		}
		b = appendName(b, name)
	}
	return b
}

// Failures gives the rows that the query selects and that are failed or held, at most n
// at a time: those of a record at a target together, in order of their versions. The
// consumer may change them meanwhile; what is put in between may be given or not, and
// no row twice. An error is given once, as the last. q.Limit keeps the newest, whose
// identities are held in memory.
func (l *Ledger) Failures(q Query, n int) iter.Seq2[[]Row, error] {
	return func(yield func([]Row, error) bool) {
		newest, err := l.newestFailures(q)
		if err != nil {
			yield(nil, err)
			return
		}
		var after []byte
		names := codec.NewInterner()
		for {
			var rows []Row
			if rows, after, err = l.failures(&q, after, n, newest, names); err != nil {
				yield(nil, err)
				return
			}
			if len(rows) > 0 && !yield(rows, nil) || after == nil {
				return
			}
		}
	}
}

// failures reads the next rows after a key, and gives the key to go on from, nil at the
// end.
func (l *Ledger) failures(q *Query, after []byte, n int, newest map[string]bool, names *codec.Interner) (rows []Row, last []byte, err error) {
	err = l.guard("read", func() error {
		return l.db.View(func(tx *bolt.Tx) error {
			stored, prefix := tx.Bucket(rowsBucket), q.prefix()
			groups, err := groupsByNumber(tx)
			if err != nil {
				return err
			}
			size := 0
			for key := range keysFrom(tx, prefix, after) {
				if len(rows) == n || size >= chunkBytes {
					return nil
				}
				last = bytes.Clone(key)
				f, err := decodeFailure(key)
				if err != nil {
					return err
				}
				at := f.rowKey()
				if !f.selected(q) || newest != nil && !newest[string(at)] {
					continue
				}
				value := stored.Get(at)
				row, err := readRow(groups, at, value, names)
				if err != nil {
					return err
				}
				if row.Status.failure() && q.admits(&row) {
					rows, size = append(rows, row), size+len(value)
				}
			}
			last = nil
			return nil
		})
	})
	return rows, last, err
}

// admits compares what only the row tells.
func (q *Query) admits(r *Row) bool {
	return (q.Status == "" || q.Status == r.Status) && !r.Time.Before(q.Since) && (q.Until.IsZero() || r.Time.Before(q.Until)) &&
		q.takes(r.RetryCount, r.WillRetry)
}

// newestFailures gives the keys of the rows that a limit leaves, nil if there is none.
func (l *Ledger) newestFailures(q Query) (map[string]bool, error) {
	if q.Limit <= 0 {
		return nil, nil
	}
	keys := map[string]bool{}
	err := l.guard("read", func() error {
		return l.db.View(func(tx *bolt.Tx) error {
			m, err := newMerge(tx, &q, nil)
			for err == nil && m.Len() > 0 && len(keys) < q.Limit {
				if s := m.newest(); s.group.status.failure() {
					keys[string(rowKey(s.group.destination, s.group.target, cdc.ID(s.key[groupLen+stampLen:])))] = true
				}
				m.advance()
			}
			return err
		})
	})
	return keys, err
}

// keysFrom gives the keys of the failures with a prefix, from the one after a key on.
func keysFrom(tx *bolt.Tx, prefix, after []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		c := tx.Bucket(failBucket).Cursor()
		key, _ := c.Seek(prefix)
		if after != nil {
			if key, _ = c.Seek(after); bytes.Equal(key, after) {
				key, _ = c.Next()
			}
		}
		for ; key != nil && bytes.HasPrefix(key, prefix) && yield(key); key, _ = c.Next() {
		}
	}
}

// readRow reads a row of any of the groups.
func readRow(groups map[uint32]group, key, value []byte, names *codec.Interner) (Row, error) {
	h, _, err := decodeHead(value)
	if err != nil {
		return Row{}, err
	}
	g, known := groups[h.group]
	if !known {
		return Row{}, damage("a row is of no group")
	}
	return decodeRow(&g, key, value, names)
}

// EachFailure gives the target and the record of every failure of a destination. It
// reads keys alone.
func (l *Ledger) EachFailure(destination string, do func(target string, record cdc.Key)) error {
	return l.guard("read", func() error {
		return l.db.View(func(tx *bolt.Tx) error {
			for key := range keysFrom(tx, appendName(nil, destination), nil) {
				f, err := decodeFailure(key)
				if err != nil {
					return err
				}
				do(f.target, cdc.Key{Resource: f.resource, RecordID: f.recordID})
			}
			return nil
		})
	})
}

// Amend changes those of the rows that are still failed or held, in one transaction, and
// gives them as they are then. The function gets the row as it is stored, and leaves its
// identity.
func (l *Ledger) Amend(rows []Row, change func(*Row)) (amended []Row, err error) {
	err = l.update("amend", func(w *writer) error {
		amended = nil
		for i := range rows {
			row, found, err := w.find(rows[i].Destination, rows[i].Target, rows[i].Change.ChangeID)
			if err != nil {
				return err
			}
			if !found || !row.Status.failure() {
				continue
			}
			change(&row)
			if err := w.write(&row); err != nil {
				return err
			}
			amended = append(amended, row)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return amended, nil
}

// Discard makes the row one that is not wanted any more.
func (r *Row) Discard(now time.Time) {
	r.Status, r.Time, r.WillRetry = Discarded, now, false
}

// find reads a row.
func (w *writer) find(destination, target string, change cdc.ID) (row Row, found bool, err error) {
	key := rowKey(destination, target, change)
	value := w.rows.Get(key)
	if value == nil {
		return Row{}, false, nil
	}
	groups, err := w.known()
	if err == nil {
		row, err = readRow(groups, key, value, nil)
	}
	return row, err == nil, err
}

// write puts a row that is not encoded yet.
func (w *writer) write(r *Row) error {
	value, err := encode(r)
	if err != nil {
		return err
	}
	return w.put(r, value)
}
