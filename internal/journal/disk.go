// Package journal remembers every change, durably and in order, until every
// destination has settled it.
//
// What it promises, of [Disk]: an announcement is durable when Begin returns. Seq
// numbers what is committed densely from 1, and Version grows with it, across
// restarts too. A reader sees a change only when it is durable, so nothing that was
// seen is ever taken back. After a crash, at any moment, everything acknowledged is
// there, once and in order, and every announcement whose end is not is reported.
// Damage to acknowledged data is told, with its place, and never skipped.
//
// What it does not: a Commit or Abort is not waited for, so a crash may leave an
// announcement open that was ended; whoever opens the journal resolves it. Damage is
// told apart from the tail that a crash tears only by later frames, so damage to the
// very last group of writes before a crash can pass for such a tail.
//
// # How it works
//
// The journal is one sequence of frames in numbered segments; frame.go has the
// layout, payload.go what the frames say. Callers encode on their own time and append
// to a group in memory. One goroutine swaps the group for an empty one, writes it,
// flushes it and wakes all its callers at once; what arrives meanwhile is the next
// group. Segments are zero-filled ahead, so that the flush moves no metadata.
//
// A flush that failed proves nothing about what it left. The segment then counts
// only as far as it was durable before, and the whole group is written again to a
// new one. If that fails too, nothing is written any more until the journal is
// opened again.
//
// Opening reads the newest segment from its beginning, which repeats the
// announcements that were open there, and goes on writing where it ends: so a
// restart costs no segment, and the frames that follow prove that those before were
// durable.
package journal

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/clock"
	"github.com/s3db-go/replicator/internal/disk"
)

// Options of [Open]. The zero value is ready.
type Options struct {
	// Now is the wall clock from which versions are made; time.Now by default.
	Now func() time.Time
	// SegmentBytes is how large a segment gets before the next one is begun; a
	// segment is exceeded by at most one group of writes. The first ones of a new
	// journal are smaller. 64 MiB by default.
	SegmentBytes int64
	// TailBytes is how much of the newest changes, by encoded size, stays in memory
	// for readers that keep up. 16 MiB by default.
	TailBytes int
	// Logger gets what an operator should know: a torn tail that was cut, a failed
	// write. nil is silence.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	o.SegmentBytes = cmp.Or(o.SegmentBytes, 64<<20)
	o.TailBytes = cmp.Or(o.TailBytes, 16<<20)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Disk is the journal in a directory. Safe for concurrent use; [Open] makes one.
type Disk struct {
	fs         disk.FS
	opts       Options
	lock       io.Closer
	unresolved []Announced // as found when opened
	tickets    atomic.Uint64
	scratch    sync.Pool
	writer     writer // belongs to the goroutine that writes
	running    sync.WaitGroup
	close      func() error
	ready      chan struct{} // closed from the beginning

	// saving is held while a cursor is written and what it frees is deleted. It is
	// taken before mu, never the other way round.
	saving  sync.Mutex
	cursors map[string]Cursor

	mu       sync.Mutex // guards everything below; never held during I/O
	work     sync.Cond  // there is something to write, or closing is set
	current  *group     // what is written next
	open     map[key]Entry
	last     uint64 // Seq of the newest committed change
	clock    clock.HLC
	segments []segment
	durable  uint64 // Seq of the newest change that readers may see
	tail     tail
	more     chan struct{} // closed when durable grows, or nothing can be read or written any more
	err      error         // why nothing can be written any more
	closing  bool
}

var _ Journal = (*Disk)(nil)

// Open opens the journal in the directory and recovers it, or begins a new one. It
// fails, without having changed a file, if another process has it open
// (disk.ErrLocked), if acknowledged data is damaged ([ErrCorrupt]), or if a newer
// version wrote it ([ErrFormat]). The fsys stays the caller's to close, after Close.
func Open(fsys disk.FS, opts Options) (*Disk, error) {
	lock, err := fsys.Lock("lock")
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	d, err := open(fsys, opts.withDefaults(), lock)
	if err != nil {
		lock.Close()
		return nil, err
	}
	return d, nil
}

func open(fsys disk.FS, opts Options, lock io.Closer) (*Disk, error) {
	found, err := inspect(fsys)
	if err != nil {
		return nil, err
	}
	d := &Disk{
		fs: fsys, opts: opts, lock: lock,
		unresolved: found.open,
		ready:      make(chan struct{}),
		cursors:    found.cursors,
		current:    newGroup(),
		open:       map[key]Entry{},
		last:       found.state.seq,
		segments:   found.segments,
		durable:    found.state.seq,
		tail:       tail{next: found.state.seq + 1},
		more:       make(chan struct{}),
	}
	close(d.ready)
	d.work.L = &d.mu
	d.scratch.New = func() any { return new(scratch) }
	d.close = sync.OnceValue(d.shutdown)
	d.clock.Observe(found.state.version)
	d.tickets.Store(uint64(found.state.ticket))
	for i, a := range found.open {
		d.open[key{a.Ticket, uint32(a.Index)}] = Entry{Change: new(a.Change), Bytes: found.sizes[i]}
	}
	if err := d.takeOver(found); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	d.running.Go(d.write)
	return d, nil
}

// scratch is what a caller needs while it encodes.
type scratch struct {
	frames []byte
	items  []item
	steps  []step
}

// release gives a scratch back, without the changes that it refers to.
func (d *Disk) release(s *scratch) {
	const keep = 1 << 20 // what one large change needed is not kept for ever
	if cap(s.frames) > keep {
		return
	}
	clear(s.items)
	clear(s.steps)
	s.frames, s.items, s.steps = s.frames[:0], s.items[:0], s.steps[:0]
	d.scratch.Put(s)
}

// Begin implements [Journal]. The changes are copied; what their values refer to is
// not, and must not be changed any more.
func (d *Disk) Begin(ctx context.Context, changes []cdc.Change) (Ticket, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	changes = slices.Clone(changes)
	ticket := Ticket(d.tickets.Add(1))
	s := d.scratch.Get().(*scratch)
	defer d.release(s)
	for i := range changes {
		s.items = append(s.items, item{index: uint32(i), change: &changes[i]})
	}
	frames, err := appendBegin(s.frames, ticket, s.items)
	if err != nil {
		return 0, err
	}
	s.frames = frames
	for _, it := range s.items {
		s.steps = append(s.steps, step{
			kind: kindBegin, key: key{ticket, it.index},
			announced: Entry{it.change, it.size},
		})
	}

	d.mu.Lock()
	if err := d.refused(); err != nil {
		d.mu.Unlock()
		return 0, err
	}
	for _, st := range s.steps {
		d.open[st.key] = st.announced
	}
	g := d.enqueue(s.frames, s.steps...)
	d.mu.Unlock()

	select {
	case <-g.done:
		return ticket, g.err
	case <-ctx.Done():
	}
	select {
	case <-g.done:
		return ticket, g.err
	default:
	}
	// It is on its way to the disk and can't be called back, only ended.
	for i := range changes {
		d.Abort(ticket, i)
	}
	return 0, ctx.Err()
}

// enqueue adds frames, if they are not in it yet, and what they do to the group that
// is written next. The caller holds mu.
func (d *Disk) enqueue(frames []byte, steps ...step) *group {
	d.current.frames = append(d.current.frames, frames...)
	d.current.steps = append(d.current.steps, steps...)
	d.work.Signal()
	return d.current
}

// refused says why nothing new is taken. The caller holds mu.
func (d *Disk) refused() error {
	if d.closing {
		return cdc.ErrStopped
	}
	return d.err
}

// Commit implements [Journal]. An end that was given before is ignored, as is one
// after Close: the announcement then stays open for the next Open to report.
func (d *Disk) Commit(t Ticket, i int, as *cdc.Change) {
	k := key{t, uint32(i)}
	var replacing []byte
	var result Entry
	if as != nil {
		var err error
		if result, replacing, err = d.replacement(k, as); err != nil {
			d.opts.Logger.Error("journal: a change stays open, because what was found in its place can't be written", "err", err)
			return
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	announced, ok := d.open[k]
	if !ok || d.refused() != nil {
		return
	}
	if as == nil {
		result = announced
	}
	delete(d.open, k)
	d.last++
	version := d.clock.Next(d.opts.Now())
	d.current.frames = appendCommit(d.current.frames, k, d.last, version, replacing)
	d.enqueue(nil, step{
		kind: kindCommit, key: k, announced: announced,
		committed: result, seq: d.last, version: version,
	})
}

// replacement is what is committed in place of an announced change.
func (d *Disk) replacement(k key, as *cdc.Change) (Entry, []byte, error) {
	d.mu.Lock()
	announced, ok := d.open[k]
	var c cdc.Change
	if ok {
		c = *announced.Change
	}
	d.mu.Unlock()
	if !ok {
		return Entry{}, nil, nil
	}
	c.Op, c.Data, c.Before, c.Origin = as.Op, as.Data, as.Before, as.Origin
	b, err := appendChange(nil, &c)
	return Entry{&c, len(b)}, b, err
}

// Abort implements [Journal]. An end that was given before is ignored, as is one
// after Close.
func (d *Disk) Abort(t Ticket, i int) {
	k := key{t, uint32(i)}
	d.mu.Lock()
	defer d.mu.Unlock()
	announced, ok := d.open[k]
	if !ok || d.refused() != nil {
		return
	}
	delete(d.open, k)
	d.current.frames = appendAbort(d.current.frames, k)
	d.enqueue(nil, step{kind: kindAbort, key: k, announced: announced})
}

// Append implements [Journal]. Once the changes are on their way to the disk it
// waits for them, whatever becomes of ctx.
func (d *Disk) Append(ctx context.Context, changes []cdc.Change) error {
	if err := ctx.Err(); err != nil || len(changes) == 0 {
		return err
	}
	changes = slices.Clone(changes)
	s := d.scratch.Get().(*scratch)
	defer d.release(s)
	for i := range changes {
		s.items = append(s.items, item{index: uint32(i), change: &changes[i]})
	}
	frames, err := appendAppend(s.frames, s.items)
	if err != nil {
		return err
	}
	s.frames = frames

	d.mu.Lock()
	if err := d.refused(); err != nil {
		d.mu.Unlock()
		return err
	}
	first, version := d.last+1, d.clock.Next(d.opts.Now())
	d.last += uint64(len(changes))
	d.clock.Observe(version + uint64(len(changes)) - 1)
	numberAppends(s.frames, first, version)
	for i, it := range s.items {
		s.steps = append(s.steps, step{
			kind: kindAppend, committed: Entry{it.change, it.size},
			seq: first + uint64(i), version: version + uint64(i),
		})
	}
	g := d.enqueue(s.frames, s.steps...)
	d.mu.Unlock()
	<-g.done
	return g.err
}

// Unresolved implements [Journal].
func (d *Disk) Unresolved() []Announced {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []Announced
	for _, a := range d.unresolved {
		if _, open := d.open[key{a.Ticket, uint32(a.Index)}]; open {
			out = append(out, a)
		}
	}
	return out
}

// Last implements [Journal].
func (d *Disk) Last() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.last
}

// Stats implements [Journal].
func (d *Disk) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := Stats{Last: d.last, Durable: d.durable, Open: len(d.open), Segments: len(d.segments), Err: d.err}
	if first := d.segments[0].first; first <= d.durable {
		s.First = first
	}
	for _, seg := range d.segments {
		s.Bytes += seg.size
	}
	return s
}

// Close implements [Journal]. It is idempotent: every call gives the same result.
func (d *Disk) Close() error { return d.close() }
