package journal

import (
	"cmp"
	"log/slog"
	"time"
)

// Options of [Open]. The zero value is ready.
type Options struct {
	// Now is the wall clock from which versions are made; time.Now by default.
	Now func() time.Time
	// SegmentBytes is how large a segment gets before the next one is begun; a
	// segment is exceeded by at most one group of writes. The first ones of a new
	// journal are smaller. 64 MiB by default.
	SegmentBytes int64
	// Encryption at rest; none by default.
	Encryption Encryption
	// Retain says what is kept of what is settled; nothing by default.
	Retain Retain
	// Sync says when to flush; SyncAlways by default.
	Sync Sync
	// TailBytes is how much of what came before the newest group of writes stays in memory
	// at most, by encoded size, for readers that keep up. 4 MiB by default: decoded it is
	// several times as much, through which the garbage collector walks again and again. With
	// less, PostgreSQL took an eighth fewer of the Inserts of 64 writers, since more had to be
	// decoded; with 1 MiB webhooks, which are slower than such writers, took a twentieth more.
	TailBytes int
	// MaxBytes is how large the journal's segments may get, 0 for no bound. It is
	// exceeded by little: by what a segment repeats at its beginning, by the small segment
	// that opening a journal may take, and at Close by the ends of what was announced, which
	// until then wait in memory for room. A segment is at most an eighth of it.
	MaxBytes int64
	// MinFreeBytes is what is left free on the file system, 0 for nothing.
	MinFreeBytes int64
	// OnFull says what becomes of new changes when there is no more room, be it for
	// MaxBytes, MinFreeBytes, or because the disk is full. RefuseWrites by default.
	OnFull Policy
	// ReserveBytes is the size of a file that is deleted when the disk is full, so
	// that cursors and what else is small can still be written; 0 for none.
	ReserveBytes int64
	// Pressure is told when the pressure on the budget has changed, from the
	// goroutine that writes: it must not wait, nor call the journal. nil is told
	// nothing.
	Pressure func(Pressure)
	// Logger gets what an operator should know: a torn tail that was cut, a failed
	// write. nil is silence.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	o.SegmentBytes = cmp.Or(o.SegmentBytes, 64<<20)
	if o.MaxBytes > 0 {
		// So that what is settled is given back in pieces that matter.
		o.SegmentBytes = min(o.SegmentBytes, o.MaxBytes/8)
	}
	o.TailBytes = cmp.Or(o.TailBytes, 4<<20)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}
