package backfill

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/panics"
)

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
