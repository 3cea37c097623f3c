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
// Where there is no room, the two groups in memory are shed of all but the ends of
// what was announced before, which wait until there is; see full.go.
//
// Opening reads the newest segment from its beginning, which repeats the
// announcements that were open there, and goes on writing where it ends: so a
// restart costs no segment, and the frames that follow prove that those before were
// durable. Only an encrypted journal begins a new one after a crash; see encrypt.go.
//
// What is said above of being durable is so under SyncAlways; sync.go says what the
// other modes, and memory.go what a journal in memory, leave of it.
package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/clock"
	"github.com/s3db-go/replicator/internal/disk"
)

// Disk is the journal in a directory. Safe for concurrent use; [Open] makes one.
type Disk struct {
	fs         vault
	opts       Options
	lock       io.Closer
	unresolved []Announced // as found when opened
	tickets    atomic.Uint64
	awaited    atomic.Bool // some reader keeps up, see reader.go
	flushCount atomic.Uint64
	flushTime  atomic.Int64 // in nanoseconds
	scratch    sync.Pool
	writer     writer // belongs to the goroutine that writes
	running    sync.WaitGroup
	close      func() error
	ready      chan struct{} // closed from the beginning

	// saving is held while a cursor is written and what it frees is deleted. It is
	// taken before mu, never the other way round.
	saving  sync.Mutex
	cursors map[string]Cursor

	// mu guards everything below and is never held during I/O. What every caller looks at
	// comes first, so that two processors hand few lines of memory to each other.
	mu       sync.Mutex
	current  *group // what is written next
	last     uint64 // Seq of the newest committed change
	clock    clock.HLC
	err      error // why nothing can be written any more
	full     error // why no new changes can be written, nil while there is room; see full.go
	closing  bool
	watches  watches
	work     sync.Cond // there is something to write, or closing is set
	open     map[key]Entry
	segments []segment
	marks    map[uint64]marks // by number of segment
	durable  uint64           // Seq of the newest change that readers may see
	tail     tail
	readers  []*reader     // those that are open
	more     chan struct{} // closed when durable grows, or nothing can be read or written any more

	flushed   uint64        // Seq of the newest change that survives a loss of power
	flushing  bool          // a flush is wanted
	flushes   chan struct{} // closed by the next flush
	syncTimer *time.Timer

	retry       bool          // look again whether there is room
	roomy       chan struct{} // closed when there is; made with full
	retryTimer  *time.Timer
	pressure    Pressure
	unjournaled uint64
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
	d, err := open(vault{fsys, opts.Encryption}, opts.withDefaults(), lock)
	if err != nil {
		lock.Close()
		return nil, err
	}
	return d, nil
}

func open(fsys vault, opts Options, lock io.Closer) (*Disk, error) {
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
		watches:    watches{},
		last:       found.state.seq,
		segments:   found.segments,
		marks:      map[uint64]marks{},
		durable:    found.state.seq,
		flushed:    found.state.seq,
		flushes:    make(chan struct{}),
		tail:       tail{next: found.state.seq + 1},
		more:       make(chan struct{}),
	}
	if n := len(found.segments); n > 0 {
		d.marks[found.segments[n-1].number] = found.marks
	}
	close(d.ready)
	d.work.L = &d.mu
	d.scratch.New = func() any { return new(scratch) }
	d.close = sync.OnceValue(d.shutdown)
	d.retryTimer = time.AfterFunc(fullRetry, d.tryAgain)
	d.retryTimer.Stop()
	d.syncTimer = time.AfterFunc(fullRetry, d.wantFlush)
	d.syncTimer.Stop()
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

// scratch is what a caller needs while it encodes, and gives back before it waits: so
// few of them are enough for many callers, and stay in the processor's cache.
type scratch struct {
	frames []byte
	items  []item
}

// release gives a scratch back, without the changes that it refers to.
func (s *scratch) release(to *sync.Pool) {
	const keep = 1 << 20 // what one large change needed is not kept for ever
	if cap(s.frames) > keep {
		return
	}
	clear(s.items)
	s.frames, s.items = s.frames[:0], s.items[:0]
	to.Put(s)
}

// Begin implements [Journal]. Under the policy Unjournaled the ticket may
// be one that nothing knows: its ends are ignored.
func (d *Disk) Begin(ctx context.Context, changes []cdc.Change) (Ticket, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	ticket := Ticket(d.tickets.Add(1))
	err := d.announce(ctx, ticket, changes)
	if errors.Is(err, cdc.ErrJournalFull) {
		err = d.insist(ctx, err, len(changes), func() error { return d.announce(ctx, ticket, changes) })
	}
	return ticket, err
}

// announce puts announcements into the next group and waits for it.
func (d *Disk) announce(ctx context.Context, ticket Ticket, changes []cdc.Change) error {
	written, err := d.encodeBegin(ticket, changes)
	if err != nil {
		return err
	}
	if ctx.Done() == nil { // of two channels each would be locked
		return written.wait()
	}
	select {
	case <-written.done:
		return written.wait()
	case <-ctx.Done():
	}
	select {
	case <-written.done:
		return written.wait()
	default:
	}
	// It is on its way to the disk and can't be called back, only ended.
	for i := range changes {
		d.Abort(ticket, i)
	}
	return ctx.Err()
}

// encodeBegin puts announcements on their way to the disk.
func (d *Disk) encodeBegin(ticket Ticket, changes []cdc.Change) (waiter, error) {
	s := d.scratch.Get().(*scratch)
	defer s.release(&d.scratch)
	for i := range changes {
		s.items = append(s.items, item{index: uint32(i), change: &changes[i]})
	}
	frames, err := appendBegin(s.frames, ticket, s.items)
	if err != nil {
		return waiter{}, err
	}
	s.frames = frames
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.refused(); err != nil {
		return waiter{}, err
	}
	for _, it := range s.items {
		k, announced := key{ticket, it.index}, Entry{Change: it.change, Bytes: it.size}
		d.open[k] = announced
		d.current.steps = append(d.current.steps, step{kind: kindBegin, key: k, announced: announced})
	}
	d.enqueue(s.frames)
	return d.current.join(), nil
}

// enqueue adds frames to the group that is written next, in which is already what they
// do. The caller holds mu.
func (d *Disk) enqueue(frames []byte) {
	d.current.frames = append(d.current.frames, frames...)
	d.work.Signal()
}

// now is the wall clock as far as versions need it: looked at once per group, since a
// look by every caller was a tenth of the processor's time. The caller holds mu.
func (d *Disk) now() time.Time {
	if d.current.begun.IsZero() {
		d.current.begun = d.opts.Now()
	}
	return d.current.begun
}

// refused says why nothing new is taken. The caller holds mu.
func (d *Disk) refused() error { return cmp.Or(d.over(), d.full) }

// over says why nothing is taken any more, ends included. The caller holds mu.
func (d *Disk) over() error {
	if d.closing {
		return cdc.ErrStopped
	}
	return d.err
}

// Commit implements [Journal]. An end that was given before is ignored, as is one
// after Close: the announcement then stays open for the next Open to report.
func (d *Disk) Commit(t Ticket, i int, as *cdc.Change) {
	k := key{t, uint32(i)}
	var instead *replacement
	if as != nil {
		var err error
		if instead, err = d.replacement(k, as); err != nil {
			d.opts.Logger.Error("journal: a change stays open, because what was found in its place can't be written", "error", err)
			return
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	announced, ok := d.open[k]
	if !ok || d.over() != nil {
		return
	}
	delete(d.open, k)
	d.watches.note(announced.Change)
	seq, version := d.number(1)
	d.current.commit(step{kind: kindCommit, key: k, announced: announced, as: instead, seq: seq, version: version})
	d.work.Signal()
}

// replacement is what is committed in place of an announced change.
func (d *Disk) replacement(k key, as *cdc.Change) (*replacement, error) {
	d.mu.Lock()
	announced, ok := d.open[k]
	var c cdc.Change
	if ok {
		c = *announced.Change
	}
	d.mu.Unlock()
	if !ok {
		return nil, nil
	}
	c.Op, c.Data, c.Before, c.Origin, c.SchemaVersion = as.Op, as.Data, as.Before, as.Origin, as.SchemaVersion
	b, err := appendChange(nil, &c)
	return &replacement{Entry{Change: &c, Bytes: len(b)}, b}, err
}

// Abort implements [Journal]. An end that was given before is ignored, as is one
// after Close.
func (d *Disk) Abort(t Ticket, i int) {
	k := key{t, uint32(i)}
	d.mu.Lock()
	defer d.mu.Unlock()
	announced, ok := d.open[k]
	if !ok || d.over() != nil {
		return
	}
	delete(d.open, k)
	d.current.abort(step{kind: kindAbort, key: k, announced: announced})
	d.work.Signal()
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
	s := Stats{Last: d.last, Durable: d.durable, Open: len(d.open), Segments: len(d.segments), Bytes: d.taken(),
		Pressure: d.pressure, Unjournaled: d.unjournaled, Flushes: d.flushCount.Load(), FlushTime: time.Duration(d.flushTime.Load()), Err: d.err}
	if first := d.segments[0].first; first <= d.durable {
		s.First = first
	}
	return s
}

// Close implements [Journal]. It is idempotent: every call gives the same result.
func (d *Disk) Close() error { return d.close() }
