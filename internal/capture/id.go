package capture

import (
	"crypto/rand"
	"encoding/binary"
	"time"

	"github.com/s3db-go/replicator/cdc"
)

// newID gives a UUIDv7 (RFC 9562): the milliseconds since 1970 in 48 bits, the fraction
// of the millisecond in 12, and 62 that are random. It is written here because it is
// needed for every write: unlike google/uuid's it takes no lock and no memory.
func newID(now time.Time) cdc.ID {
	const perMilli = uint64(time.Millisecond)
	nanos := uint64(max(now.UnixNano(), 0))
	var id cdc.ID
	rand.Read(id[8:]) // never fails
	binary.BigEndian.PutUint64(id[:8], nanos/perMilli<<16|7<<12|nanos%perMilli<<12/perMilli)
	id[8] = id[8]&0x3f | 0x80
	return id
}
