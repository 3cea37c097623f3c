package engine

import (
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/journal"
	"github.com/s3db-go/replicator/internal/route"
)

// Event is something that the core is told.
type Event interface{ event() }

// The events.
type (
	// More: the journal has changes beyond the last that was loaded.
	More struct{}
	// Loaded answers a Load. The core keeps neither the slice nor the verdicts, only
	// the changes.
	Loaded struct {
		Changes []Routed
		// CaughtUp: there is nothing more to read until More.
		CaughtUp bool
	}
	// LoadFailed answers a Load: the journal could not be read.
	LoadFailed struct{ Err error }
	// Fetched answers a Fetch, with each of the changes, in their order.
	Fetched struct{ Changes []Routed }
	// FetchFailed answers a Fetch: the journal could not be read.
	FetchFailed struct{ Err error }
	// Finished answers an Apply.
	Finished struct {
		Attempt *Attempt
		Err     error // what the driver said
		Took    time.Duration
	}
	// Recorded answers a Record. For each of its outcomes Failures says by how many the
	// ledger's failures of that record at that target have become more, or fewer, and
	// Open which of its closed lanes have none left.
	Recorded struct {
		Failures []int
		Open     [][]string // nil: none of any
		Err      error
	}
	// Saved answers a Save.
	Saved struct{ Err error }
	// Synced answers a Sync.
	Synced struct {
		Sync Sync
		// Version of the schema that the target has now, if Err is nil.
		Version int
		Err     error
	}
	// Opened answers an Open. The first one is told without being asked for.
	Opened struct{ Err error }
	// Checked answers a Check.
	Checked struct{ Err error }
	// Tick: the time of the last Wake has come.
	Tick struct{}
	// Halt: start nothing more. What runs is finished and recorded.
	Halt struct{}
)

// Routed is an entry of the journal with what the router made of it.
type Routed struct {
	Kind     Errand
	Change   *cdc.Change
	Bytes    int // encoded
	Verdicts []route.Verdict
	// Lanes in which a Restate or a Recall stands; of a Recall that has nothing more to
	// carry, those that stay closed.
	Lanes  []string
	Schema *cdc.Schema // of a Reshape, nil if the journal has only its version
}

// Errand says what a Routed asks for.
type Errand uint8

// The errands.
const (
	// Deliver: the change goes where the verdicts say.
	Deliver Errand = iota
	// Restate: it speaks for the failures of its record at one target, of which it is the
	// present state. The verdicts are the steps by which it gets there, all at that target
	// and one after the other: what fails ends it.
	Restate
	// Recall: the failures of some lanes go once more, one after the other. When it is
	// loaded its verdict has only a target; each Fetch of its Seq gives the next failure,
	// with what the router makes of that, and no verdict when there is none.
	Recall
	// Reshape: changes that come later may follow a newer version of the schema. The
	// verdicts have only target and rule.
	Reshape
)

// Action is something that the core asks for.
type Action interface{ action() }

// The actions.
type (
	// Load: read and route the next changes of the journal, up to so many bytes, at
	// least one.
	Load struct{ Bytes int }
	// Fetch: read and route these changes once more. They were loaded, and their
	// payload was given back.
	// Of a Recall among them Tried has the version of the last failure that it carried: the
	// next is a later one.
	Fetch struct {
		Seqs  []uint64
		Tried map[uint64]uint64 // by Seq
	}
	// Apply: call the driver.
	Apply struct{ Attempt *Attempt }
	// Record: make the outcomes durable. The slice is valid until Recorded.
	Record struct{ Outcomes []Outcome }
	// Save: make the cursor durable.
	Save struct{ Cursor journal.Cursor }
	// Sync: bring the target into the shape that a rule makes of a resource.
	Sync struct {
		Target   string
		Resource string
		Rule     int
		shape    *shape
		wanted   int     // the shape's, when this was asked for
		news     *reform // that this brings, nil if it is for deliveries alone
		probe    bool
	}
	// Open: open the driver.
	Open struct{}
	// Check: ask the driver whether the destination lives.
	Check struct{}
	// Wake: tell a Tick at that time. It replaces the former Wake.
	Wake struct{ At time.Time }
	// Notify: tell the listeners. The slice is valid until the next Step.
	Notify struct{ Notices []Notice }
)

func (More) event()        {}
func (Loaded) event()      {}
func (LoadFailed) event()  {}
func (Fetched) event()     {}
func (FetchFailed) event() {}
func (Finished) event()    {}
func (Recorded) event()    {}
func (Saved) event()       {}
func (Synced) event()      {}
func (Opened) event()      {}
func (Checked) event()     {}
func (Tick) event()        {}
func (Halt) event()        {}

func (Load) action()   {}
func (Fetch) action()  {}
func (Apply) action()  {}
func (Record) action() {}
func (Save) action()   {}
func (Sync) action()   {}
func (Open) action()   {}
func (Check) action()  {}
func (Wake) action()   {}
func (Notify) action() {}

// Status is how a delivery ended.
type Status uint8

// The ends of a delivery.
const (
	Replicated Status = iota + 1 // the destination accepted it
	Coalesced                    // the destination accepted a later one that contains it
	Skipped                      // the user's filter or transform did not want it
	Failed                       // given up
	Held                         // not tried, since an earlier one of its lane failed
)

// Outcome is the end of a delivery that is to be recorded.
type Outcome struct {
	Status Status // Skipped only of a Restate or a Recall
	Change *cdc.Change
	Target string
	Calls  int           // of the driver
	Took   time.Duration // the last call
	Err    error         // why it was not delivered, nil if it was
	// Covers: the target wants state, so that what failed of the record before has no
	// meaning any more. Restated: it speaks for that.
	Covers, Restated bool
	// Rows are the keys of those that were written or removed, where the record may have
	// several at the target: what would have changed another is not covered. nil: it has
	// one.
	Rows []cdc.Record
	// Closed holds the lanes that were closed behind it when it had failed before.
	Closed []string
}

// Kind is what a notice tells.
type Kind uint8

// The kinds of notices.
const (
	// NoteSettled: a delivery ended; Status says how.
	NoteSettled Kind = iota + 1
	// NoteRetrying: an attempt failed, another will follow.
	NoteRetrying
	// NoteBreakerOpened and NoteBreakerClosed: the destination is taken for
	// unavailable, and for available again.
	NoteBreakerOpened
	NoteBreakerClosed
	// NoteGone: the destination asks to be left alone for good, see cdc.Gone. It is told
	// once, and behind the breaker the destination is asked again until someone stops
	// the engine.
	NoteGone
)

// Notice is what listeners are told. A notice of a failure follows its record.
type Notice struct {
	Kind   Kind
	Time   time.Time
	Status Status
	// Change and Target are unset in a notice of the breaker. The change is raw: it
	// may hold what no route let through.
	Change *cdc.Change
	Target string
	// Took is how long the last call of the driver ran.
	Took time.Duration
	// RetryCount is how many attempts the delivery was charged before this one.
	RetryCount int
	// Reason says why a delivery was skipped.
	Reason string
	// Err is a *cdc.DeliveryError, or why the breaker opened.
	Err error
}
