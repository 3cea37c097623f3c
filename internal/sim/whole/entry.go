package whole

import (
	"fmt"
	"slices"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/route"
)

// entry is what one place's routes made of a change for one target, and what became of
// it.
type entry struct {
	place   *place
	change  *cdc.Change
	state   int // which of the record's states it brings, counted by its writes
	verdict route.Verdict

	// For good.
	accepted  bool // the destination applied it
	contained bool // the destination applied one that contains it, or the log has such
	logged    bool // the log has a row of it
	failed    bool // as failed or held
	ever      bool // so it was once
	sealed    bool // settled before a clean stop
	marked    bool // the log says that it is on the road again
	gone      bool // the log says that nobody wants it any more
	discarded bool // so, and it was not on the road

	// The routes made something else of it before the transform was mended.
	former cdc.Record
	varied bool
	// And with it another lane.
	strayed bool
	// A restatement stands in the lanes of all keys that it clears too.
	clears []laneName

	// In this life of the engine.
	told    bool // the engine was told that it is accepted
	settled bool
}

// lanes are those in which it stands: two if it leaves one for another, none if the routes
// said another thing when they were asked again, which need not move it.
func (e *entry) lanes() []laneName {
	if e.strayed {
		return nil
	}
	if e.change.Origin == cdc.Replayed && !e.place.Hold && e.place.Events {
		return []laneName{{e.verdict.Target, "what Retry sends of " + e.change.RecordKey().String()}}
	}
	lanes := []laneName{{e.verdict.Target, e.verdict.Lane}}
	if e.verdict.OldLane != "" {
		lanes = append(lanes, laneName{e.verdict.Target, e.verdict.OldLane})
	}
	if record := (laneName{e.verdict.Target, e.change.RecordID}); e.place.Hold && !e.place.Groups && e.verdict.Lane != record.key {
		lanes = append(lanes, record)
	}
	return append(lanes, e.clears...)
}

// restates reports whether it is what Retry read, which goes by several deliveries.
func (e *entry) restates() bool {
	_, restated := e.place.w.restated[e.change.ChangeID]
	return restated
}

// clear notes that the routes made of a restatement, for one more of the states that the
// record had, one more delivery.
func (e *entry) clear(v route.Verdict) {
	if was := e.verdict; was.Err != nil && v.Err == nil || was.Skip != "" && v.Skip == "" {
		e.verdict = v
	}
	for _, name := range []string{v.Lane, v.OldLane} {
		if l := (laneName{v.Target, name}); name != "" && !slices.Contains(e.lanes(), l) {
			e.clears = append(e.clears, l)
		}
	}
}

// meets reports whether two have a lane in common.
func (e *entry) meets(o *entry) bool {
	return slices.ContainsFunc(e.lanes(), func(l laneName) bool { return slices.Contains(o.lanes(), l) })
}

// past is what came of its record for its target.
func (e *entry) past() pastName { return pastName{e.verdict.Target, e.change.RecordKey()} }

func (e *entry) String() string {
	return fmt.Sprintf("%s %d:%s/%s", e.verdict.Target, e.change.Seq, e.verdict.Delivery.Op, e.change.RecordID)
}

// done: whatever comes later in the lane may be applied.
func (e *entry) done() bool {
	return e.verdict.Skip != "" && e.verdict.Err == nil || e.accepted || e.contained || e.logged
}

// closed reports whether an earlier one of the lane stood in the log as failed, at least
// for a time: who mends that need not open the lane at once.
func (pl *place) closed(e *entry) bool {
	strayed := func(o *entry) bool { return o.ever && (o.strayed || e.strayed) && o.change.Version < e.change.Version }
	return pl.before(e, func(o *entry) bool { return o.ever }) != nil || slices.ContainsFunc(pl.pasts[e.past()], strayed)
}

// routed notes what the routes of a place made of a change.
func (pl *place) routed(c *cdc.Change, verdicts []route.Verdict) {
	w := pl.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.Seq == 0 || c.Origin != cdc.Replayed && w.journal.lost[c.Version] {
		return // somebody only wants to know of what failed
	}
	state := w.check(c)
	for _, v := range verdicts {
		switch {
		case v.Lane == "":
			v.Lane = c.RecordID
		case pl.Groups:
			v.Lane, v.OldLane = groupsOf(c)
		}
		name := entryName{v.Target, c.Seq, c.ChangeID}
		if known := pl.entries[name]; known != nil {
			if known.restates() {
				known.clear(v)
				continue
			}
			if !known.verdict.Delivery.Record.Equal(v.Delivery.Record) { // the transform was mended
				known.former, known.varied = known.verdict.Delivery.Record, true
			}
			if v.Err == nil {
				if moved := v.Lane != known.verdict.Lane || v.OldLane != known.verdict.OldLane; moved {
					pl.leave(known)
				}
				known.verdict = v
			}
			continue
		}
		e := &entry{place: pl, change: c, state: state, verdict: v}
		pl.entries[name] = e
		pl.named[changeName{v.Target, c.ChangeID}] = append(pl.named[changeName{v.Target, c.ChangeID}], e)
		if c.Origin == cdc.Replayed {
			continue // it has no place in the order in which the changes came
		}
		past, at := inserted(pl.pasts[e.past()], e)
		if at > 0 && past[at-1].state > state || at+1 < len(past) && past[at+1].state < state {
			w.violation("%s: the journal has state %d of %s at seq %d, out of order", pl.Name, state, c.RecordKey(), c.Seq)
		}
		pl.pasts[e.past()] = past
		for _, l := range e.lanes() {
			pl.lanes[l], _ = inserted(pl.lanes[l], e)
		}
	}
}

// leave takes an entry out of its lanes.
func (pl *place) leave(e *entry) {
	for _, l := range e.lanes() {
		pl.lanes[l] = slices.DeleteFunc(pl.lanes[l], func(o *entry) bool { return o == e })
	}
	e.strayed = true
}

// inserted puts an entry in its place by Seq, and gives that.
func inserted(entries []*entry, e *entry) ([]*entry, int) {
	at, _ := slices.BinarySearchFunc(entries, e.change.Seq, func(o *entry, seq uint64) int { return int(o.change.Seq) - int(seq) })
	return slices.Insert(entries, at, e), at
}

// checkDelivery: what is sent is what the routes made of it.
func (pl *place) checkDelivery(e *entry, d cdc.Delivery) {
	w := pl.w
	want := e.verdict.Delivery
	switch {
	case e.sealed:
		w.violation("%s: %v is delivered again after a clean stop", pl.Name, e)
	case e.verdict.Err != nil || e.verdict.Skip != "":
		w.violation("%s: %v is delivered although the routes did not let it through", pl.Name, e)
	case e.restates() && d.Record == nil && d.Version <= want.Version && d.OldKey == nil:
		// a row that the record had under another key
	case d.ChangeID != want.ChangeID || d.Version != want.Version || d.Op != want.Op || (d.Record == nil) != (want.Record == nil):
		w.violation("%s: %v is delivered as %v", pl.Name, e, d.Change)
	case pl.Events && !d.Record.Equal(want.Record) && !(e.varied && d.Record.Equal(e.former)):
		w.violation("%s: %v is delivered as %v", pl.Name, e, d.Record)
	case pl.Syncs && pl.lacks(d.Target, d.Record) != "":
		w.violation("%s: %v of schema %d is delivered before %s has the field %s", pl.Name, e, d.SchemaVersion, d.Target, pl.lacks(d.Target, d.Record))
	case pl.Hold && !e.failed && pl.behind(e) != nil:
		w.violation("%s: %v of version %d is delivered behind %v of version %d, which failed", pl.Name, e, e.change.Version, pl.behind(e), pl.behind(e).change.Version)
	case e.change.Origin == cdc.Replayed && !pl.Hold && slices.ContainsFunc(pl.named[changeName{d.Target, d.ChangeID}], func(o *entry) bool { return o.discarded }):
		w.violation("%s: %v is sent again, and was discarded", pl.Name, e)
	}
}

// behind gives an earlier one of its lanes that stands in the log as failed, nil if there
// is none.
func (pl *place) behind(e *entry) *entry {
	return pl.before(e, func(o *entry) bool { return o.failed })
}

// before gives an earlier one of its lanes that is such, nil if there is none.
func (pl *place) before(e *entry, such func(*entry) bool) *entry {
	for _, l := range e.lanes() {
		for _, o := range pl.lanes[l] {
			if such(o) && o.change.Version < e.change.Version {
				return o
			}
		}
	}
	return nil
}

// accept: the destination applies a delivery. Everything before it in its lane must be
// done, and nothing after it may be known to be.
func (pl *place) accept(e *entry, d cdc.Delivery) {
	pl.put(pl.table, d)
	if e.restates() && d.Record == nil && e.verdict.Delivery.Record != nil {
		pl.checkNewer(e, d)
		return // it is on its way still
	}
	e.accepted = true
	if e.change.Origin == cdc.Replayed {
		pl.acceptReplayed(e, d)
		return
	}
	for _, other := range pl.pasts[e.past()] {
		if other.change.Seq < e.change.Seq && pl.contains(d, other) {
			other.contained = true
		}
	}
	for _, l := range e.lanes() {
		for _, other := range pl.lanes[l] {
			switch seq := other.change.Seq; {
			case seq < e.change.Seq && !other.done():
				pl.w.violation("%s: %v is applied before %v", pl.Name, e, other)
			case seq > e.change.Seq && other.told:
				pl.w.violation("%s: %v is applied after %v", pl.Name, e, other)
			}
		}
	}
}

// acceptReplayed: the destination applies what Retry sent. At a target that wants state
// nothing newer may be known to be there; at any other the failures of a record come in
// order.
func (pl *place) acceptReplayed(e *entry, d cdc.Delivery) {
	for _, of := range pl.named[changeName{d.Target, d.ChangeID}] {
		of.accepted = true
	}
	if pl.Events {
		if pl.w.Retries > 0 || pl.GiveUp > 0 {
			return // what failed once more may be retried behind what did not
		}
		for _, other := range pl.entries {
			if other.change.Seq == e.change.Seq && other.change.RecordID == e.change.RecordID && other.verdict.Target == d.Target && other.told && other.change.Version > e.change.Version {
				pl.w.violation("%s: %v of version %d is replayed after version %d", pl.Name, e, e.change.Version, other.change.Version)
			}
		}
		return
	}
	pl.checkNewer(e, d)
	for _, other := range pl.pasts[e.past()] {
		if other.change.Seq < e.change.Seq && pl.contains(d, other) {
			other.contained = true
		}
	}
}

// checkNewer: what Retry sent comes over nothing newer in its row.
func (pl *place) checkNewer(e *entry, d cdc.Delivery) {
	for _, other := range pl.pasts[e.past()] {
		of := other.verdict.Delivery
		if other.state > e.state && other.told && (d.Key.Equal(of.Key) || d.Key.Equal(of.OldKey)) {
			pl.w.violation("%s: %v brings state %d again after state %d", pl.Name, e, e.state, other.state)
		}
	}
}

// contains reports whether a delivery for a state target has all that an earlier one
// would have brought. It is said here once more, in other words than the engine's.
func (pl *place) contains(d cdc.Delivery, earlier *entry) bool {
	was := earlier.verdict.Delivery.Record
	switch {
	case pl.Events || earlier.verdict.Err != nil:
		return false
	case d.OldKey != nil || earlier.verdict.Delivery.OldKey != nil || !d.Key.Equal(earlier.verdict.Delivery.Key):
		return false // of two rows neither has all
	case d.Record == nil || pl.Rows == cdc.RowsReplaced:
		return true
	case was == nil:
		return false
	}
	for field := range was {
		if !d.Record.Has(field) {
			return false
		}
	}
	return true
}
