package journal

import (
	"errors"
	"fmt"
	"maps"
	"os"

	"github.com/s3db-go/replicator/internal/disk"
)

// writer is the state of the goroutine that writes.
type writer struct {
	file    disk.File
	segment segment // its end is where the next group goes
	born    int64   // where the segment's own frames begin, behind those carried over
	seq     uint64  // of the newest durable change
	version uint64
	spare   chan spare // the next segment's file, made in the background; nil if there is none
	failed  error      // why nothing is written any more
}

// spare is a segment's file, made ahead.
type spare struct {
	file disk.File
	size int64
	err  error
}

// takeOver makes the directory as it was found to be, and ready to be written.
func (d *Disk) takeOver(found *recovered) error {
	w := &d.writer
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
	if err := d.reopen(found.torn); err != nil {
		return err
	}
	d.prepareNext()
	return nil
}

// reopen goes on in the newest segment. The torn tail is overwritten, so that none
// of it is ever read as frames again; and what was read may have stood in memory
// only, if the process was killed and not the machine: it is flushed before anybody
// relies on it.
func (d *Disk) reopen(torn rest) (err error) {
	w := &d.writer
	name := segmentName(w.segment.number)
	if w.file, err = d.fs.OpenFile(name, os.O_RDWR, disk.PrivateFile); err != nil {
		return err
	}
	if torn.used > w.segment.end {
		d.opts.Logger.Warn("journal: cut a torn tail, nothing acknowledged was in it",
			"file", filePath(d.fs, name), "offset", w.segment.end, "bytes", torn.used-w.segment.end)
		err = zeroFill(w.file, w.segment.end, torn.used)
	}
	if err == nil {
		err = w.file.Datasync()
	}
	if err != nil {
		return errors.Join(err, w.file.Close())
	}
	return nil
}

// write is the goroutine that writes.
func (d *Disk) write() {
	for g := d.take(newGroup()); g != nil; g = d.take(g.recycled()) {
		g.err = d.store(g)
		d.publish(g)
	}
}

// take waits for something to write and puts an empty group in its place, nil when
// there is nothing left to do.
func (d *Disk) take(empty *group) *group {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.current.steps) == 0 {
		if d.closing {
			return nil
		}
		d.work.Wait()
	}
	g := d.current
	d.current = empty
	return g
}

// store makes a group durable, if need be in a new segment.
func (d *Disk) store(g *group) error {
	w := &d.writer
	if w.failed != nil {
		return w.failed
	}
	first := d.put(g)
	if first == nil {
		return nil
	}
	d.opts.Logger.Warn("journal: a write failed; it is repeated in a new segment",
		"file", filePath(d.fs, segmentName(w.segment.number)), "offset", w.segment.end, "err", first)
	err := d.roll(g)
	if err == nil {
		err = d.put(g)
	}
	if err != nil {
		w.failed = fmt.Errorf("journal: can't be written any more: %w", errors.Join(first, err))
		d.opts.Logger.Error("journal: can't be written any more", "err", err)
	}
	return w.failed
}

// put writes a group and flushes it.
func (d *Disk) put(g *group) error {
	w := &d.writer
	size := int64(len(g.frames))
	// A segment that is half full of what it carries over may grow to twice that:
	// were it left at once, a heap of open announcements would be copied again for
	// every group.
	if w.segment.end > w.born && w.segment.end+size > max(w.segment.size, 2*w.born) {
		if err := d.roll(g); err != nil {
			return err
		}
	}
	at := place{w.segment.number, w.segment.end}
	if _, err := w.file.WriteAt(stamp(g.frames, at, w.segment.end), w.segment.end); err != nil {
		return err
	}
	if err := w.file.Datasync(); err != nil {
		return err
	}
	w.segment.end += size
	w.segment.size = max(w.segment.size, w.segment.end)
	for _, s := range g.steps {
		if s.kind == kindCommit || s.kind == kindAppend {
			w.seq, w.version = s.seq, s.version
		}
	}
	return nil
}

// publish tells the fate of a group to those who wait for it, and shows to the
// readers what it committed.
func (d *Disk) publish(g *group) {
	defer close(g.done)
	var entries []Entry
	if g.err == nil {
		for i := range g.steps {
			if g.steps[i].committed.Change != nil {
				entries = append(entries, g.steps[i].publish())
			}
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = g.err
	d.segments[len(d.segments)-1] = d.writer.segment
	for _, e := range entries {
		d.tail.push(e)
	}
	d.tail.shrink(d.opts.TailBytes)
	d.durable = d.writer.seq
	if len(entries) > 0 || g.err != nil {
		close(d.more)
		d.more = make(chan struct{})
	}
}

// roll begins a new segment, in which g is then written. It is durable before
// anything else is written to it, so that every later frame proves its beginning.
func (d *Disk) roll(g *group) error {
	w := &d.writer
	frames, err := carry(start{
		first: w.seq + 1, version: w.version, previousEnd: w.segment.end,
	}, d.openOnDisk(g))
	if err != nil {
		return err
	}
	next, err := d.nextFile()
	if err != nil {
		return err
	}
	number := w.segment.number + 1
	_, err = next.file.WriteAt(stamp(frames, place{segment: number}, 0), 0)
	if err == nil {
		err = next.file.Datasync()
	}
	if err != nil {
		return errors.Join(err, next.file.Close())
	}
	if w.file != nil {
		w.file.Close() // all that counts in it is durable
	}
	w.file, w.born = next.file, int64(len(frames))
	w.segment = segment{number: number, first: w.seq + 1, end: w.born, size: max(next.size, w.born)}
	d.mu.Lock()
	d.segments = append(d.segments, w.segment)
	d.mu.Unlock()
	d.prepareNext()
	return nil
}

// openOnDisk gives the announcements that are open where the disk stands now: those
// that are open for the callers, without what g and the group after it do.
func (d *Disk) openOnDisk(g *group) map[key]Entry {
	d.mu.Lock()
	defer d.mu.Unlock()
	open := maps.Clone(d.open)
	undo(open, d.current.steps)
	if g != nil {
		undo(open, g.steps)
	}
	return open
}

// nextFile gives the file of the next segment: the one that was made ahead, or one
// made now if there is none or making it failed.
func (d *Disk) nextFile() (spare, error) {
	w := &d.writer
	if w.spare != nil {
		s := <-w.spare
		w.spare = nil
		if s.err == nil {
			return s, nil
		}
	}
	s := d.makeFile(w.segment.number+1, w.nextSize(d.opts.SegmentBytes))
	return s, s.err
}

func (d *Disk) makeFile(number uint64, size int64) spare {
	f, err := prepare(d.fs, number, size)
	return spare{f, size, err}
}

// nextSize is the size of the next segment's file.
func (w *writer) nextSize(limit int64) int64 {
	return min(limit, max(firstSize, 4*w.segment.size))
}

// prepareNext makes the next segment's file in the background. The result is taken
// by nextFile or by shutdown.
func (d *Disk) prepareNext() {
	w := &d.writer
	ready := make(chan spare, 1)
	number, size := w.segment.number+1, w.nextSize(d.opts.SegmentBytes)
	d.running.Go(func() { ready <- d.makeFile(number, size) })
	w.spare = ready
}

// shutdown closes the journal: it takes no more, writes what it took, notes the end
// and gives back what it holds.
func (d *Disk) shutdown() error {
	d.mu.Lock()
	d.closing = true
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
	if w.failed == nil {
		end := endMark{w.segment.number, w.segment.end, w.seq}
		err = errors.Join(err, disk.WriteFile(d.fs, endName, end.encode(), disk.PrivateFile))
	}
	err = errors.Join(err, w.file.Close())
	d.mu.Lock()
	close(d.more)
	d.mu.Unlock()
	return errors.Join(err, d.lock.Close())
}
