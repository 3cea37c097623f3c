package capture

import "github.com/s3db-go/replicator/cdc"

// End is what became of an announced write.
type End uint8

// The ends.
const (
	Applied End = iota
	NotApplied
)

// Judge decides from the record's present state, nil if there is none, what became
// of an announced change:
//
//   - it equals the state after: applied. Also when before and after are equal:
//     nobody can tell then, and sending it again is harmless;
//   - it equals the state before: not applied;
//   - anything else: a foreign writer came in between. The change is committed with
//     the present state, which Judge gives as the second result, so that the
//     destinations end where the store is.
func Judge(c cdc.Change, present cdc.Record) (End, *cdc.Change) {
	before, known := stateBefore(&c)
	after := c.Data
	if c.Op == cdc.Deleted {
		after = nil
	}
	if present.Equal(after) {
		return Applied, nil
	}
	// A write whose before image the source did not give can't be proven absent.
	if known && present.Equal(before) {
		return NotApplied, nil
	}
	as := c
	as.Origin, as.Before = cdc.Resolved, before
	switch {
	case present == nil:
		as.Op = cdc.Deleted
		if as.Data = before; before == nil {
			as.Data = after
		}
	case c.Op == cdc.Deleted:
		as.Op, as.Data = cdc.Updated, present
	default:
		as.Data = present
	}
	return Applied, &as
}

// stateBefore gives the record as it was before the change, nil if it was absent, and
// whether the source told.
func stateBefore(c *cdc.Change) (state cdc.Record, known bool) {
	switch {
	case c.Op == cdc.Inserted:
		return nil, true
	case c.Op == cdc.Deleted && c.Data != nil:
		return c.Data, true
	}
	return c.Before, c.Before != nil
}
