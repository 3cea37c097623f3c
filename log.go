package replicator

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
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
	// StatusSuperseded: failed or held, and the target has a later state of the record.
	StatusSuperseded Status = string(ledger.Superseded)
	// StatusDiscarded: failed or held, and given up by Discard, or by a route that, when it
	// was asked again, did not want it any more; then Error says why.
	StatusDiscarded Status = string(ledger.Discarded)
)

// LogRow is the outcome of one delivery. It holds no secret: secret fields are
// missing from Data and Before.
type LogRow struct {
	ID          string // stable: made of destination, target and change
	Replicator  string // the destination's name, as the original has it
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
	RetryCount  int       // how often Retry put it back on the road
	WillRetry   bool      // it is on the road
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
		Replicator  string    `json:"replicator"`
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
		RetryCount  int       `json:"retryCount"`
		WillRetry   bool      `json:"willRetry"`
		Duration    float64   `json:"duration"`
		Data        Record    `json:"data"`
		Before      Record    `json:"before"`
		ChangeID    ID        `json:"changeId"`
		Version     uint64    `json:"version,string"` // above 2^53, where JavaScript loses digits
	}{
		l.ID, l.Replicator, l.Destination, l.Driver, l.Resource, l.Target, l.RecordID, l.Operation, l.Status, l.Timestamp.UnixMilli(), l.CreatedAt,
		l.Error, l.Attempts, l.RetryCount, l.WillRetry, float64(l.Duration) / float64(time.Millisecond), l.Data, l.Before, l.ChangeID, l.Version,
	})
}

// Query selects rows of the log: those that have the value of every field that is
// set.
type Query struct {
	// Destination, Target, Resource, RecordID and Status are as in LogRow.
	Destination string
	Target      string
	Resource    string
	RecordID    string
	Status      Status
	// Since and Until select by LogRow.Timestamp: rows at or after the one, before the
	// other.
	Since time.Time
	Until time.Time
	// GivenUp selects what was given up and stands so: rows with StatusFailed or StatusHeld
	// and without WillRetry. StatusFailed alone also selects what only waits out an outage.
	GivenUp bool
	// RetryCountBelow selects rows that were put back on the road less often, by Retry or
	// Options.RetryFailedEvery. 0 selects all.
	RetryCountBelow int
	// Limit selects the newest so many. 0 is no limit.
	Limit int
}

// Log gives the rows that the query selects, newest first. Among them are those of
// deliveries that failed and will be tried again: held in memory, with StatusFailed and
// WillRetry, and a Timestamp that each attempt renews; what settles meanwhile is given as
// it was or as it is. The log is read in pieces, so a slow consumer holds up nobody; an
// error comes once, as the last. The replicator must be started.
func (r *Replicator) Log(ctx context.Context, q Query) iter.Seq2[LogRow, error] {
	return func(yield func(LogRow, error) bool) {
		run, err := r.current()
		if err != nil {
			yield(LogRow{}, err)
			return
		}
		left := q.Limit
		for row, err := range run.log(q.rows()) {
			if err == nil {
				err = context.Cause(ctx)
			}
			if err != nil {
				yield(LogRow{}, fmt.Errorf("replicator: read the log: %w", err))
				return
			}
			if !yield(run.logRow(row), nil) {
				return
			}
			if left--; left == 0 {
				return
			}
		}
	}
}

// LogCount counts the rows that [Replicator.Log] would give, without reading them: the
// index alone tells. The replicator must be started.
func (r *Replicator) LogCount(ctx context.Context, q Query) (int, error) {
	run, err := r.current()
	if err != nil {
		return 0, err
	}
	n := 0
	if err = context.Cause(ctx); err == nil {
		n, err = run.count(q.rows())
	}
	if err != nil {
		return 0, fmt.Errorf("replicator: count the log: %w", err)
	}
	return n, nil
}

// count tells how many rows log would give.
func (run *running) count(q ledger.Query) (int, error) {
	road := slices.Collect(run.retrying(q))
	kept, err := run.ledger.Count(q)
	if err != nil {
		return 0, err
	}
	both, err := run.ledger.Among(q, road) // see log
	n := kept + len(road) - both
	if q.Limit > 0 {
		n = min(n, q.Limit)
	}
	return n, err
}

// log gives the rows of the ledger and those on the road, each once, newest first.
func (run *running) log(q ledger.Query) iter.Seq2[ledger.Row, error] {
	return func(yield func(ledger.Row, error) bool) {
		begun := time.Now()
		next, stop := iter.Pull(run.retrying(q))
		defer stop()
		road, more := next()
		given := map[string]bool{}   // by their ids, of what is on the road
		settled := map[string]bool{} // of what has got a row since
		advance := func() {
			for road, more = next(); more && settled[road.ID]; road, more = next() {
			}
		}
		for row, err := range run.ledger.Rows(q) {
			for err == nil && more && !road.Time.Before(row.Time) {
				if !yield(road, nil) {
					return
				}
				given[road.ID] = true
				advance()
			}
			if err == nil && given[row.ID] {
				continue // from before a crash, after which it is on the road again
			}
			if err == nil && !row.Time.Before(begun) {
				if settled[row.ID] = true; more && road.ID == row.ID {
					advance()
				}
			}
			if !yield(row, err) {
				return
			}
		}
		for ; more; advance() {
			if !yield(road, nil) {
				return
			}
		}
	}
}

// retrying gives the rows that the query selects of what is on the road, newest first.
func (run *running) retrying(q ledger.Query) iter.Seq[ledger.Row] {
	return func(yield func(ledger.Row) bool) {
		type head struct {
			row  ledger.Row
			next func() (ledger.Row, bool)
		}
		var heads []head
		for _, d := range run.all() {
			e := d.present()
			if e == nil || q.Destination != "" && q.Destination != d.Name {
				continue
			}
			next, stop := iter.Pull(e.Retrying())
			defer stop()
			if row, more := next(); more {
				heads = append(heads, head{row, next})
			}
		}
		for len(heads) > 0 {
			newest := 0
			for i := range heads {
				if heads[i].row.Time.After(heads[newest].row.Time) {
					newest = i
				}
			}
			h := &heads[newest]
			if q.Selects(&h.row) && !yield(h.row) {
				return
			}
			var more bool
			if h.row, more = h.next(); !more {
				heads = slices.Delete(heads, newest, newest+1)
			}
		}
	}
}

func (q Query) rows() ledger.Query {
	return ledger.Query{
		Destination: q.Destination, Target: q.Target, Resource: q.Resource, RecordID: q.RecordID,
		Status: ledger.Status(q.Status), Since: q.Since, Until: q.Until, GivenUp: q.GivenUp, RetryCountBelow: q.RetryCountBelow, Limit: q.Limit,
	}
}

// logRow gives a row as it is shown: without secrets.
func (run *running) logRow(row ledger.Row) LogRow {
	c := row.Change
	return LogRow{
		ID: row.ID, Replicator: row.Replicator, Destination: row.Destination, Driver: row.Driver, Resource: c.Resource, Target: row.Target,
		RecordID: c.RecordID, Operation: c.Op, Status: Status(row.Status), Timestamp: row.Time, CreatedAt: row.CreatedAt,
		Error: row.Error, Attempts: row.Attempts, RetryCount: row.RetryCount, WillRetry: row.WillRetry, Duration: row.Duration,
		Data: run.schemas.shown(c.Data, c), Before: run.schemas.shown(c.Before, c), ChangeID: c.ChangeID, Version: c.Version,
	}
}
