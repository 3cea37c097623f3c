package route

import "github.com/s3db-go/replicator/cdc"

// Rule is one resource's way to one target. The zero value of everything but From
// means: every operation, every record, unchanged, under the resource's own name.
type Rule struct {
	// From is the name of a resource, or "*" for all but those named plg_*, which
	// only a rule naming them wants.
	From string
	// To names the target. "" is the resource's own name.
	To string
	// Key holds the key columns at the target. Empty: the target's own key if the
	// record has its columns, else id.
	Key []string
	// Actions is the set of operations that are wanted. Zero is all.
	Actions cdc.Op
	// ShouldReplicate lets a change through or skips it. nil lets all through. It
	// sees secret fields.
	ShouldReplicate func(cdc.Change) bool
	// OnLeave says what becomes of the target's row when an update no longer passes
	// ShouldReplicate, the rule's or the destination's.
	OnLeave Leave
	// OrderBy names the lane of a change, "" if it needs no order. nil is the lane of
	// its key. It sees secret fields. For an update it is asked for the former state too,
	// as Data: where that gives another lane, the change stands in both.
	OrderBy func(cdc.Change) string
	// Transform gives the record the shape that it has at the target. A nil record
	// without an error skips the change. An error is the record's permanent failure;
	// its text is kept as it is. nil leaves the record unchanged.
	//
	// It is called on Data; for an update once more with the former state as Data
	// and no Before, to tell what the target had until now; for a delete on the last
	// state. What it returns is copied and normalized (see [cdc.Normalize]).
	Transform func(cdc.Change) (cdc.Record, error)
	// Secrets names the secret fields that this rule lets through, nested ones by
	// their dotted path. All others are removed, before Transform if there is one; a
	// target that encrypts them (see [cdc.Limits]) gets them if there is none.
	Secrets []string
	// Schema is the shape at the target that Transform makes. nil: unknown, see
	// [Router.Shape].
	Schema *cdc.Schema
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
