package capture

import (
	"sync/atomic"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/journal"
)

// pending implements cdc.Pending. A source that ends it twice is wrong; the first
// end counts, since the journal has acted on it.
type pending struct {
	r      *Recorder
	ticket journal.Ticket
	index  int
	change *cdc.Change // the journal's; not read after the end
	ended  atomic.Bool
}

func (p *pending) Commit() {
	if p.ended.CompareAndSwap(false, true) {
		p.r.opts.Journal.Commit(p.ticket, p.index, nil)
	}
}

func (p *pending) Abort() {
	if p.ended.CompareAndSwap(false, true) {
		p.r.opts.Journal.Abort(p.ticket, p.index)
	}
}

func (p *pending) Doubt(err error) {
	if p.ended.CompareAndSwap(false, true) {
		p.r.enter(journal.Announced{Ticket: p.ticket, Index: p.index, Change: *p.change}, err)
	}
}

// unwanted stands for a change that no route wants: there is nothing to end.
type unwanted struct{}

func (unwanted) Commit()     {}
func (unwanted) Abort()      {}
func (unwanted) Doubt(error) {}

// announcement is what one call of Begin makes of its changes.
type announcement struct {
	wanted  []cdc.Change // those that some route wants
	handles []pending    // theirs
	out     []cdc.Pending
}

// newAnnouncement makes room for n changes, all at once for the one that most calls
// bring: every piece of memory here is paid by every write.
func newAnnouncement(n int) *announcement {
	if n != 1 {
		return &announcement{make([]cdc.Change, 0, n), make([]pending, 0, n), make([]cdc.Pending, 0, n)}
	}
	one := new(struct {
		announcement
		wanted  [1]cdc.Change
		handles [1]pending
		out     [1]cdc.Pending
	})
	one.announcement = announcement{one.wanted[:0], one.handles[:0], one.out[:0]}
	return &one.announcement
}

// add takes a change in, after those that were added before; there must be room.
func (a *announcement) add(r *Recorder, c cdc.Change) error {
	i := len(a.wanted)
	a.wanted = append(a.wanted, c)
	wanted, err := r.complete(&a.wanted[i])
	if err != nil {
		return err
	}
	if !wanted {
		a.wanted, a.out = a.wanted[:i], append(a.out, unwanted{})
		return nil
	}
	a.handles = append(a.handles, pending{r: r, index: i, change: &a.wanted[i]})
	a.out = append(a.out, &a.handles[i])
	return nil
}
