package ledger

import (
	"time"

	"github.com/s3db-go/replicator/cdc"
)

// Status is how a delivery stands.
type Status string

// The statuses of a row. The next ones (held, superseded, discarded) come with
// what makes them.
const (
	Failed     Status = "failed"
	Replicated Status = "replicated"
)

// Row is the outcome of one delivery. Destination, Target and Change.ChangeID are
// its identity: writing it again replaces it.
type Row struct {
	ID          string // made from the identity; stable
	Replicator  string
	Destination string
	Driver      string
	Target      string
	Status      Status
	Time        time.Time // when it got this status
	CreatedAt   time.Time // when the row was first written; kept when it is replaced
	Error       string
	Attempts    int // calls of the driver
	RetryCount  int // how often it was put back on the road
	Duration    time.Duration
	// Change is the raw change as it was journaled: with it a failed delivery can be
	// routed again.
	Change cdc.Change
}

// Query selects rows. Zero fields select everything.
type Query struct {
	Destination string
	Target      string
	Resource    string
	RecordID    string
	Status      Status
	Since       time.Time // rows at or after
	Until       time.Time // rows before
	Limit       int       // 0 is no limit
}
