package replicator

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/s3db-go/replicator/internal/engine"
)

// Kind is what an Event tells. It is a set of bits, so that several can be
// subscribed to at once.
type Kind uint32

// The kinds of events.
const (
	// Replicated: a delivery is durable at its destination.
	Replicated Kind = 1 << iota
	// Coalesced: a delivery was covered by a newer one of the same record, which is
	// durable at its destination, or in the log as failed with all that both would have
	// written.
	Coalesced
	// Skipped: a filter or a transform let a change not pass.
	Skipped
	// Retrying: an attempt failed and another follows.
	Retrying
	// Failed: a delivery was given up. Its row in the log is durable already.
	Failed
	// BreakerOpened: a destination stopped answering; deliveries wait.
	BreakerOpened
	// BreakerClosed: it answers again.
	BreakerClosed
	// JournalPressure: Reason says how much of the journal's disk budget is spent, as
	// JournalStats.Pressure does. With a Destination, that one was detached, and Err
	// says from where to where.
	JournalPressure
	// BackfillProgress: a chunk of a backfill is in the journal, or it is Done, or fails
	// with Err and will be tried again. Read and Sent count from its begin.
	BackfillProgress
	// Paused: a destination is paused. If it asked for that itself, Err and Reason say
	// with what.
	Paused
	// Resumed: it goes on.
	Resumed
	// RetryProgress: a Retry or Discard that has taken more than two seconds has put so
	// many rows back as Sent says; it is Done, or has ended with Err.
	RetryProgress
	// DrainProgress: a Stop or Flush has taken more than two seconds, and so many changes
	// as Waiting says are still to be settled at Destination; none if it is Done.
	DrainProgress
	// RecoveryProgress: a Start has taken more than two seconds, and is about what Reason
	// says, or is Done.
	RecoveryProgress
	// Missed: this listener was too slow for the number of events in Event.Missed,
	// which stood at this place. It comes with every subscription.
	Missed

	// Errors are the kinds that tell of a failed attempt.
	Errors = Retrying | Failed
	// AllKinds are all of them.
	AllKinds = Missed<<1 - 1
)

var kindNames = [...]string{
	"replicated", "coalesced", "skipped", "retrying", "failed", "breaker-opened", "breaker-closed", "journal-pressure",
	"backfill-progress", "paused", "resumed", "retry-progress", "drain-progress", "recovery-progress", "missed",
}

// String gives the kind's name, several joined by "|".
func (k Kind) String() string {
	var names []string
	for i, name := range kindNames {
		if k&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	if rest := k &^ AllKinds; rest != 0 {
		names = append(names, fmt.Sprintf("Kind(%d)", uint32(rest)))
	}
	return strings.Join(names, "|")
}

// MarshalText writes what String gives.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Event is a live notice. Which fields are set depends on its Kind.
type Event struct {
	Kind Kind
	// Time is when it happened, by this machine's clock.
	Time time.Time
	// Destination is its name, "" if the event is about none.
	Destination string

	// Of a delivery:
	Operation Op
	Resource  string
	RecordID  string
	ChangeID  ID
	Target    string
	// Duration is the driver's call, shared by all deliveries of its batch.
	Duration time.Duration
	// RetryCount is the number of attempts charged before this one: 3 with
	// MaxRetries 3 means that it was the last, unless the destination was unavailable at some
	// of them. Attempts that an outage cost are not charged.
	RetryCount int
	// WillRetry says whether another attempt follows.
	WillRetry bool
	// Err is why the attempt failed or the breaker opened. It holds no credential
	// and no content of a record.
	Err error
	// Reason says which rule skipped the change, why a destination was paused, or what a
	// Start is about.
	Reason string

	// Of a backfill: how many present records of Resource were read and sent, and whether
	// all of them are settled. See RetryProgress for what they mean there.
	Read, Sent uint64
	Done       bool
	// Waiting is, of a drain, how many changes are still to be settled.
	Waiting uint64

	// Missed is the number of events that this listener was too slow for.
	Missed int
}

// MarshalJSON writes the event with the field names of the log; durations are
// milliseconds.
func (e Event) MarshalJSON() ([]byte, error) {
	out := struct {
		Kind        Kind      `json:"kind"`
		Time        time.Time `json:"time,omitzero"`
		Destination string    `json:"destination,omitzero"`
		Operation   string    `json:"operation,omitzero"`
		Resource    string    `json:"resource,omitzero"`
		RecordID    string    `json:"recordId,omitzero"`
		ChangeID    ID        `json:"changeId,omitzero"`
		Target      string    `json:"target,omitzero"`
		Duration    float64   `json:"duration"`
		RetryCount  int       `json:"retryCount"`
		WillRetry   bool      `json:"willRetry"`
		Error       string    `json:"error,omitzero"`
		Reason      string    `json:"reason,omitzero"`
		Read        uint64    `json:"read,omitzero"`
		Sent        uint64    `json:"sent,omitzero"`
		Done        bool      `json:"done,omitzero"`
		Waiting     uint64    `json:"waiting,omitzero"`
		Missed      int       `json:"missed,omitzero"`
	}{
		Kind: e.Kind, Time: e.Time, Destination: e.Destination, Resource: e.Resource, RecordID: e.RecordID, ChangeID: e.ChangeID, Target: e.Target,
		Duration: float64(e.Duration) / float64(time.Millisecond), RetryCount: e.RetryCount, WillRetry: e.WillRetry, Reason: e.Reason,
		Read: e.Read, Sent: e.Sent, Done: e.Done, Waiting: e.Waiting, Missed: e.Missed,
	}
	if e.Operation != 0 {
		out.Operation = e.Operation.String()
	}
	if e.Err != nil {
		out.Error = e.Err.Error()
	}
	return json.Marshal(out)
}

// eventBuffer is how many events a listener may fall behind before it misses some:
// a few tens of milliseconds of a busy replicator, at about 200 bytes each.
const eventBuffer = 1024

// Subscribe gives a channel of the events of the named kinds, and a function that
// ends the subscription and closes the channel; a subscription that is not ended keeps
// its buffer and a goroutine. It may be called before Start, and
// goes on over Stop and Start. Sending never waits for a listener: one that falls
// more than a thousand events behind gets an event of kind Missed in their place.
func (r *Replicator) Subscribe(kinds Kind) (events <-chan Event, cancel func()) {
	return r.hub.Subscribe(func(e Event) bool { return e.Kind&kinds != 0 })
}

// notify gives the function that turns an engine's notices into events and log
// lines.
func (r *Replicator) notify(run *running, d Destination) func(engine.Notice) {
	logger := r.opts.Logger.With("destination", d.Name)
	return func(n engine.Notice) {
		if n.Kind == engine.NoteGone {
			r.leave(run, d.Name, n.Err)
			return
		}
		// Asked each time: the level of a logger may be changed while it runs.
		debug := logger.Enabled(context.Background(), slog.LevelDebug)
		if n.Kind == engine.NoteSettled && n.Err == nil && !debug && !r.hub.Heard() {
			return // nobody hears of what went well
		}
		e := event(d.Name, n)
		r.hub.Publish(e)
		switch e.Kind {
		case Failed:
			logger.Warn("delivery given up", "resource", e.Resource, "record", e.RecordID, "operation", e.Operation, "error", e.Err)
		case BreakerOpened:
			logger.Warn("destination unavailable, deliveries wait", "error", e.Err)
		case BreakerClosed:
			logger.Info("destination available again")
		default:
			if debug {
				told := []any{"resource", e.Resource, "record", e.RecordID, "operation", e.Operation, "duration", e.Duration}
				if e.Err != nil {
					told = append(told, "error", e.Err)
				}
				logger.Debug(e.Kind.String(), told...)
			}
		}
	}
}

func event(destination string, n engine.Notice) Event {
	e := Event{
		Time: n.Time, Destination: destination, Target: n.Target, Duration: n.Took, RetryCount: n.RetryCount, Reason: n.Reason, Err: n.Err,
	}
	if c := n.Change; c != nil {
		e.Operation, e.Resource, e.RecordID, e.ChangeID = c.Op, c.Resource, c.RecordID, c.ChangeID
	}
	switch n.Kind {
	case engine.NoteRetrying:
		e.Kind, e.WillRetry = Retrying, true
	case engine.NoteBreakerOpened:
		e.Kind = BreakerOpened
	case engine.NoteBreakerClosed:
		e.Kind = BreakerClosed
	case engine.NoteSettled:
		switch n.Status {
		case engine.Replicated:
			e.Kind = Replicated
		case engine.Coalesced:
			e.Kind = Coalesced
		case engine.Skipped:
			e.Kind = Skipped
		case engine.Failed, engine.Held:
			e.Kind = Failed
		}
	}
	return e
}
