package journal

import (
	"context"
	"errors"
	"fmt"

	"github.com/s3db-go/replicator/cdc"
)

// maxName is the longest name of a destination or resource that has a frame to
// itself; far more than anybody types.
const maxName = 32 << 10

// Append implements [Journal]. Once the changes are on their way to the disk it
// waits for them, whatever becomes of ctx.
//
// It waits in its own frame, and what is not needed then is in others: of a thousand
// callers each one's stack has left the processor's cache when it is woken, and every
// line of it that must come back costs as much as encoding a few fields.
func (d *Disk) Append(ctx context.Context, changes []cdc.Change) error {
	if err := ctx.Err(); err != nil || len(changes) == 0 {
		return err
	}
	written, err := d.encodeAppend("", changes, nil)
	if err == nil {
		err = written.wait()
	}
	if err != nil {
		err = d.insistOnAppend(ctx, err, changes)
	}
	return err
}

// insistOnAppend is what becomes of an Append that failed.
func (d *Disk) insistOnAppend(ctx context.Context, err error, changes []cdc.Change) error {
	if !errors.Is(err, cdc.ErrJournalFull) {
		return err
	}
	return d.insist(ctx, err, len(changes), func() error {
		_, err := d.append(ctx, "", changes, nil)
		return err
	})
}

// AppendTo implements [Journal]. It waits as Append does, and is refused by a full
// journal whatever the policy: whoever fills a destination can do so later.
func (d *Disk) AppendTo(ctx context.Context, destination string, changes []cdc.Change, w *Watch) (int, error) {
	if err := judgeName("destination", destination); err != nil {
		return 0, err
	}
	n, err := d.append(ctx, destination, changes, w)
	if err == nil && n > 0 {
		// The caller notes how far it got, and that must not survive what it speaks of.
		err = d.awaitFlush(d.Stats().Durable)
	}
	return n, err
}

func judgeName(what, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("journal: the %s has no name", what)
	case len(name) > maxName:
		return fmt.Errorf("journal: the name of the %s has %d bytes, at most %d are possible", what, len(name), maxName)
	}
	return nil
}

// append encodes without the lock, since that takes long. So a record may have a
// commit between the first look at the watch and the second, which counts: then all
// is done again with one change less.
func (d *Disk) append(ctx context.Context, to string, changes []cdc.Change, w *Watch) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	for {
		kept, err := w.unchanged(changes)
		if err != nil || len(kept) == 0 {
			return 0, err
		}
		written, err := d.encodeAppend(to, kept, w)
		if errors.Is(err, errChanged) {
			changes = kept
			continue
		}
		if err != nil {
			return 0, err
		}
		if err := written.wait(); err != nil {
			return 0, err
		}
		return len(kept), nil
	}
}

// encodeAppend puts the changes on their way to the disk, and, for readers that keep up,
// copies of them into the group, each in memory of its own: whoever keeps one does not keep
// the others with it.
func (d *Disk) encodeAppend(to string, changes []cdc.Change, w *Watch) (waiter, error) {
	s, copied := d.scratch.Get().(*scratch), d.awaited.Load()
	for i := range changes {
		it := item{index: uint32(i), change: &changes[i]}
		if copied {
			it.change = new(changes[i])
		}
		s.items = append(s.items, it)
	}
	frames, err := appendAppend(s.frames, to, s.items)
	var written waiter
	if err == nil {
		s.frames = frames
		written, err = d.enqueueAppend(s, to, w, copied)
	}
	s.release(&d.scratch)
	return written, err
}

// errChanged: a record had a commit after the first look at the watch.
var errChanged = errors.New("journal: a record was changed")

// enqueueAppend numbers what was encoded and puts it into the next group.
func (d *Disk) enqueueAppend(s *scratch, to string, w *Watch, copied bool) (waiter, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.refused(); err != nil {
		return waiter{}, err
	}
	for _, it := range s.items {
		if w.saw(it.change) {
			return waiter{}, errChanged
		}
	}
	seq, version := d.number(len(s.items))
	numberAppends(s.frames, seq, version)
	g := d.current
	g.bare = g.bare || !copied
	for _, it := range s.items {
		if to == "" {
			d.watches.note(it.change)
		}
		if !copied {
			continue
		}
		// Nobody else has the change, so that its numbers need not wait for the disk.
		it.change.Seq, it.change.Version = seq, version
		seq, version = seq+1, version+1
		g.entries = append(g.entries, Entry{To: to, Change: it.change, Bytes: it.size})
	}
	d.enqueue(s.frames)
	return g.join(), nil
}

// number gives n Seqs and Versions, the first of each. The caller holds mu.
func (d *Disk) number(n int) (seq, version uint64) {
	seq, version = d.last+1, d.clock.Next(d.now())
	d.last += uint64(n)
	d.clock.Observe(version + uint64(n) - 1)
	d.current.seq, d.current.version = d.last, d.clock.Last()
	return seq, version
}

// Watch implements [Journal].
func (d *Disk) Watch() *Watch {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.watches.begin(&d.mu)
}
