package engine

import (
	"fmt"

	"github.com/s3db-go/replicator/internal/journal"
	"github.com/s3db-go/replicator/internal/ledger"
	"github.com/s3db-go/replicator/internal/route"
)

// source is where an engine's changes come from. It belongs to one load at a time, and
// between loads to the loop.
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
	caughtUp := len(s.pending) == 0
	for _, entry := range s.pending {
		if e.settled(entry.Change.Seq) {
			continue
		}
		first := len(s.verdicts)
		// What is no change for this destination has no verdicts, and is settled by that.
		if entry.Kind == journal.Committed {
			var err error
			// If this moves the verdicts, those of the changes before stay where they are.
			if s.verdicts, err = e.cfg.Router.Route(s.verdicts, entry.Change); err != nil {
				return LoadFailed{fmt.Errorf("%s: route: %w", e.cfg.Name, err)}
			}
		}
		s.routed = append(s.routed, Routed{Change: entry.Change, Bytes: entry.Bytes, Verdicts: s.verdicts[first:]})
	}
	s.pending = nil
	return Loaded{Changes: s.routed, CaughtUp: caughtUp}
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
		verdicts, err := e.cfg.Router.Route(nil, entry.Change)
		changes = append(changes, Routed{Change: entry.Change, Bytes: entry.Bytes, Verdicts: verdicts})
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

// settled reports whether a change was settled before the engine started.
func (e *Engine) settled(seq uint64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.core.Settled(seq)
}

// closeLanes tells the core what former runs left failed or held. Which lane a row
// belongs to is what its route says.
func (e *Engine) closeLanes(core *Core) error {
	for _, status := range []ledger.Status{ledger.Failed, ledger.Held} {
		for row, err := range e.cfg.Ledger.Rows(ledger.Query{Destination: e.cfg.Name, Status: status}) {
			var verdicts []route.Verdict
			if err == nil {
				verdicts, err = e.cfg.Router.Route(nil, &row.Change)
			}
			if err != nil {
				return fmt.Errorf("find what is held: %w", err)
			}
			for _, v := range verdicts {
				if v.Target != row.Target {
					continue
				}
				core.Hold(v.Target, laneName(&v, &row.Change), row.Change.Seq)
				if v.OldLane != "" {
					core.Hold(v.Target, v.OldLane, row.Change.Seq)
				}
			}
		}
	}
	return nil
}
