package journal

import (
	"errors"
	"maps"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/disk"
)

// spare is a segment's file, made ahead.
type spare struct {
	file disk.File
	size int64
	err  error
}

// roll begins a new segment, in which g is then written. It is durable before
// anything else is written to it, so that every later frame proves its beginning.
func (d *Disk) roll(g *group) error {
	w := &d.writer
	if err := d.flush(); err != nil {
		return err
	}
	sealing, err := d.fs.newSealing()
	if err != nil {
		return err
	}
	frames, err := carry(start{
		first: w.seq + 1, version: w.version, previousEnd: w.segment.end, sealing: sealing,
	}, d.openOnDisk(g))
	if err != nil {
		return err
	}
	frames = sealing.frames(nil, frames, 0)
	need := int64(len(frames))
	if g != nil {
		need += int64(len(g.frames))
	}
	next, err := d.nextFile(need)
	if err != nil {
		return err
	}
	number := w.segment.number + 1
	_, err = next.file.WriteAt(stamp(frames, place{segment: number}, 0), 0)
	if err == nil {
		err = next.file.Datasync()
	}
	if err != nil {
		// Gone it takes no room. But it may come back, or not go, and be taken for a segment
		// that came to life: nothing must then stand behind the end that it names.
		w.spoiled = true
		return errors.Join(err, next.file.Close(), d.fs.Remove(segmentName(number)))
	}
	w.spoiled = false
	if w.file != nil {
		w.file.Close() // all that counts in it is durable
	}
	w.file, w.born = next.file, int64(len(frames))
	w.segment = segment{number: number, first: w.seq + 1, end: w.born, size: max(next.size, w.born), version: w.version}
	w.flushed, w.sealing = w.born, sealing
	d.mu.Lock()
	d.segments = append(d.segments, w.segment)
	d.mu.Unlock()
	d.prepareNext()
	d.assess()
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

// nextFile gives the file of the next segment, which must hold so many bytes: the
// one that was made ahead, or one made now if there is none or making it failed. What
// the file lacks of what it must hold is to be there too.
func (d *Disk) nextFile(need int64) (spare, error) {
	w := &d.writer
	if w.spare != nil {
		s := <-w.spare
		w.spare = nil
		if s.err == nil {
			if need > s.size {
				if _, err := d.fit(need, need); err != nil {
					d.keep(s)
					return spare{}, err
				}
			}
			return s, nil
		}
	}
	s := d.makeFile(w.segment.number+1, w.nextSize(d.opts.SegmentBytes), need)
	if w.opening && errors.Is(s.err, cdc.ErrJournalFull) {
		// The budget keeps no journal from being opened: nothing would ever be settled then.
		size := max(need, min(d.opts.SegmentBytes, leastSegment))
		f, err := prepare(d.fs, w.segment.number+1, size)
		s = spare{f, size, noRoom(err)}
	}
	return s, s.err
}

// keep puts a file back that nextFile gave.
func (d *Disk) keep(s spare) {
	d.writer.spare = make(chan spare, 1)
	d.writer.spare <- s
}

func (d *Disk) makeFile(number uint64, size, need int64) spare {
	size, err := d.fit(size, need)
	if err != nil {
		return spare{err: err}
	}
	f, err := prepare(d.fs, number, size)
	return spare{f, size, noRoom(err)}
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
	d.running.Go(func() { ready <- d.makeFile(number, size, 0) })
	w.spare = ready
}
