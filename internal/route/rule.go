package route

import "github.com/s3db-go/replicator/cdc"

// Rule is one resource's way to one target. It is the root's Route, whose documentation
// says what its fields mean; here stands what only the router knows of them.
type Rule struct {
	From string // "*" for all but those named plg_*
	To   string // "" is the resource's own name
	// Key is empty for the target's own key if the record has its columns, else id.
	Key     []string
	Actions cdc.Op // zero is all
	// ShouldReplicate sees secret fields, and so does OrderBy.
	ShouldReplicate func(cdc.Change) bool
	OnLeave         Leave
	// OrderBy is asked for the former state of an update too, as Data: where that gives
	// another lane, the change stands in both.
	OrderBy func(cdc.Change) string
	// Transform is called on Data; for an update once more with the former state as Data
	// and no Before, to tell what the target had until now; for a delete on the last
	// state. What it returns is copied and normalized (see [cdc.Normalize]).
	Transform func(cdc.Change) (cdc.Record, error)
	Secrets   []string
	Schema    *cdc.Schema // nil: see [Router.Shape]
}

// Leave says what becomes of a row that a filter lets through no more.
type Leave uint8

// The ways to leave a filter.
const (
	// LeaveKeep: the row stays as it was.
	LeaveKeep Leave = iota
	// LeaveRemove: it is deleted, if the filters had let the former state through, and
	// let through the delete too, which has that state as Data.
	LeaveRemove
)

// Verdict is what a router decided for one change and one rule that wants it.
type Verdict struct {
	// Rule is the index of the rule.
	Rule int
	// Target is where the delivery would go.
	Target string
	// Skip says why the change is not delivered, "" if it is. Err is set if user
	// code failed or the key can't be built: a [*cdc.DeliveryError], marked as the
	// record's permanent failure. With neither, Delivery holds what to send.
	Skip     string
	Err      error
	Delivery cdc.Delivery
	// Lane is the ordering key at the target: the id, or a text of the key's columns
	// where the key is another. Equal keys have equal lanes, different keys different
	// ones; two targets may share a lane's name. OldLane is set, and differs, only if
	// the key changed. Lanes may hold values of the record, so they don't belong into
	// errors and logs.
	Lane, OldLane string
	// Grouped: the lane is what OrderBy gave, so that it may hold several keys.
	Grouped bool
}

// The reasons to skip a change, as they stand in [Verdict.Skip].
const (
	SkipDestination = "the destination's ShouldReplicate refused it"
	SkipRule        = "the route's ShouldReplicate refused it"
	SkipTransform   = "the route's Transform returned no record"
)

func (r *Rule) target(resource string) string {
	if r.To == "" {
		return resource
	}
	return r.To
}

// shaped reports whether the rule itself says what shape its records have.
func (r *Rule) shaped() bool { return r.Transform != nil && r.Schema != nil }
