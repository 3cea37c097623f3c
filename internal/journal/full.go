package journal

import (
	"context"
	"errors"
	"time"

	"github.com/s3db-go/replicator/cdc"
)

const (
	// fullRetry is how often a full journal looks whether there is room again: often
	// enough that nobody waits noticeably longer than he must, and a look is one
	// question to the file system.
	fullRetry = time.Second
	// detachWait is how long a writer waits for room under DetachSlowest: detaching
	// stops a destination, which waits for its driver for about a second.
	detachWait = 10 * time.Second
)

// shed is what happens to a group that found no room, and to the one that gathered
// behind it: announcements and appended changes fail; the ends of what was announced
// before stay for when there is room, numbered anew. Nothing of the two was ever seen
// by a reader.
func (d *Disk) shed(g *group, full error) {
	d.freeReserve()
	d.mu.Lock()
	first := d.full == nil
	d.full, d.retry = full, false
	if first {
		d.roomy = make(chan struct{})
	}
	later := d.current
	kept := newGroup()
	dropped := map[key]bool{}
	seq := d.writer.seq
	for _, steps := range [][]step{g.steps, later.steps} {
		for _, s := range steps {
			switch s.kind {
			case kindBegin:
				dropped[s.key] = true
				delete(d.open, s.key)
			case kindCommit:
				seq++
				s.seq = seq
				kept.commit(s)
			case kindAbort:
				if !dropped[s.key] {
					kept.abort(s)
				}
			}
		}
	}
	d.current, d.last = kept, seq
	if !d.closing {
		d.retryTimer.Reset(fullRetry)
	}
	d.mu.Unlock()
	if first {
		d.opts.Logger.Warn("journal: full", "error", full)
	}
	// Before those who wait are told, so that Stats says why.
	d.assess()
	for _, failed := range []*group{g, later} {
		failed.err = full
		failed.wake()
	}
}

// tryAgain makes the writer look whether there is room. It belongs to those who may
// have made some.
func (d *Disk) tryAgain() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full != nil {
		d.retry = true
		d.work.Signal()
	}
}

// roomAgain notes that there is room again.
func (d *Disk) roomAgain() {
	d.mu.Lock()
	if d.full == nil {
		d.mu.Unlock()
		return
	}
	d.full = nil
	close(d.roomy)
	d.retryTimer.Stop()
	d.mu.Unlock()
	d.opts.Logger.Warn("journal: there is room again", "unjournaled", d.Stats().Unjournaled)
	d.keepReserve()
	d.assess()
}

// insist does what the policy says when an attempt found the journal full; n is how
// many changes are at stake.
func (d *Disk) insist(ctx context.Context, err error, n int, attempt func() error) error {
	switch d.opts.OnFull {
	case Unjournaled:
		d.mu.Lock()
		d.unjournaled += uint64(n)
		d.mu.Unlock()
		return nil
	case DetachSlowest:
		ctx, cancel := context.WithTimeout(ctx, detachWait)
		defer cancel()
		for errors.Is(err, cdc.ErrJournalFull) {
			d.mu.Lock()
			roomy, full := d.roomy, d.full != nil
			d.mu.Unlock()
			if full {
				select {
				case <-roomy:
				case <-ctx.Done():
					return err
				}
			} else if ctx.Err() != nil {
				return err
			}
			err = attempt()
		}
	}
	return err
}

// Slowest gives the cursor that keeps the most of the journal from being deleted,
// false if none stands before its end.
func (d *Disk) Slowest() (name string, low uint64, found bool) {
	d.mu.Lock()
	durable := d.durable
	d.mu.Unlock()
	d.saving.Lock()
	defer d.saving.Unlock()
	for n, c := range d.cursors {
		if c.Low < durable && (!found || c.Low < low || c.Low == low && n < name) {
			name, low, found = n, c.Low, true
		}
	}
	return name, low, found
}
