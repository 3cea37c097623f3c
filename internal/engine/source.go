package engine

import (
	"fmt"
	"slices"

	"github.com/s3db-go/replicator/cdc"
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

// pieceBytes are read and routed together: some fifty changes, which are still in the
// processor's second cache after they were decoded.
const pieceBytes = 16 << 10

// read reads and routes the next changes, up to so many bytes. It runs on a goroutine of
// its own, since it is where the user's functions run: one that hangs holds up neither the
// answers of the driver nor Stop.
func (e *Engine) read(bytes int) Event {
	s := &e.source
	clear(s.routed)
	clear(s.verdicts)
	s.routed, s.verdicts = s.routed[:0], s.verdicts[:0]
	for bytes > 0 {
		n, err := e.readPiece(min(bytes, pieceBytes))
		switch {
		case err != nil && len(s.routed) == 0:
			return LoadFailed{fmt.Errorf("%s: %w", e.cfg.Name, err)}
		case err != nil || n == 0: // the next load meets the error again
			bytes = 0
		}
		bytes -= n
	}
	return Loaded{Changes: s.routed, CaughtUp: len(s.pending) == 0 && s.caughtUp()}
}

// readPiece reads and routes a piece of a load, and gives the bytes that it has. What
// could not be routed stays pending.
func (e *Engine) readPiece(bytes int) (n int, err error) {
	s := &e.source
	if len(s.pending) == 0 {
		if s.pending, err = s.reader.Next(bytes); err != nil {
			return 0, fmt.Errorf("read journal: %w", err)
		}
	}
	for i := range s.pending {
		n += s.pending[i].Bytes
	}
	e.mu.Lock()
	s.pending = slices.DeleteFunc(s.pending, func(entry journal.Entry) bool { return e.core.Settled(entry.Change.Seq) })
	e.mu.Unlock()
	for i, entry := range s.pending {
		first := len(s.verdicts)
		r := Routed{Change: entry.Change, Bytes: entry.Bytes}
		// If this moves the verdicts, those of the changes before stay where they are.
		if err := e.route(&r, &s.verdicts, entry); err != nil {
			s.pending = s.pending[i:]
			return n, fmt.Errorf("route: %w", err)
		}
		r.Verdicts = s.verdicts[first:]
		s.routed = append(s.routed, r)
	}
	s.pending = nil
	return n, nil
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

// rereadGap is how many changes are passed over rather than left to a new reader, which looks
// for its place from some way before it.
const rereadGap = 2000

// reread reads and routes some changes that were loaded before, in order of Seq.
func (e *Engine) reread(f Fetch) Event {
	changes := make([]Routed, 0, len(f.Seqs))
	err := e.each(f.Seqs, func(entry journal.Entry) error {
		r := Routed{Change: entry.Change, Bytes: entry.Bytes}
		err := e.route(&r, &r.Verdicts, entry)
		if err == nil && r.Kind == Recall {
			err = e.recall(&r, f.Tried[entry.Change.Seq])
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
	at := uint64(0) // the last Seq that was read
	for _, seq := range seqs {
		var err error
		if r == nil || seq-at > rereadGap {
			if r != nil {
				r.Close()
			}
			if r, err = e.cfg.Journal.Read(seq - 1); err != nil {
				return err
			}
		}
		r.Skip(seq)
		entries, err := r.Next(1)
		if err != nil {
			return err
		}
		if len(entries) == 0 || entries[0].Change.Seq != seq {
			return fmt.Errorf("seq %d is not there", seq)
		}
		if err := do(entries[0]); err != nil {
			return err
		}
		at = seq
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
			r.Kind, r.Lanes = Recall, p.lanes
			*verdicts = append(*verdicts, route.Verdict{Target: p.target})
			return nil
		}
		s, err := e.steps(&p)
		r.Kind, r.Change, r.Lanes = Restate, &p.change, s.lanes
		*verdicts = append(*verdicts, s.verdicts...)
		return err
	default:
		*verdicts, err = e.cfg.Router.Route(*verdicts, entry.Change)
	}
	return err
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
				// A change that was lost with the power is behind none that is still to come.
				core.Hold(rows[i].Target, lane, min(rows[i].Change.Seq, e.cfg.Journal.Last()))
			}
		}
		if err != nil {
			return fmt.Errorf("find what is held: %w", err)
		}
	}
	return nil
}
