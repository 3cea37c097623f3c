package replicator

import (
	"context"
	"encoding/json"
	"iter"
	"time"

	"github.com/s3db-go/replicator/internal/ledger"
)

// Status is how a delivery in the log stands.
type Status = string

// The statuses of a LogRow.
const (
	StatusFailed     Status = string(ledger.Failed)
	StatusReplicated Status = string(ledger.Replicated)
	// StatusHeld: not tried, since an earlier change of the record failed; see Hold.
	StatusHeld Status = string(ledger.Held)
)

// LogRow is the outcome of one delivery. It holds no secret: secret fields are
// missing from Data and Before.
type LogRow struct {
	ID          string // stable: made of destination, target and change
	Destination string
	Driver      string
	Resource    string
	Target      string
	RecordID    string
	Operation   Op
	Status      Status
	Timestamp   time.Time // when it got this status
	CreatedAt   time.Time // when it was first written
	Error       string    // "" if it did not fail
	Attempts    int       // calls of the driver
	Duration    time.Duration
	Data        Record // as the source had it, before the route
	Before      Record
	ChangeID    ID
	Version     uint64
}

// MarshalJSON writes the row with the names that a query uses: timestamps as
// milliseconds since 1970, durations as milliseconds.
func (l LogRow) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		ID          string    `json:"id"`
		Destination string    `json:"destination"`
		Driver      string    `json:"driver"`
		Resource    string    `json:"resource"`
		Target      string    `json:"target"`
		RecordID    string    `json:"recordId"`
		Operation   Op        `json:"operation"`
		Status      Status    `json:"status"`
		Timestamp   int64     `json:"timestamp"`
		CreatedAt   time.Time `json:"createdAt"`
		Error       string    `json:"error,omitempty"`
		Attempts    int       `json:"attempts"`
		Duration    float64   `json:"duration"`
		Data        Record    `json:"data"`
		Before      Record    `json:"before"`
		ChangeID    ID        `json:"changeId"`
		Version     uint64    `json:"version,string"` // above 2^53, where JavaScript loses digits
	}{
		l.ID, l.Destination, l.Driver, l.Resource, l.Target, l.RecordID, l.Operation, l.Status, l.Timestamp.UnixMilli(), l.CreatedAt,
		l.Error, l.Attempts, float64(l.Duration) / float64(time.Millisecond), l.Data, l.Before, l.ChangeID, l.Version,
	})
}

// Query selects rows of the log: those that have the value of every field that is
// set.
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

// Log gives the rows that the query selects, newest first. It reads in pieces, so a
// slow consumer holds up nobody; an error comes once, as the last. The replicator
// must be started.
func (r *Replicator) Log(ctx context.Context, q Query) iter.Seq2[LogRow, error] {
	return func(yield func(LogRow, error) bool) {
		run, err := r.current()
		if err != nil {
			yield(LogRow{}, err)
			return
		}
		for row, err := range run.ledger.Rows(q.rows()) {
			if err == nil {
				err = context.Cause(ctx)
			}
			if err != nil {
				yield(LogRow{}, err)
				return
			}
			if !yield(run.logRow(row), nil) {
				return
			}
		}
	}
}

func (q Query) rows() ledger.Query {
	return ledger.Query{
		Destination: q.Destination, Target: q.Target, Resource: q.Resource, RecordID: q.RecordID,
		Status: ledger.Status(q.Status), Since: q.Since, Until: q.Until, Limit: q.Limit,
	}
}

// logRow gives a row as it is shown: without secrets.
func (run *running) logRow(row ledger.Row) LogRow {
	c := row.Change
	return LogRow{
		ID: row.ID, Destination: row.Destination, Driver: row.Driver, Resource: c.Resource, Target: row.Target,
		RecordID: c.RecordID, Operation: c.Op, Status: Status(row.Status), Timestamp: row.Time, CreatedAt: row.CreatedAt,
		Error: row.Error, Attempts: row.Attempts, Duration: row.Duration, Data: run.schemas.shown(c.Data, c), Before: run.schemas.shown(c.Before, c), ChangeID: c.ChangeID, Version: c.Version,
	}
}
