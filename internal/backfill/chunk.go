package backfill

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/codec"
	"github.com/s3db-go/replicator/internal/journal"
	"github.com/s3db-go/replicator/internal/panics"
)

// send reads the records after s.After, moves that on, and puts those that have not
// changed since into the journal.
func (r *Runner) send(s *State) (read, sent int, err error) {
	for size := r.opts.ChunkSize; ; size = max(size/2, 1) {
		var next string
		read, sent, next, err = r.under(s, size)
		if !errors.Is(err, journal.ErrWatchFull) {
			s.After = cmp.Or(next, s.After)
			return read, sent, err
		}
		// More was committed meanwhile than a watch remembers: a smaller chunk is read
		// in less time.
		if r.ctx.Err() != nil {
			return 0, 0, r.ctx.Err()
		}
	}
}

// under reads and sends one chunk under a watch of its own.
func (r *Runner) under(s *State, size int) (read, sent int, next string, err error) {
	watch := r.opts.Journal.Watch()
	defer watch.Close()
	rows, err := r.scan(s, size)
	if err != nil || len(rows) == 0 {
		return 0, 0, "", err
	}
	rows = r.fit(rows)
	changes, err := r.changes(s, rows)
	if err != nil {
		return 0, 0, "", err
	}
	if sent, err = r.opts.Journal.AppendTo(r.ctx, s.Destination, changes, watch); err != nil {
		return 0, 0, "", err
	}
	more, err := r.again(s, watch.Left())
	if err != nil {
		return 0, 0, "", err
	}
	return len(rows), sent + more, rows[len(rows)-1].RecordID, nil
}

// fit gives as many of the rows as a chunk may take, at least one.
func (r *Runner) fit(rows []cdc.Row) []cdc.Row {
	size := 0
	for i, row := range rows {
		size += codec.SizeChange(&cdc.Change{RecordID: row.RecordID, Data: row.Data})
		if i > 0 && r.opts.ChunkBytes > 0 && size > r.opts.ChunkBytes {
			return rows[:i]
		}
	}
	return rows
}

// again looks once more at the records that were left to a change which a route may not
// carry, until each was sent as it is, or is gone. A look takes so much less time than a
// chunk that also one that is written all the time is met in between.
func (r *Runner) again(s *State, left []cdc.Key) (sent int, err error) {
	if r.opts.Again == nil || len(left) > 0 && !r.opts.Again(s.Resource) {
		return 0, nil
	}
	for len(left) > 0 {
		n, still, err := r.look(s, left)
		if err != nil {
			return 0, err
		}
		sent, left = sent+n, still
	}
	return sent, nil
}

// look reads and sends those records under a watch of its own, and gives those that have
// changed again meanwhile.
func (r *Runner) look(s *State, keys []cdc.Key) (sent int, left []cdc.Key, err error) {
	watch := r.opts.Journal.Watch()
	defer watch.Close()
	var rows []cdc.Row
	for _, key := range keys {
		row, there, err := r.opts.Present(r.ctx, key.Resource, key.RecordID)
		if err != nil {
			return 0, nil, fmt.Errorf("read %s: %w", key, err)
		}
		if there {
			rows = append(rows, row)
		}
	}
	changes, err := r.changes(s, rows)
	if err != nil {
		return 0, nil, err
	}
	sent, err = r.opts.Journal.AppendTo(r.ctx, s.Destination, changes, watch)
	return sent, watch.Left(), err
}

// scan reads the next chunk. A source that does not get on is told, since the run would
// never end.
func (r *Runner) scan(s *State, size int) (rows []cdc.Row, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = panics.Error("the source's Scan", v)
		}
	}()
	rows, err = r.opts.Source.Scan(r.ctx, s.Resource, s.After, size)
	if err != nil {
		return nil, fmt.Errorf("scan: %w", err)
	}
	if n := len(rows); n > 0 && rows[n-1].RecordID == s.After {
		return nil, fmt.Errorf("scan: the source gives the record %q again", s.After)
	}
	return rows, nil
}

// changes makes inserts of the records that the filter lets pass.
func (r *Runner) changes(s *State, rows []cdc.Row) (changes []cdc.Change, err error) {
	now := time.Now().UTC().Truncate(time.Microsecond)
	for _, row := range rows {
		c := cdc.Change{
			ChangeID: changeID(s.Run, s.Resource, row.RecordID), Op: cdc.Inserted, Origin: cdc.Snapshot, Time: now,
			Resource: s.Resource, RecordID: row.RecordID, Data: row.Data, SchemaVersion: row.SchemaVersion,
		}
		pass, err := r.passes(c)
		if err != nil {
			return nil, err
		}
		if pass {
			changes = append(changes, c)
		}
	}
	return changes, nil
}

// passes asks the filter. A panic of it stops the run where it is: a record must not be
// left out because nobody could say whether it is wanted.
func (r *Runner) passes(c cdc.Change) (pass bool, err error) {
	if r.opts.Filter == nil {
		return true, nil
	}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("record %s: %w", c.RecordID, panics.Error("the backfill's Filter", v))
		}
	}()
	c.Data = c.Data.Clone() // the user may change the top level
	return r.opts.Filter(c), nil
}

// changeID names what a run sends of a record, the same each time: a UUIDv8, whose 122
// bits of a hash nobody else makes.
func changeID(run cdc.ID, resource, record string) (id cdc.ID) {
	text := make([]byte, 0, len(run)+binary.MaxVarintLen64+len(resource)+len(record))
	text = append(text, run[:]...)
	// With the length, so that no other resource and record have the same text.
	text = binary.AppendUvarint(text, uint64(len(resource)))
	text = append(append(text, resource...), record...)
	sum := sha256.Sum256(text)
	copy(id[:], sum[:])
	id[6] = 8<<4 | id[6]&0x0f
	id[8] = 2<<6 | id[8]&0x3f
	return id
}
