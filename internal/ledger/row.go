package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/s3db-go/replicator/cdc"
)

// Status is how a delivery stands.
type Status string

// The statuses of a row. Failed and Held are its failures: what the destination lacks.
const (
	Failed     Status = "failed"
	Replicated Status = "replicated"
	// Held: not tried, since an earlier change of the record stands here as failed.
	Held Status = "held"
	// Superseded: failed or held, and the target has a later state of the record.
	Superseded Status = "superseded"
	// Discarded: failed or held, and not wanted any more, by whoever runs the whole or by
	// the route.
	Discarded Status = "discarded"
)

// failure reports whether the destination lacks what the row is about.
func (s Status) failure() bool { return s == Failed || s == Held }

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
	// WillRetry: it is on the road again.
	WillRetry bool
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
	// RetryCountBelow selects rows with a RetryCount below it, 0 all.
	RetryCountBelow int
	// GivenUp selects failures that are not on the road.
	GivenUp bool
	Limit   int // the newest so many; 0 is no limit
}

// takes reports whether the query wants rows that were put on the road so often, and are
// there.
func (q *Query) takes(retryCount int, onRoad bool) bool {
	return (q.RetryCountBelow == 0 || retryCount < q.RetryCountBelow) && !(q.GivenUp && onRoad)
}

// RowID gives the ID of a row.
func RowID(destination, target string, change cdc.ID) string {
	return rowID(rowKey(destination, target, change))
}

// rowID gives a row's ID for its key in the bucket of rows.
func rowID(key []byte) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:16])
}

// Selects reports whether the query wants the row, but for its Limit.
func (q *Query) Selects(r *Row) bool {
	g := groupOf(r)
	return g.selected(q) && (q.RecordID == "" || q.RecordID == r.Change.RecordID) && q.admits(r)
}
