package capture

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/s3db-go/replicator/cdc"
)

// What is given is a UUIDv7 to others, tells its time, and sorts by it where two differ
// by more than a quarter of a microsecond; no two are the same.
func TestNewID(t *testing.T) {
	now := time.Unix(1_700_000_000, 123_000_000)
	seen := map[cdc.ID]bool{}
	var last cdc.ID
	for i := range 4000 {
		at := now.Add(time.Duration(i) * 250 * time.Nanosecond)
		id := newID(at)
		parsed, err := uuid.FromBytes(id[:])
		if err != nil || parsed.Version() != 7 || parsed.Variant() != uuid.RFC4122 {
			t.Fatal(parsed, err)
		}
		if sec, nsec := parsed.Time().UnixTime(); time.Unix(sec, nsec).UnixMilli() != at.UnixMilli() {
			t.Fatal(parsed, time.Unix(sec, nsec))
		}
		if bytes.Compare(id[:8], last[:8]) <= 0 || seen[id] {
			t.Fatalf("%s after %s", id, last)
		}
		last, seen[id] = id, true
	}
	same := newID(now)
	if other := newID(now); other == same {
		t.Fatal(other, "twice at one time")
	}
	if id := newID(time.Unix(-5, 0)); id[6]>>4 != 7 {
		t.Fatal(id)
	}
}

func BenchmarkNewID(b *testing.B) {
	b.ReportAllocs()
	now := time.Now()
	for b.Loop() {
		newID(now)
	}
}
