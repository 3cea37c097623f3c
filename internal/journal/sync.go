package journal

import (
	"fmt"
	"time"
)

// Sync says when what was written is flushed to the disk. Whatever it is, a segment
// is flushed before the next one is begun, the journal before a cursor that speaks of
// it is saved, what is appended for one destination before that returns, and all at Close. A process that is killed loses nothing under any of
// them, since the system has what was written.
//
// With anything but SyncAlways a loss of power, or a crash of the system, loses what
// was not flushed: announcements, commits, and changes that readers have seen already.
// What is left is a prefix without gaps; the numbers Seq that were lost are given
// again, to other changes.
type Sync time.Duration

const (
	// SyncAlways flushes before anything is acknowledged: nothing is lost.
	SyncAlways Sync = 0
	// SyncNever leaves it to the system when to write (on Linux after about 30 s):
	// what is lost has no bound in time, but at most the newest segment.
	SyncNever Sync = -1
)

// SyncInterval flushes at most this long after something was written, and loses at
// most what was written since. A d of 0 or less is taken for a nanosecond.
func SyncInterval(d time.Duration) Sync { return Sync(max(d, 1)) }

// flush makes durable what the writer has written. After a failure nothing more is
// written, because what was acknowledged can't be written again.
func (d *Disk) flush() error {
	w := &d.writer
	w.ticking = false
	if w.failed != nil {
		return w.failed // the system takes for flushed what it could not flush
	}
	if w.flushed == w.segment.end || w.file == nil {
		return nil
	}
	began := time.Now()
	if err := w.file.Datasync(); err != nil {
		w.failed = fmt.Errorf("journal: can't be written any more: %w", err)
		d.opts.Logger.Error("journal: a flush failed, what was acknowledged since the last one may be lost", "error", err)
		return w.failed
	}
	w.flushed = w.segment.end
	d.countFlush(time.Since(began))
	return nil
}

func (d *Disk) countFlush(took time.Duration) {
	d.flushCount.Add(1)
	d.flushTime.Add(int64(took))
}

// noteFlush tells those who wait for a flush.
func (d *Disk) noteFlush(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil && d.err == nil {
		d.err = err
		close(d.more)
		d.more = make(chan struct{})
	}
	if err == nil {
		d.flushed = d.durable
	}
	close(d.flushes)
	d.flushes = make(chan struct{})
}

// wantFlush makes the writer flush.
func (d *Disk) wantFlush() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.flushing = true
	d.work.Signal()
}

// awaitFlush waits until a change that readers may see would survive a loss of power.
func (d *Disk) awaitFlush(seq uint64) error {
	for {
		d.mu.Lock()
		flushed, flushes, err := d.flushed, d.flushes, d.over()
		if flushed < seq && err == nil {
			d.flushing = true
			d.work.Signal()
		}
		d.mu.Unlock()
		switch {
		case seq <= flushed:
			return nil
		case err != nil:
			return err
		}
		<-flushes
	}
}
