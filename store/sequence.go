package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/s3db-go/replicator/cdc"
)

// sequence is the object that holds the next number of a generator. The original
// wrote its times as numbers once, and now as text.
type sequence struct {
	Value     int64  `json:"value"`
	Name      string `json:"name"`
	CreatedAt any    `json:"createdAt"`
	UpdatedAt any    `json:"updatedAt,omitempty"`
}

func sequenceKey(resource string) string { return "resource=" + resource + "/sequence=id/value" }

// newIDs makes ids for records that come without one.
func (db *DB) newIDs(ctx context.Context, s *schema, n int) ([]string, error) {
	ids := make([]string, 0, n)
	if s.ids.generator == "" || n == 0 {
		for range n {
			ids = append(ids, newID(s.ids.size))
		}
		return ids, nil
	}
	numbers, _ := parseSequence(s.ids.generator)
	first, err := db.reserve(ctx, s.resource, numbers.start, int64(n))
	if err != nil {
		return nil, fmt.Errorf("store: %s: make ids: %w", s.resource, err)
	}
	for i := range n {
		ids = append(ids, numbers.id(first+int64(i)))
	}
	return ids, nil
}

// reserve takes n numbers out of a resource's sequence. They are taken before they are
// used: a crash leaves a gap, and never the same number twice.
func (db *DB) reserve(ctx context.Context, resource string, start, n int64) (int64, error) {
	// Like a record that can't be: an id can't hold a "=".
	release, err := db.locks.Lock(ctx, cdc.Key{Resource: resource, RecordID: "sequence=id"})
	if err != nil {
		return 0, err
	}
	defer release()
	for range tries {
		seq, tag, err := db.sequence(ctx, resource, start)
		if err != nil {
			return 0, err
		}
		first := seq.Value
		seq.Value += n
		body, err := json.Marshal(seq)
		if err != nil {
			return 0, err
		}
		o := object{body: body, contentType: jsonContent}
		if err := db.backend.swap(ctx, sequenceKey(resource), &o, tag); !errors.Is(err, errChanged) {
			return first, err
		}
	}
	return 0, ErrConflict
}

func (db *DB) sequence(ctx context.Context, resource string, start int64) (sequence, string, error) {
	now := time.Now().UTC().Format(isoMillis)
	o, err := db.backend.get(ctx, sequenceKey(resource))
	if errors.Is(err, errAbsent) {
		return sequence{Value: start, Name: "id", CreatedAt: now}, noTag, nil
	}
	if err != nil {
		return sequence{}, noTag, err
	}
	var seq sequence
	if err := json.Unmarshal(o.body, &seq); err != nil {
		return sequence{}, noTag, fmt.Errorf("%s is damaged: %w", sequenceKey(resource), err)
	}
	seq.UpdatedAt = now
	return seq, o.tag, nil
}
