package engine

import (
	"fmt"
	"slices"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/codec"
	"github.com/s3db-go/replicator/internal/journal"
	"github.com/s3db-go/replicator/internal/ledger"
	"github.com/s3db-go/replicator/internal/route"
)

// source is where an engine's changes come from. It belongs to one load at a time, and
// between loads to who has the turn.
type source struct {
	reader   journal.Reader
	pending  []journal.Entry // read and not routed, because routing failed
	routed   []Routed
	verdicts []route.Verdict
}

// read reads and routes the next changes. It runs on a goroutine of its own, since it
// is where the user's functions run: one that hangs holds up neither the answers of
// the driver nor Stop.
func (e *Engine) read(bytes int) Event {
	s := &e.source
	if len(s.pending) == 0 {
		entries, err := s.reader.Next(bytes)
		if err != nil {
			return LoadFailed{fmt.Errorf("%s: read journal: %w", e.cfg.Name, err)}
		}
		s.pending = entries
	}
	clear(s.routed)
	clear(s.verdicts)
	s.routed, s.verdicts = s.routed[:0], s.verdicts[:0]
	e.mu.Lock()
	s.pending = slices.DeleteFunc(s.pending, func(entry journal.Entry) bool { return e.core.Settled(entry.Change.Seq) })
	e.mu.Unlock()
	for _, entry := range s.pending {
		first := len(s.verdicts)
		r := Routed{Change: entry.Change, Bytes: entry.Bytes}
		// If this moves the verdicts, those of the changes before stay where they are.
		if err := e.route(&r, &s.verdicts, entry); err != nil {
			return LoadFailed{fmt.Errorf("%s: route: %w", e.cfg.Name, err)}
		}
		r.Verdicts = s.verdicts[first:]
		s.routed = append(s.routed, r)
	}
	s.pending = nil
	return Loaded{Changes: s.routed, CaughtUp: s.caughtUp()}
}

// caughtUp reports whether there is nothing more to read. To find that out by reading once
// more would cost two turns for every group of the journal.
func (s *source) caughtUp() bool {
	select {
	case <-s.reader.More():
		return false
	default:
		return true
	}
}

const (
	// rereadBytes is read at a time on the way from one wanted change to the next.
	rereadBytes = 16 << 10
	// rereadGap is how many changes are read over rather than passed by a new reader,
	// which looks for its place from the beginning of a segment.
	rereadGap = 2000
)

// reread reads and routes some changes that were loaded before, in order of Seq.
func (e *Engine) reread(seqs []uint64) Event {
	changes := make([]Routed, 0, len(seqs))
	err := e.each(seqs, func(entry journal.Entry) error {
		r := Routed{Change: entry.Change, Bytes: entry.Bytes}
		err := e.route(&r, &r.Verdicts, entry)
		if err == nil && r.Kind == Recall {
			err = e.recall(&r)
		}
		changes = append(changes, r)
		return err
	})
	if err != nil {
		return FetchFailed{fmt.Errorf("%s: read journal again: %w", e.cfg.Name, err)}
	}
	return Fetched{changes}
}

// each gives the journal's entries with these Seqs, which are sorted.
func (e *Engine) each(seqs []uint64, do func(journal.Entry) error) error {
	var r journal.Reader
	defer func() {
		if r != nil {
			r.Close()
		}
	}()
	var entries []journal.Entry
	at := uint64(0) // the last Seq that was read
	for _, seq := range seqs {
		for len(entries) == 0 || entries[0].Change.Seq < seq {
			if len(entries) > 0 {
				entries = entries[1:]
				continue
			}
			var err error
			if r == nil || seq-at > rereadGap {
				if r != nil {
					r.Close()
				}
				if r, err = e.cfg.Journal.Read(seq - 1); err != nil {
					return err
				}
			}
			if entries, err = r.Next(rereadBytes); err != nil {
				return err
			}
			if len(entries) == 0 {
				return fmt.Errorf("seq %d is not there", seq)
			}
			at = entries[len(entries)-1].Change.Seq
		}
		if entries[0].Change.Seq != seq {
			return fmt.Errorf("seq %d is not there", seq)
		}
		if err := do(entries[0]); err != nil {
			return err
		}
	}
	return nil
}

// route finds out what becomes of an entry that is read for the first time. What is no
// change for this destination has no verdicts, and is settled by that.
func (e *Engine) route(r *Routed, verdicts *[]route.Verdict, entry journal.Entry) (err error) {
	switch {
	case entry.Kind == journal.Schema:
		r.Kind, r.Schema = Reshape, entry.Schema
		for _, way := range e.cfg.Router.Ways(entry.Change.Resource) {
			*verdicts = append(*verdicts, route.Verdict{Rule: way.Rule, Target: way.Target})
		}
	case entry.Kind != journal.Committed:
	case entry.Change.Origin == cdc.Replayed && entry.To != "":
		p := parseReplay(entry.Change)
		if !p.restates() {
			r.Kind = Recall
			*verdicts = append(*verdicts, route.Verdict{Target: p.target, Lane: p.lane})
			return nil
		}
		r.Kind, r.Change = Restate, &p.change
		*verdicts, err = e.routeTo(*verdicts, r.Change, p.target)
	default:
		*verdicts, err = e.cfg.Router.Route(*verdicts, entry.Change)
	}
	return err
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

// failuresAtOnce are read from the ledger together: what they hold fits in memory.
const failuresAtOnce = 256

// recallFailures tells the core what former runs left failed or held: of which records,
// and which lanes are closed by that. Which lane a row belongs to is what its route says.
func (e *Engine) recallFailures(core *Core) error {
	err := e.cfg.Ledger.EachFailure(e.cfg.Name, core.Failing)
	if err != nil || !e.cfg.Hold {
		return err
	}
	for rows, err := range e.cfg.Ledger.Failures(ledger.Query{Destination: e.cfg.Name}, failuresAtOnce) {
		for i := 0; i < len(rows) && err == nil; i++ {
			var lanes []string
			lanes, err = e.lanes(&rows[i])
			for _, lane := range lanes {
				core.Hold(rows[i].Target, lane, rows[i].Change.Seq)
			}
		}
		if err != nil {
			return fmt.Errorf("find what is held: %w", err)
		}
	}
	return nil
}

// lanes gives the lanes that a row's delivery stands in; none if no route has it any
// more.
func (e *Engine) lanes(row *ledger.Row) (lanes []string, err error) {
	verdicts, err := e.routeTo(nil, &row.Change, row.Target)
	for _, v := range verdicts {
		lanes = append(lanes, laneName(&v, &row.Change))
		if v.OldLane != "" {
			lanes = append(lanes, v.OldLane)
		}
	}
	return lanes, err
}

// recall gives a Recall the next failure of its lane, routed; no verdict if there is none
// any more.
func (e *Engine) recall(r *Routed) error {
	change, verdicts, err := e.oldest(r.Verdicts[0].Target, r.Verdicts[0].Lane, r.Change)
	r.Verdicts = nil
	if err != nil || len(verdicts) == 0 {
		return err
	}
	r.Change, r.Bytes, r.Verdicts = change, codec.SizeChange(change), verdicts
	return nil
}

// oldest gives the first failure of a lane, as a replay that takes the place of a change,
// and routed; no verdict if the lane has none. Without Hold it looks for those alone that
// are on the road, and of the change's record; in the lane of that name, whatever theirs were.
func (e *Engine) oldest(target, lane string, at *cdc.Change) (oldest *cdc.Change, verdicts []route.Verdict, err error) {
	q := ledger.Query{Destination: e.cfg.Name, Target: target}
	if lane == at.RecordID || !e.cfg.Hold {
		q.Resource, q.RecordID = at.Resource, at.RecordID
	}
	for rows, err := range e.cfg.Ledger.Failures(q, 1) {
		if err != nil {
			return nil, nil, err
		}
		row := &rows[0]
		if !e.cfg.Hold && !row.WillRetry || oldest != nil && row.Change.Version > oldest.Version {
			continue
		}
		change := row.Change
		change.Seq, change.Origin = at.Seq, cdc.Replayed
		routed, err := e.routeTo(nil, &change, target)
		if err != nil {
			return nil, nil, err
		}
		ofRecord := !e.cfg.Hold && lane == at.RecordID
		if len(routed) == 0 || !ofRecord && laneName(&routed[0], &change) != lane && routed[0].OldLane != lane {
			continue
		}
		oldest, verdicts = &change, routed
		if q.RecordID != "" {
			break // the failures of a record come in order
		}
	}
	return oldest, verdicts, nil
}
