package journal

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/clock"
)

// MemoryOptions configure [NewMemory]. The zero value is ready.
type MemoryOptions struct {
	// Now is the wall clock from which versions are made; time.Now by default.
	Now func() time.Time
	// MaxBytes bounds what is announced or waits to be settled, by encoded size; 64 MiB
	// by default: four times what one destination loads.
	MaxBytes int
}

// Memory is a journal that ends with its process: nothing of it survives Close, and
// there is never anything unresolved. While it is full, whoever begins or appends
// waits until all cursors have moved on. Safe for concurrent use; [NewMemory] makes
// one.
type Memory struct {
	opts    MemoryOptions
	scratch sync.Pool
	ready   chan struct{} // closed from the beginning

	mu      sync.Mutex // guards everything below
	tickets Ticket
	open    map[key]Entry
	tail    tail // all that some cursor has not passed
	opened  int  // bytes of what is open
	last    uint64
	clock   clock.HLC
	watches watches
	cursors map[string]Cursor
	more    chan struct{} // closed when last grows, and by Close; nil until somebody asks
	roomy   chan struct{} // closed when bytes became free, and by Close
	closed  bool
}

var _ Journal = (*Memory)(nil)

// NewMemory makes an empty journal in memory.
func NewMemory(opts MemoryOptions) *Memory {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	opts.MaxBytes = cmp.Or(opts.MaxBytes, 64<<20)
	m := &Memory{
		opts: opts, ready: make(chan struct{}), open: map[key]Entry{}, tail: tail{next: 1}, watches: watches{},
		cursors: map[string]Cursor{}, roomy: make(chan struct{}),
	}
	m.scratch.New = func() any { return new(scratch) }
	close(m.ready)
	return m
}

// Begin implements [Journal].
func (m *Memory) Begin(ctx context.Context, changes []cdc.Change) (Ticket, error) {
	s := m.scratch.Get().(*scratch)
	defer s.release(&m.scratch)
	size, err := s.measure(changes)
	if err != nil {
		return 0, err
	}
	if err := m.room(ctx, size); err != nil {
		return 0, err
	}
	defer m.mu.Unlock()
	m.tickets++
	for _, it := range s.items {
		m.open[key{m.tickets, it.index}] = Entry{Change: it.change, Bytes: it.size}
	}
	m.opened += size
	return m.tickets, nil
}

// measure encodes the changes to see whether that can be done, and how large they are:
// what this journal takes, one on a disk takes too.
func (s *scratch) measure(changes []cdc.Change) (size int, err error) {
	for i := range changes {
		if s.frames, err = appendChange(s.frames[:0], &changes[i]); err != nil {
			return 0, err
		}
		s.items = append(s.items, item{index: uint32(i), change: &changes[i], size: len(s.frames)})
		size += len(s.frames)
	}
	return size, nil
}

// room waits until so many bytes are free, and then holds mu.
func (m *Memory) room(ctx context.Context, size int) error {
	if size > m.opts.MaxBytes {
		return fmt.Errorf("journal: %d bytes at once, of %d in all: %w", size, m.opts.MaxBytes, cdc.ErrTooLarge)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	for {
		m.mu.Lock()
		if m.closed {
			m.mu.Unlock()
			return cdc.ErrStopped
		}
		if m.opened+m.tail.bytes+size <= m.opts.MaxBytes {
			return nil
		}
		roomy := m.roomy
		m.mu.Unlock()
		select {
		case <-roomy:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// end takes an announced change off the list. The caller holds mu.
func (m *Memory) end(t Ticket, i int) (Entry, bool) {
	k := key{t, uint32(i)}
	e, ok := m.open[k]
	if !ok || m.closed {
		return Entry{}, false
	}
	delete(m.open, k)
	m.opened -= e.Bytes
	return e, true
}

// Commit implements [Journal].
func (m *Memory) Commit(t Ticket, i int, as *cdc.Change) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.end(t, i)
	if !ok {
		return
	}
	if as != nil {
		e.Change.Op, e.Change.Data, e.Change.Before, e.Change.Origin = as.Op, as.Data, as.Before, as.Origin
		e.Change.SchemaVersion = as.SchemaVersion
	}
	m.commit(e)
}

// commit numbers an entry and shows it. The caller holds mu.
func (m *Memory) commit(e Entry) {
	m.last++
	e.Change.Seq, e.Change.Version = m.last, m.clock.Next(m.opts.Now())
	if e.Kind == Committed && e.To == "" {
		m.watches.note(e.Change)
	}
	m.tail.push(e)
	m.wake()
}

// wake tells those who wait for more. The caller holds mu.
func (m *Memory) wake() {
	if m.more != nil {
		close(m.more)
		m.more = nil
	}
}

// Abort implements [Journal].
func (m *Memory) Abort(t Ticket, i int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.end(t, i); ok {
		m.free()
	}
}

// free wakes those who wait for room. The caller holds mu.
func (m *Memory) free() {
	close(m.roomy)
	m.roomy = make(chan struct{})
}

// Append implements [Journal].
func (m *Memory) Append(ctx context.Context, changes []cdc.Change) error {
	_, err := m.append(ctx, "", changes, nil)
	return err
}

// AppendTo implements [Journal].
func (m *Memory) AppendTo(ctx context.Context, destination string, changes []cdc.Change, w *Watch) (int, error) {
	if err := judgeName("destination", destination); err != nil {
		return 0, err
	}
	return m.append(ctx, destination, changes, w)
}

func (m *Memory) append(ctx context.Context, to string, changes []cdc.Change, w *Watch) (int, error) {
	s := m.scratch.Get().(*scratch)
	defer s.release(&m.scratch)
	size, err := s.measure(slices.Clone(changes))
	if err != nil {
		return 0, err
	}
	if err := m.room(ctx, size); err != nil {
		return 0, err
	}
	defer m.mu.Unlock()
	if w != nil && w.full {
		return 0, ErrWatchFull
	}
	n := 0
	for _, it := range s.items {
		if w.saw(it.change) {
			w.leave(it.change)
			continue
		}
		m.commit(Entry{To: to, Change: it.change, Bytes: it.size})
		n++
	}
	return n, nil
}

// AppendSchema implements [Journal].
func (m *Memory) AppendSchema(ctx context.Context, resource string, version int, schema *cdc.Schema) error {
	_, e, err := encodeSchema(resource, version, schema)
	if err != nil {
		return err
	}
	if err := m.room(ctx, e.Bytes); err != nil {
		return err
	}
	defer m.mu.Unlock()
	m.commit(e)
	return nil
}

// Watch implements [Journal].
func (m *Memory) Watch() *Watch {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.watches.begin(&m.mu)
}

// Unresolved implements [Journal]: there is nothing.
func (m *Memory) Unresolved() []Announced { return nil }

// Last implements [Journal].
func (m *Memory) Last() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last
}

// Cursor implements [Journal].
func (m *Memory) Cursor(name string) (Cursor, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := m.cursors[name]
	return c.clone(), ok
}

// Cursors implements [Journal].
func (m *Memory) Cursors() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.cursors))
}

// SaveCursor implements [Journal], but for being durable. What is behind every cursor
// is forgotten.
func (m *Memory) SaveCursor(name string, c Cursor) error {
	if err := c.validate(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.closed:
		return cdc.ErrStopped
	case c.highest() > m.last:
		return fmt.Errorf("journal: cursor %s: seq %d is beyond the journal's end at %d", name, c.highest(), m.last)
	case c.Low+1 < m.tail.first():
		return fmt.Errorf("journal: cursor %s: seq %d is no longer there, the journal begins at %d", name, c.Low+1, m.tail.first())
	}
	m.cursors[name] = c.clone()
	m.trim()
	return nil
}

// DropCursor implements [Journal].
func (m *Memory) DropCursor(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return cdc.ErrStopped
	}
	delete(m.cursors, name)
	m.trim()
	return nil
}

// trim forgets what is behind every cursor. The caller holds mu.
func (m *Memory) trim() {
	if len(m.cursors) == 0 {
		return
	}
	low := uint64(math.MaxUint64)
	for _, c := range m.cursors {
		low = min(low, c.Low)
	}
	if m.tail.forget(low) {
		m.free()
	}
}

// Stats implements [Journal].
func (m *Memory) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := Stats{Last: m.last, Durable: m.last, Open: len(m.open), Bytes: int64(m.opened + m.tail.bytes)}
	if len(m.tail.held()) > 0 {
		s.First = m.tail.first()
	}
	return s
}

// Close implements [Journal]. What is in it is lost.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.closed = true
		m.wake()
		close(m.roomy)
	}
	return nil
}

// Read implements [Journal].
func (m *Memory) Read(after uint64) (Reader, error) { return m.ReadFor("", after) }

// ReadFor implements [Journal].
func (m *Memory) ReadFor(destination string, after uint64) (Reader, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch first := m.tail.first(); {
	case m.closed:
		return nil, cdc.ErrStopped
	case after > m.last:
		return nil, &CorruptError{File: "memory", Seq: m.last,
			Reason: fmt.Sprintf("it is to be read from behind seq %d, which is beyond its end", after),
			Hint:   "a journal in memory knows nothing of a former one"}
	case after+1 < first:
		return nil, fmt.Errorf("journal: seq %d is no longer there, the journal begins at %d", after+1, first)
	}
	return &memoryReader{journal: m, destination: destination, next: after + 1}, nil
}

type memoryReader struct {
	journal     *Memory
	destination string
	next        uint64
	out         []Entry
	closed      bool
}

// Next implements [Reader].
func (r *memoryReader) Next(maxBytes int) ([]Entry, error) {
	m := r.journal
	clear(r.out)
	r.out = r.out[:0]
	m.mu.Lock()
	defer m.mu.Unlock()
	switch first := m.tail.first(); {
	case m.closed || r.closed:
		return nil, cdc.ErrStopped
	case r.next < first:
		return nil, fmt.Errorf("journal: seq %d is no longer there, the journal begins at %d", r.next, first)
	case r.next > m.last:
		return nil, nil
	}
	r.out = m.tail.read(r.out, r.destination, r.next, maxBytes)
	r.next = r.out[len(r.out)-1].Change.Seq + 1
	return r.out, nil
}

// Skip implements [Reader].
func (r *memoryReader) Skip(to uint64) { r.next = max(r.next, to) }

// More implements [Reader].
func (r *memoryReader) More() <-chan struct{} {
	m := r.journal
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || r.closed || r.next <= m.last {
		return m.ready
	}
	if m.more == nil {
		m.more = make(chan struct{})
	}
	return m.more
}

// Close implements [Reader].
func (r *memoryReader) Close() error {
	r.closed = true
	return nil
}
