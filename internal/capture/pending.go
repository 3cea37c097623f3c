package capture

import (
	"sync/atomic"

	"github.com/s3db-go/replicator/internal/journal"
)

// pending implements cdc.Pending. A source that ends it twice is wrong; the first
// end counts, since the journal has acted on it.
type pending struct {
	r         *Recorder
	announced journal.Announced
	ended     atomic.Bool
}

func (p *pending) Commit() {
	if p.ended.CompareAndSwap(false, true) {
		p.r.opts.Journal.Commit(p.announced.Ticket, p.announced.Index, nil)
	}
}

func (p *pending) Abort() {
	if p.ended.CompareAndSwap(false, true) {
		p.r.opts.Journal.Abort(p.announced.Ticket, p.announced.Index)
	}
}

func (p *pending) Doubt(err error) {
	if p.ended.CompareAndSwap(false, true) {
		p.r.enter(p.announced, err)
	}
}

// unwanted stands for a change that no route wants: there is nothing to end.
type unwanted struct{}

func (unwanted) Commit()     {}
func (unwanted) Abort()      {}
func (unwanted) Doubt(error) {}
