package journal

import (
	"errors"
	"fmt"
	"math"
	"os"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/disk"
)

// Policy says what becomes of new changes while the disk budget is spent. The ends of
// what was announced before are kept in memory until they can be written, whatever
// the policy.
type Policy uint8

// The policies.
const (
	// RefuseWrites: Begin and Append fail with cdc.ErrJournalFull. Nothing is lost.
	RefuseWrites Policy = iota
	// DetachSlowest: Begin and Append wait for up to detachWait until the owner of the
	// journal has moved on, or dropped, the cursor that [Disk.Slowest] names; then as
	// RefuseWrites.
	DetachSlowest
	// Unjournaled: Begin and Append succeed and keep nothing but the count in
	// Stats.Unjournaled: those changes reach no destination.
	Unjournaled
)

// Pressure is how close the disk budget is to being spent.
type Pressure uint8

// The pressures.
const (
	PressureNone Pressure = iota
	// PressureHigh: four fifths of MaxBytes are taken, or a quarter more than
	// MinFreeBytes is left.
	PressureHigh
	// PressureFull: the policy decides over new changes.
	PressureFull
)

// leastSegment is the smallest segment that is worth a file of its own where there
// is little room.
const leastSegment = 64 << 10

// errNoRoom: the budget leaves no room. It is cdc.ErrJournalFull with what is known.
type errNoRoom struct{ reason string }

func (e *errNoRoom) Error() string { return cdc.ErrJournalFull.Error() + ": " + e.reason }
func (e *errNoRoom) Unwrap() error { return cdc.ErrJournalFull }

// noRoom makes an error of a full file system one of a spent budget; others stay.
func noRoom(err error) error {
	if disk.IsFull(err) {
		return &errNoRoom{err.Error()}
	}
	return err
}

// room is how many more bytes the budget allows, with so many taken and so many free
// on the file system; math.MaxInt64 is no bound.
func (o *Options) room(taken, free int64) int64 {
	room := free
	if o.MinFreeBytes > 0 && free != math.MaxInt64 {
		room = free - o.MinFreeBytes
	}
	if o.MaxBytes > 0 {
		room = min(room, o.MaxBytes-taken)
	}
	return room
}

// pressure judges the budget.
func (o *Options) pressure(taken, free int64) Pressure {
	if o.MaxBytes > 0 && taken >= o.MaxBytes/5*4 || o.MinFreeBytes > 0 && free < o.MinFreeBytes/4*5 {
		return PressureHigh
	}
	return PressureNone
}

// segmentSize is how large a file to make where one of the wanted size does not fit,
// false if there is no room even for what it must hold at least.
func segmentSize(wanted, least, room int64) (int64, bool) {
	size := min(wanted, room)
	return size, size >= min(wanted, leastSegment) && room >= least
}

// free is what the file system has left, math.MaxInt64 if it does not tell.
func (d *Disk) free() (int64, error) {
	free, err := d.fs.Free()
	if errors.Is(err, errors.ErrUnsupported) {
		return math.MaxInt64, nil
	}
	return free, err
}

// fit judges whether a further file may be made, and how large.
func (d *Disk) fit(wanted, least int64) (int64, error) {
	size, err := d.tryFit(wanted, least)
	if errors.Is(err, cdc.ErrJournalFull) && d.yield() {
		return d.tryFit(wanted, least)
	}
	return size, err
}

func (d *Disk) tryFit(wanted, least int64) (int64, error) {
	free, err := d.free()
	if err != nil {
		return 0, err
	}
	d.mu.Lock()
	taken := d.taken()
	d.mu.Unlock()
	room := d.opts.room(taken, free)
	size, ok := segmentSize(wanted, least, room)
	if !ok {
		return 0, &errNoRoom{fmt.Sprintf("it takes %d bytes, of which it may take %d more, and needs %d", taken, max(room, 0), max(least, min(wanted, leastSegment)))}
	}
	return size, nil
}

// taken is the size of the segments' files. The caller holds mu.
func (d *Disk) taken() (sum int64) {
	for _, s := range d.segments {
		sum += s.size
	}
	return sum
}

// assess tells the owner when the pressure has changed.
func (d *Disk) assess() {
	free, err := d.free()
	if err != nil {
		return // who writes next meets it too, and tells
	}
	d.mu.Lock()
	now := d.opts.pressure(d.taken(), free)
	if d.full != nil {
		now = PressureFull
	}
	changed := now != d.pressure
	d.pressure = now
	d.mu.Unlock()
	if changed && d.opts.Pressure != nil {
		d.opts.Pressure(now)
	}
}

// reserveName is a file of Options.ReserveBytes that is deleted when the disk is
// full, so that small things can still be written.
const reserveName = "reserve"

// keepReserve makes the reserve if it is missing and fits. That it can't be made is
// no failure: the next who asks is again the writer, when there is room.
func (d *Disk) keepReserve() {
	if d.opts.ReserveBytes == 0 || d.writer.reserved {
		return
	}
	if b, err := d.fs.OpenFile(reserveName, os.O_RDONLY, 0); err == nil {
		size, err := b.Size()
		b.Close()
		if d.writer.reserved = err == nil && size == d.opts.ReserveBytes; d.writer.reserved {
			return
		}
	}
	if free, err := d.free(); err != nil || d.opts.room(0, free) < d.opts.ReserveBytes {
		return
	}
	f, err := d.fs.OpenFile(reserveName, os.O_RDWR|os.O_CREATE, disk.PrivateFile)
	if err != nil {
		return
	}
	if err = disk.ZeroFill(f, 0, d.opts.ReserveBytes); err == nil {
		err = f.Sync() // what is not allocated yet reserves nothing
	}
	if errors.Join(err, f.Close()) != nil {
		d.fs.Remove(reserveName)
		return
	}
	d.writer.reserved = true
}

// freeReserve gives the reserve to those who need it.
func (d *Disk) freeReserve() {
	if d.writer.reserved && d.fs.Remove(reserveName) == nil {
		d.writer.reserved = false
	}
}
