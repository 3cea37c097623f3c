package engine

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/codec"
	"github.com/s3db-go/replicator/internal/ledger"
	"github.com/s3db-go/replicator/internal/route"
)

// standing is a failure of the ledger, with the lanes in which it stands.
type standing struct {
	id      cdc.ID
	record  cdc.Key
	version uint64
	lanes   []string
	marked  bool // on the road again
}

// standing gives the failures among which those of some lanes are, in the order of their
// versions. Without Hold that is all that is on the road of a change's record; with it
// those of the record alone if the lane is its own, and of the whole target if not.
func (e *Engine) standing(target string, lanes []string, of *cdc.Change) (all []standing, err error) {
	q := ledger.Query{Destination: e.cfg.Name, Target: target}
	if !e.cfg.Hold || len(lanes) == 1 && lanes[0] == of.RecordID {
		q.Resource, q.RecordID = of.Resource, of.RecordID
	}
	for rows, err := range e.cfg.Ledger.Failures(q, failuresAtOnce) {
		if err != nil {
			return nil, err
		}
		for i := range rows {
			row := &rows[i]
			if !e.cfg.Hold && !row.WillRetry {
				continue
			}
			lanes, err := e.lanes(row)
			if err != nil {
				return nil, err
			}
			if len(lanes) > 0 {
				all = append(all, standing{row.Change.ChangeID, row.Change.RecordKey(), row.Change.Version, lanes, row.WillRetry})
			}
		}
	}
	slices.SortFunc(all, func(a, b standing) int { return cmp.Compare(a.version, b.version) })
	return all, nil
}

// in reports whether a failure stands in one of some lanes.
func (s *standing) in(lanes []string) bool {
	return slices.ContainsFunc(s.lanes, func(l string) bool { return slices.Contains(lanes, l) })
}

// linked gives the lanes with all that hang together with them. A failure that left one
// lane for another stands in both: what is behind it in the one waits for what is before it
// in the other, and so on.
func linked(all []standing, lanes []string) []string {
	lanes = slices.Clone(lanes)
	for before := 0; len(lanes) > before; {
		before = len(lanes)
		for i := range all {
			if all[i].in(lanes) {
				lanes = together(lanes, all[i].lanes...)
			}
		}
	}
	return lanes
}

// recallLanes calls for the failures of the lanes in which the rows stand. With Hold that
// is all that hangs together with them, by one recall that stands in all these lanes; what
// is held goes with the failure before it, and is not called for if that is on the road.
// Without Hold it is what is on the road of the record, whatever its lanes are.
func (e *Engine) recallLanes(ctx context.Context, rows []ledger.Row) error {
	type lane struct{ target, name string }
	limited, _ := e.cfg.Driver.(cdc.Limited)
	var changes []cdc.Change
	called := map[lane]bool{}
	// What failed first: whether what is held goes with it is known then.
	held := slices.DeleteFunc(slices.Clone(rows), func(row ledger.Row) bool { return row.Status != ledger.Held })
	failed := slices.DeleteFunc(slices.Clone(rows), func(row ledger.Row) bool { return row.Status == ledger.Held })
	for _, row := range append(failed, held...) {
		lanes, err := e.lanes(&row)
		if err != nil {
			return err
		}
		name := row.Change.RecordKey().String()
		if e.cfg.Hold && len(lanes) > 0 {
			name = lanes[0]
		}
		if len(lanes) == 0 || called[lane{row.Target, name}] {
			continue
		}
		called[lane{row.Target, name}] = true
		all, err := e.standing(row.Target, lanes, &row.Change)
		if err != nil {
			return err
		}
		limits, err := limitsOf(limited, row.Target)
		if err != nil {
			return err
		}
		switch {
		case e.cfg.Hold:
			lanes = linked(all, lanes)
			for _, name := range lanes {
				called[lane{row.Target, name}] = true
			}
			if row.Status == ledger.Held && !row.WillRetry && slices.ContainsFunc(all, func(s standing) bool { return s.marked && s.in(lanes) }) {
				continue
			}
		case limits.Events:
			lanes = []string{row.Change.RecordID}
		default:
			// A line of its own too: what is called for a second time waits in it.
			lanes = []string{row.Change.RecordID}
			for _, s := range all {
				lanes = together(lanes, s.lanes...)
			}
		}
		changes = append(changes, recall(row.Target, lanes, &row.Change))
	}
	if len(changes) == 0 {
		return nil
	}
	_, err := e.cfg.Journal.AppendTo(ctx, e.cfg.Name, changes, nil)
	return err
}

// recall gives a Recall its next failure, routed: the first in the order of the versions
// that is later than the last one. With Hold nothing goes that stands behind one that
// failed again. If there is none it gives no verdict, and the lanes that stay closed.
func (e *Engine) recall(r *Routed, tried uint64) error {
	target, lanes := r.Verdicts[0].Target, r.Lanes
	r.Verdicts, r.Lanes = nil, nil
	all, err := e.standing(target, lanes, r.Change)
	if err != nil {
		return err
	}
	if e.cfg.Hold {
		if more := linked(all, lanes); len(more) > len(lanes) {
			r.Lanes = lanes
			e.pass(target, more, all, r.Change)
			return nil
		}
	}
	for _, s := range all {
		switch {
		case e.cfg.Hold && !s.in(lanes):
			continue
		case s.version > tried && !s.in(r.Lanes):
			return e.carry(r, target, &s)
		case e.cfg.Hold:
			r.Lanes = append(r.Lanes, s.lanes...)
		}
	}
	return nil
}

// pass calls for failures that have come to hang together with those of a recall since it
// was journaled. A recall must not go on to them: in their lanes it does not stand. So
// another one takes its place, which does. It is journaled too, since what the first had
// sent would not lead to them any more after a crash. If it can't be, the lanes stay closed,
// and what is marked is sent later: a full journal must not keep all else from going on.
func (e *Engine) pass(target string, lanes []string, all []standing, of *cdc.Change) {
	_, err := e.cfg.Journal.AppendTo(e.ctx, e.cfg.Name, []cdc.Change{recall(target, lanes, of)}, nil)
	if err != nil {
		e.tellRetry(errors.Join(err, e.mark(target, lanes, all)))
		e.takeUpLater()
	}
}

// mark sees to it that one of what stands in some lanes is marked. Behind a failure that was
// discarded nothing is: what is held goes with what it waits for.
func (e *Engine) mark(target string, lanes []string, all []standing) error {
	of := slices.DeleteFunc(slices.Clone(all), func(s standing) bool { return !s.in(lanes) })
	if len(of) == 0 || slices.ContainsFunc(of, func(s standing) bool { return s.marked }) {
		return nil
	}
	row, found, err := e.rowOf(target, &of[0])
	if err != nil || !found {
		return err
	}
	_, err = e.cfg.Ledger.Amend([]ledger.Row{row}, func(row *ledger.Row) { row.WillRetry = true })
	return err
}

// carry gives a Recall a failure, as a replay that takes its place.
func (e *Engine) carry(r *Routed, target string, s *standing) error {
	row, found, err := e.rowOf(target, s)
	if err != nil || !found {
		return err // discarded at this moment
	}
	change := row.Change
	change.Seq, change.Origin = r.Change.Seq, cdc.Replayed
	r.Change, r.Bytes = &change, codec.SizeChange(&change)
	r.Verdicts, err = e.routeTo(nil, &change, target)
	return err
}

// rowOf gives the ledger's row of a failure, if it is one still.
func (e *Engine) rowOf(target string, s *standing) (row ledger.Row, found bool, err error) {
	q := ledger.Query{Destination: e.cfg.Name, Target: target, Resource: s.record.Resource, RecordID: s.record.RecordID}
	for rows, err := range e.cfg.Ledger.Failures(q, failuresAtOnce) {
		if err != nil {
			return ledger.Row{}, false, err
		}
		for i := range rows {
			if rows[i].Change.ChangeID == s.id {
				return rows[i], true, nil
			}
		}
	}
	return ledger.Row{}, false, nil
}

// lanes gives the lanes that a row's delivery stands in; none if no route has it any
// more.
func (e *Engine) lanes(row *ledger.Row) (lanes []string, err error) {
	verdicts, err := e.routeTo(nil, &row.Change, row.Target)
	for _, v := range verdicts {
		lanes = together(lanes, laneName(&v, &row.Change), v.OldLane, recordLane(&v, &row.Change, e.cfg.Hold))
	}
	return lanes, err
}

// together gives lanes with some more. An empty name is none.
func together(lanes []string, more ...string) []string {
	for _, name := range more {
		if name != "" && !slices.Contains(lanes, name) {
			lanes = append(lanes, name)
		}
	}
	return lanes
}

// routeTo routes a change to one target alone.
func (e *Engine) routeTo(dst []route.Verdict, change *cdc.Change, target string) ([]route.Verdict, error) {
	verdicts, err := e.cfg.Router.Route(nil, change)
	for _, v := range verdicts {
		if v.Target == target {
			dst = append(dst, v)
		}
	}
	return dst, err
}
