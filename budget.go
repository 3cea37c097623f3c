package replicator

import (
	"time"

	"github.com/s3db-go/replicator/internal/journal"
)

// FullPolicy says what becomes of writes to the store while there is no room for the
// journal. What was announced before is ended, delivered and settled under each of
// them, and all go on by themselves when there is room again.
type FullPolicy uint8

// The policies.
const (
	// RefuseWrites: a write fails with an error before the store applies it. Nothing is
	// lost.
	RefuseWrites FullPolicy = iota
	// DetachSlowest: the destination that has settled the least lets go of everything
	// that waits for it, and goes on at the journal's end. A row in the log, with an
	// empty target, says from where to where. Where it holds state, and the source can be
	// scanned, it is backfilled by itself as soon as it takes anything; what was deleted
	// meanwhile stays there. Events are lost. Writes wait meanwhile, for up to ten
	// seconds; then they are refused.
	DetachSlowest
	// Unjournaled: writes go on and are not captured. Stats counts them and Health says so,
	// over restarts, until Replicator.Backfill has been called for every destination, with
	// no resources named: until then what they did differs at it, unless the record
	// changes again. What a crash finds uncounted is that of the last second.
	Unjournaled
)

// Pressure is how much of the journal's disk budget is spent.
type Pressure string

// The pressures.
const (
	PressureNone Pressure = "none"
	// PressureHigh: four fifths of MaxJournalBytes are taken, or little more than
	// MinFreeBytes is free.
	PressureHigh Pressure = "high"
	// PressureFull: Options.OnFull decides over writes.
	PressureFull Pressure = "full"
)

// pressures are those of the journal, in its order.
var pressures = [...]Pressure{journal.PressureNone: PressureNone, journal.PressureHigh: PressureHigh, journal.PressureFull: PressureFull}

// policies are those of the journal.
var policies = [...]journal.Policy{RefuseWrites: journal.RefuseWrites, DetachSlowest: journal.DetachSlowest, Unjournaled: journal.Unjournaled}

const (
	// leastJournal is the least MaxJournalBytes: segments of 128 KiB, below which
	// making files costs more than writing them.
	leastJournal = 1 << 20
	// reserveBytes keeps the log and the cursors writable: some thousand rows.
	reserveBytes = 4 << 20
)

// Sync says when the journal is flushed to the disk. A process that is killed loses
// nothing, whatever it is: only a loss of power or a crash of the system does. The
// journal is flushed also before a destination's place in it is saved, about every
// second in which something is delivered, and by Stop.
//
// What is lost are changes that the store may well have applied: they reach no
// destination that has not got them already, and nothing tells which they were.
type Sync time.Duration

const (
	// SyncAlways flushes before the store applies a write. Nothing is lost.
	SyncAlways = Sync(journal.SyncAlways)
	// SyncNever leaves it to the system when to write, which is usually after about
	// half a minute. What was written since is lost, at most the newest 64 MiB.
	SyncNever = Sync(journal.SyncNever)
)

// SyncInterval flushes at most d after a write. What was written within that time is
// lost.
func SyncInterval(d time.Duration) Sync { return Sync(journal.SyncInterval(d)) }

// Retain says how much of the journal is kept behind the destinations, in whole
// segments of up to 64 MiB. It gives way when the disk budget is spent.
type Retain struct {
	// Bytes is how much is kept at most, 0 for no bound.
	Bytes int64
	// Age is how old what is kept may get, 0 for no bound.
	Age time.Duration
}

// Encryption of the journal with AES-256-GCM. What is seen without the key is how much
// is written and when, the names of the destinations, and the ids of the keys.
type Encryption struct {
	// KeyID names the key for what is written from now on. It is asked for every new
	// segment and every cursor: another name moves on to another key, while what was
	// written before keeps its own until it is deleted, a few segments later. ""
	// encrypts no more.
	KeyID func() string
	// Key gives the key of a name: 32 random bytes. It is asked for everything that is
	// written or read anew and should remember what it had to look up: an error is like
	// one of the disk, and stops the journal until the next Start.
	Key func(id string) ([]byte, error)
}

// journal gives the options of the journal.
func (o Options) journal() journal.Options {
	return journal.Options{
		Encryption: journal.Encryption(o.Encryption), Sync: journal.Sync(o.Sync), Retain: journal.Retain(o.Retain),
		MaxBytes: o.MaxJournalBytes, MinFreeBytes: o.MinFreeBytes, OnFull: policies[o.OnFull], ReserveBytes: reserveBytes,
		Logger: o.Logger,
	}
}
