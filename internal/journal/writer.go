package journal

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/disk"
)

// writer is the state of the goroutine that writes.
type writer struct {
	file    disk.File
	segment segment // its end is where the next group goes
	flushed int64   // up to where the segment is flushed
	sealing *sealing
	sealed  []byte // memory for encrypted frames
	born    int64  // where the segment's own frames begin, behind those carried over
	seq     uint64 // of the newest durable change
	version uint64
	spare   chan spare // the next segment's file, made in the background; nil if there is none
	failed  error      // why nothing is written any more
	// spoiled: a write failed behind the segment's end; nothing is written to it any
	// more.
	spoiled  bool
	ticking  bool // a flush will be wanted
	reserved bool // the reserve is there
	opening  bool // it is being made ready
}

// takeOver makes the directory as it was found to be, and ready to be written.
func (d *Disk) takeOver(found *recovered) error {
	w := &d.writer
	w.opening = true
	defer func() { w.opening = false }()
	w.seq, w.version, w.born = found.state.seq, found.state.version, found.born
	if found.ended {
		// Durably, before anything is written behind the end that it names.
		if err := d.fs.Remove(endName); err != nil {
			return err
		}
		if err := d.fs.SyncDir("."); err != nil {
			return err
		}
	}
	for _, name := range found.leftovers {
		if err := d.fs.Remove(name); err != nil {
			return err
		}
	}
	if err := disk.MkdirAll(d.fs, cursorDir, disk.PrivateDir); err != nil {
		return err
	}
	if len(found.segments) == 0 {
		return d.roll(nil)
	}
	w.segment = found.segments[len(found.segments)-1]
	w.flushed = w.segment.end
	if err := d.reopen(found); err != nil {
		return err
	}
	if !found.resumable(d.fs.keyID()) {
		return d.roll(nil)
	}
	w.sealing = found.sealing
	d.prepareNext()
	return nil
}

// resumable reports whether the newest segment may be written on. One that is
// encrypted must not if a former process may have written behind its end, since no
// place is written twice under one key.
func (r *recovered) resumable(keyID string) bool {
	if r.sealing == nil {
		return keyID == ""
	}
	return keyID == r.sealing.id && r.ended
}

// reopen goes on in the newest segment. The torn tail is overwritten, so that none
// of it is ever read as frames again; and what was read may have stood in memory
// only, if the process was killed and not the machine: it is flushed before anybody
// relies on it. What is not proven to have been flushed is written once more for that:
// where a flush failed before, the system takes it for written, and flushes nothing.
func (d *Disk) reopen(found *recovered) (err error) {
	w := &d.writer
	name := segmentName(w.segment.number)
	if w.file, err = d.fs.OpenFile(name, os.O_RDWR, disk.PrivateFile); err != nil {
		return err
	}
	if !found.ended {
		err = rewrite(w.file, found.proven, w.segment.end)
	}
	if err == nil && found.torn.used > w.segment.end {
		d.opts.Logger.Warn("journal: cut a torn tail, nothing acknowledged was in it",
			"file", filePath(d.fs, name), "offset", w.segment.end, "bytes", found.torn.used-w.segment.end)
		err = disk.ZeroFill(w.file, w.segment.end, found.torn.used)
	}
	if err == nil && !found.ended {
		err = outgrow(w.file, w.segment.end)
	}
	if err == nil {
		err = w.file.Datasync()
	}
	if err != nil {
		return errors.Join(err, w.file.Close())
	}
	return nil
}

// outgrow makes a file longer that ends where its content does: it grew with what was
// written, and where a flush of that failed the system takes the length for durable too.
func outgrow(f disk.File, end int64) error {
	size, err := f.Size()
	if err != nil || size > end {
		return err
	}
	return disk.ZeroFill(f, end, end+1)
}

// rewrite writes a part of a file once more as it is. The caller flushes it.
func rewrite(f disk.File, from, to int64) error {
	const piece = 1 << 20 // of memory, for a moment
	b := make([]byte, min(piece, max(to-from, 0)))
	for at := from; at < to; at += int64(len(b)) {
		b = b[:min(int64(len(b)), to-at)]
		if _, err := f.ReadAt(b, at); err != nil {
			return err
		}
		if _, err := f.WriteAt(b, at); err != nil {
			return err
		}
	}
	return nil
}

// write is the goroutine that writes.
func (d *Disk) write() {
	d.keepReserve()
	d.assess()
	for g, flush := d.take(newGroup()); g != nil; {
		g.err = d.store(g)
		var empty *group
		if errors.Is(g.err, cdc.ErrJournalFull) {
			d.shed(g, g.err)
			empty = newGroup()
		} else {
			d.publish(g)
			g.wake()
			d.gather(g.callers)
			empty = g.recycled()
		}
		if flush {
			d.noteFlush(d.flush())
		}
		g, flush = d.take(empty)
	}
}

// take waits for something to write and puts an empty group in its place, nil when
// there is nothing left to do. While the journal is full it waits for a retry, whose
// group may be empty, as may that with which a flush is wanted.
func (d *Disk) take(empty *group) (g *group, flush bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for !d.retry && !d.flushing && (len(d.current.frames) == 0 || d.full != nil) {
		if d.closing {
			return nil, false
		}
		d.work.Wait()
	}
	flush = d.flushing
	d.retry, d.flushing = false, false
	g = d.current
	d.current = empty
	return g, flush
}

// store makes a group durable, if need be in a new segment.
func (d *Disk) store(g *group) error {
	w := &d.writer
	if w.failed != nil {
		return w.failed
	}
	if err := d.makeRoom(); err != nil {
		return err
	}
	first := noRoom(d.put(g))
	if first == nil {
		d.roomAgain()
		return nil
	}
	if errors.Is(first, cdc.ErrJournalFull) || w.failed != nil {
		return first
	}
	d.opts.Logger.Warn("journal: a write failed; it is repeated in a new segment",
		"file", filePath(d.fs, segmentName(w.segment.number)), "offset", w.segment.end, "error", first)
	err := noRoom(d.put(g))
	if errors.Is(err, cdc.ErrJournalFull) {
		return err
	}
	if err != nil {
		w.failed = fmt.Errorf("journal: can't be written any more: %w", errors.Join(first, err))
		d.opts.Logger.Error("journal: can't be written any more", "error", err)
	}
	return w.failed
}

// seal gives the frames as they are to stand at the segment's end.
func (w *writer) seal(frames []byte) []byte {
	const keep = 4 << 20 // what a burst needed is not kept for ever
	if cap(w.sealed) > keep {
		w.sealed = nil
	}
	out := w.sealing.frames(w.sealed[:0], frames, w.segment.end)
	if w.sealing != nil {
		w.sealed = out
	}
	return out
}

// makeRoom sees to it, when the journal was full, that the next segment's file is
// there before anything new is taken.
func (d *Disk) makeRoom() error {
	d.mu.Lock()
	full := d.full != nil
	d.mu.Unlock()
	if !full {
		return nil
	}
	s, err := d.nextFile(0)
	if err == nil {
		d.keep(s)
		return nil
	}
	// As long as nobody can tell there is none, and the ends that wait for it stay.
	if err = noRoom(err); !errors.Is(err, cdc.ErrJournalFull) {
		err = &errNoRoom{err.Error()}
	}
	return err
}

// put writes a group and flushes it. After an error the next one goes to a new
// segment.
func (d *Disk) put(g *group) error {
	w := &d.writer
	if len(g.frames) == 0 {
		return nil // somebody looks whether there is room
	}
	size := w.sealing.size(g.frames)
	// A segment that is half full of what it carries over may grow to twice that:
	// were it left at once, a heap of open announcements would be copied again for
	// every group.
	if w.spoiled || w.segment.end > w.born && w.segment.end+size > max(w.segment.size, 2*w.born) {
		if err := d.roll(g); err != nil {
			return err
		}
	}
	return d.set(g)
}

// set writes a group at the segment's end, whether it is longer than its file or not.
func (d *Disk) set(g *group) error {
	w := &d.writer
	size := w.sealing.size(g.frames)
	at, began := place{w.segment.number, w.segment.end}, time.Now()
	_, err := w.file.WriteAt(stamp(w.seal(g.frames), at, w.flushed), w.segment.end)
	if err == nil && d.opts.Sync == SyncAlways {
		err = w.file.Datasync()
	}
	if err != nil {
		w.spoiled = true
		return err
	}
	w.segment.end += size
	if d.opts.Sync == SyncAlways {
		d.countFlush(time.Since(began))
		w.flushed = w.segment.end
	} else if d.opts.Sync > 0 && !w.ticking {
		w.ticking = true
		d.syncTimer.Reset(time.Duration(d.opts.Sync))
	}
	w.segment.size = max(w.segment.size, w.segment.end)
	if g.seq > 0 {
		w.seq, w.version = g.seq, g.version
	}
	return nil
}

// publish shows to the readers what a group committed.
func (d *Disk) publish(g *group) {
	committed := g.err == nil && g.seq > 0
	// Nobody else changes the tail, and what is pushed lies behind all that readers see.
	pushed := d.tail
	if committed && !g.bare {
		g.number()
		pushed.push(g.entries...)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	fresh := pushed.bytes - d.tail.bytes
	d.tail = pushed
	if committed && g.bare {
		d.tail.skip(g.seq + 1)
	}
	d.err = g.err
	d.segments[len(d.segments)-1] = d.writer.segment
	d.tail.forget(d.passed() - 1)
	d.tail.shrink(d.opts.TailBytes + fresh)
	d.awaited.Store(d.isAwaited())
	d.durable = d.writer.seq
	if d.opts.Sync == SyncAlways {
		d.flushed = d.durable
	}
	if committed || g.err != nil {
		close(d.more)
		d.more = make(chan struct{})
	}
}

// shutdown closes the journal: it takes no more, writes what it took, notes the end
// and gives back what it holds.
func (d *Disk) shutdown() error {
	d.mu.Lock()
	d.closing, d.retry = true, d.full != nil
	d.retryTimer.Stop()
	d.syncTimer.Stop()
	d.work.Signal()
	d.mu.Unlock()
	d.running.Wait()
	d.saving.Lock()
	defer d.saving.Unlock()

	w := &d.writer
	err := w.failed
	if w.spare != nil {
		if s := <-w.spare; s.err == nil {
			err = errors.Join(err, s.file.Close(), d.fs.Remove(segmentName(w.segment.number+1)))
		}
	}
	if left := len(d.current.steps); left > 0 { // the ends of what was announced before it was full
		failed := w.failed
		if failed == nil && !w.spoiled {
			failed = d.set(d.current)
		}
		if failed != nil || w.spoiled {
			err = errors.Join(err, fmt.Errorf("journal: %d ends of changes can't be written, they are looked at again when it is opened: %w", left, cmp.Or(failed, d.full)))
		}
	}
	// Behind a write that failed stands what nobody was promised: an end that is noted
	// before it would be taken for damage.
	if w.failed == nil {
		err = errors.Join(err, d.flush())
	}
	if w.failed == nil && !w.spoiled {
		end := endMark{w.segment.number, w.segment.end, w.seq}
		b, sealed := d.fs.wrap(endMagic, end.encode())
		if sealed == nil {
			sealed = disk.WriteFile(d.fs, endName, b, disk.PrivateFile)
		}
		err = errors.Join(err, sealed)
	}
	err = errors.Join(err, w.file.Close())
	d.mu.Lock()
	close(d.more)
	close(d.flushes)
	d.mu.Unlock()
	return errors.Join(err, d.lock.Close())
}
