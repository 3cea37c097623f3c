package replicator

// Route is one resource's way to one target. Its zero value, but for From, carries
// every operation of every record, unchanged, under the same name. A resource may
// have several routes at one destination if their targets differ.
//
// The functions of a route run in the destination's goroutine, never in the path of
// a write. They get a copy of the change whose top level they may alter; nested
// values are read-only. They must be quick and depend on nothing but the change:
// they run again after a restart. A panic is the record's failure.
type Route struct {
	// From is the name of a resource, or "*" for all whose names don't begin with
	// "plg_"; a route that names a resource takes the place of "*" for the same
	// target. The resource may come into being later. Required.
	From string
	// To is the name of the target: a table, a resource, a queue. Defaults to the
	// resource's name.
	To string
	// Key names the fields, after Transform, that identify a row at the target.
	// Defaults to the target's own key columns if the record has them, else to id.
	Key []string
	// Actions are the operations that are carried. Zero is all.
	Actions Op
	// ShouldReplicate filters; false skips the change. nil lets everything pass.
	ShouldReplicate func(Change) bool
	// OnLeave says what becomes of the target's row when an update no longer passes
	// ShouldReplicate. Defaults to Keep.
	OnLeave OnLeave
	// OrderBy names what a change is ordered with: changes of one name are carried in
	// their order, one at a time or in an ordered batch (a FIFO group); "" is no order at
	// all, not even among the changes of one record. It may be called with the state
	// before as Data: a change that goes from one name to another keeps its place in
	// both. Of changes of one record under names that have nothing to do with each other
	// there is no order, so that it is for events: where a row is the record as it is now,
	// an older one may come last. nil orders the changes of each record.
	OrderBy func(Change) string
	// Transform gives the record as it is to be written. A nil record without an
	// error skips the change; an error is that record's failure. For a delete it
	// gets the last known state in Data. It may be called with the state before, to
	// shape Delivery.Before. nil passes records unchanged.
	Transform func(Change) (Record, error)
	// Secrets names the secret fields that this route lets through, nested ones by their
	// dotted path. All others are removed, before Transform if there is one. Without a
	// Transform, a destination that encrypts secrets gets them all.
	Secrets []string
	// Schema is the shape that Transform gives. Without it the target's shape grows
	// from the records.
	Schema *Schema
}

// OnLeave says what becomes of a row at the target when its record no longer passes a
// filter.
type OnLeave uint8

// The ways to leave a filter.
const (
	// Keep: the row stays as it was.
	Keep OnLeave = iota
	// Remove: it is deleted, if the state before had passed. The filter is asked about
	// that delete too, with the state before in Data; where it refuses deletes, the row
	// stays.
	Remove
)

// Routes gives one plain Route for each resource.
func Routes(resources ...string) []Route {
	routes := make([]Route, len(resources))
	for i, name := range resources {
		routes[i].From = name
	}
	return routes
}
