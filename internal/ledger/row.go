package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/s3db-go/replicator/cdc"
)

// Status is how a delivery stands.
type Status string

// The statuses of a row. The next ones (superseded, discarded) come with what makes
// them.
const (
	Failed     Status = "failed"
	Replicated Status = "replicated"
	// Held: not tried, since an earlier change of the record stands here as failed.
	Held Status = "held"
)

// Row is the outcome of one delivery. Destination, Target and Change.ChangeID are
// its identity: putting it again replaces it. Times are kept in microseconds, UTC.
type Row struct {
	// ID is made from the identity, 32 hexadecimal digits; stable. Put ignores it.
	ID          string
	Replicator  string
	Destination string
	Driver      string
	Target      string
	Status      Status
	// Time is when the row got this status.
	Time time.Time
	// CreatedAt is when the row was first put. Put takes it from a row that it
	// replaces, else from Time if it is zero.
	CreatedAt time.Time
	// Error is why the delivery failed, "" if it did not.
	Error string
	// Attempts counts the calls of the driver, RetryCount how often the delivery was
	// put back on the road.
	Attempts   int
	RetryCount int
	// Duration is the last call of the driver.
	Duration time.Duration
	// Change is the raw change as it was journaled: with it a failed delivery can be
	// routed again.
	Change cdc.Change
}

// Query selects rows: those that have the value of every field that is not zero.
type Query struct {
	Destination string
	Target      string
	Resource    string
	RecordID    string
	Status      Status
	Since       time.Time // rows at or after
	Until       time.Time // rows before
	Limit       int       // the newest so many; 0 is no limit
}

// rowID gives a row's ID for its key in the bucket of rows.
func rowID(key []byte) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:16])
}
