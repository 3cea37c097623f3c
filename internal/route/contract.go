package route

import "github.com/s3db-go/replicator/cdc"

// Rule is one resource's way to one target.
type Rule struct {
	From            string // resource name, or "*" for all but plg_*
	To              string // target name; "" is the resource's own
	Key             []string
	Actions         cdc.Op // zero is all
	ShouldReplicate func(cdc.Change) bool
	Transform       func(cdc.Change) (cdc.Record, error)
	Secrets         []string // secret fields that this rule lets through
	Schema          *cdc.Schema
}

// Verdict is what a router decided for one change and one rule.
type Verdict struct {
	Rule int
	// Target is where the delivery would go.
	Target string
	// Skip says why the change is not delivered, "" if it is. Err is set if user
	// code failed or the key can't be built: the record's permanent failure. With
	// neither, Delivery holds what to send.
	Skip     string
	Err      error
	Delivery cdc.Delivery
	// Lane is the ordering key at the target. OldLane is set, and differs, only if
	// the key changed.
	Lane, OldLane string
}
