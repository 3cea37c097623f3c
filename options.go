package replicator

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/route"
)

// Options configure a Replicator. The zero value of every field is its default.
type Options struct {
	// Dir is the directory of the journal, the cursors and the log. It must outlive
	// the process: what is not delivered yet waits there. Created with mode 0700 if
	// missing. One process uses it at a time. Required unless Volatile.
	Dir string

	// MaxJournalBytes bounds the journal on disk, 0 for no bound but the disk's. It is
	// exceeded by little, for the ends of what was announced already. Unless it is
	// spent by one change, at most seven eighths of it hold changes that wait.
	MaxJournalBytes int64

	// MinFreeBytes is what the journal leaves free on its file system. 0 for nothing
	// but a reserve of 4 MiB, which keeps the log and the cursors writable when the
	// disk is full.
	MinFreeBytes int64

	// OnFull says what becomes of writes when there is no more room for the journal.
	// RefuseWrites by default.
	OnFull FullPolicy

	// Volatile keeps the journal in memory: what is not delivered when the process
	// ends, however it ends, is lost. The journal holds up to MaxJournalBytes, 64 MiB by
	// default; while that is spent, writes wait. Without a Dir, the log is in a
	// temporary directory that Stop removes.
	Volatile bool

	// Sync says when the journal is flushed to the disk. SyncAlways by default, which
	// loses nothing.
	Sync Sync

	// Retain keeps some of what is settled in the journal. Nothing by default.
	Retain Retain

	// Encryption encrypts the journal and the cursors in Dir. The log, log.db, is not
	// encrypted: it holds the failed changes, and with Log.Successes all. None by
	// default.
	Encryption Encryption

	// Destinations to carry changes to. At least one.
	Destinations []Destination

	// Retired names destinations that were configured in a former run and are given
	// up, with the changes that still wait for them. Without it, Start refuses to
	// go on with a cursor that belongs to nobody, since it would keep the journal
	// from ever being trimmed.
	Retired []string

	// MaxRetries is how often a delivery is tried again after its first attempt
	// before it is given up; -1 means never again. Only attempts that the record
	// itself is to blame for count: an outage of the destination spends none. One that
	// fails as unavailable while others get through is tried at least 20 times again, within some
	// minutes, before it is held to be what brings the destination down.
	// Defaults to 3.
	MaxRetries int

	// Timeout bounds one attempt. Defaults to 30 s.
	Timeout time.Duration

	// GiveUpAfter ends the waiting for a destination: while one has been unavailable
	// for so long, deliveries whose change is older than that are given up. Zero, the
	// default, waits for ever.
	GiveUpAfter time.Duration

	// Concurrency caps the attempts that run at a time, all destinations together. Each
	// destination always has one of them to itself, so it can't be less than there are
	// destinations. Zero, the default, leaves it to the drivers: each up to its own limit,
	// usually eight.
	Concurrency int

	// Log says what is kept of the outcomes.
	Log LogOptions

	// RetryFailedEvery puts failed deliveries back on the road by itself, as Retry does, so
	// often. Of a destination that is unavailable only one at a time goes, uncounted, and
	// none of one that is paused. Zero, the default, leaves it to Retry.
	RetryFailedEvery time.Duration

	// RetryFailedMax bounds how often that is done with a delivery, by its RetryCount.
	// Defaults to 3.
	RetryFailedMax int

	// Logger receives warnings when a delivery is given up or a destination goes
	// away and comes back, and a line per delivery at Debug. nil is silence.
	Logger *slog.Logger

	// Telemetry says where OpenTelemetry gets metrics and spans.
	Telemetry Telemetry
}

// Destination is a named driver with its routes.
type Destination struct {
	// Name is the destination's identity: its place in the journal is kept under
	// it, so renaming a destination makes a new one. Unique. Defaults to the
	// driver's name.
	Name string

	// Driver carries the deliveries. Each destination needs a driver of its own,
	// since it opens and closes it. Required.
	Driver Driver

	// Routes say what is wanted, in what shape and under what name. At least one.
	Routes []Route

	// ShouldReplicate is asked before any route's own; false skips the change here.
	// nil lets everything pass. See Route.ShouldReplicate for what it may do.
	ShouldReplicate func(Change) bool

	// OnFailure says what becomes of a record's later changes when one was given up.
	// Defaults to Skip.
	OnFailure OnFailure

	// Rate bounds the deliveries that are sent in a second, retries included; no more
	// than a tenth of it goes at once. Zero, the default, is no bound.
	Rate float64

	// InitialSync backfills the destination when it is new, that is, has no place in
	// the journal yet: it gets the present records of all resources whose inserts its
	// routes carry, while live changes flow to it already. Start does not wait for it.
	// It is carried out once, over Stop, Start and crashes; with Options.Volatile, where
	// every destination is new, at each Start. Default false: it gets what is written
	// from then on.
	InitialSync bool

	// Backfill says how InitialSync and Replicator.Backfill send present records.
	Backfill BackfillOptions
}

// OnFailure says what becomes of a record's later changes when one was given up.
type OnFailure uint8

// The ways to go on after a failure.
const (
	// Skip: they go on. The log has the one that failed.
	Skip OnFailure = iota
	// Hold: they follow it into the log, with StatusHeld, so that the record's changes
	// stay in order for whoever sends them again. It is kept in mind for every record
	// with such rows, at about a hundred bytes each.
	Hold
)

// maxName bounds a destination's name, in bytes: its cursor is a file, in whose name
// each may take three, and file names end at 255.
const maxName = 64

const (
	defaultMaxRetries = 3
	defaultTimeout    = 30 * time.Second
)

// withDefaults gives a copy in which every field that has a default is set.
func (o Options) withDefaults() Options {
	o.MaxRetries = cmp.Or(o.MaxRetries, defaultMaxRetries)
	o.Timeout = cmp.Or(o.Timeout, defaultTimeout)
	o.Log.Retention = cmp.Or(o.Log.Retention, defaultRetention)
	o.RetryFailedMax = cmp.Or(o.RetryFailedMax, defaultRetryFailedMax)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Destinations = slices.Clone(o.Destinations)
	for i, d := range o.Destinations {
		o.Destinations[i] = d.withDefaults()
	}
	return o
}

func (d Destination) withDefaults() Destination {
	d.Routes = slices.Clone(d.Routes)
	if d.Name == "" && !missing(d.Driver) {
		d.Name = d.Driver.Name()
	}
	d.Backfill.ChunkSize = cmp.Or(d.Backfill.ChunkSize, defaultChunk)
	return d
}

// validate judges the options, defaults filled in, and gives every fault at once.
func (o Options) validate() error {
	var faults []error
	add := func(format string, args ...any) { faults = append(faults, fmt.Errorf("replicator: "+format, args...)) }

	if o.Dir == "" && !o.Volatile {
		add("Dir is empty; the journal needs a directory that outlives the process")
	}
	if o.MaxRetries < -1 {
		add("MaxRetries is %d; -1 is the least and means no retry", o.MaxRetries)
	}
	if o.Timeout < 0 {
		add("Timeout is %v; it can't be negative", o.Timeout)
	}
	if o.GiveUpAfter < 0 {
		add("GiveUpAfter is %v; it can't be negative, and 0 waits for ever", o.GiveUpAfter)
	}
	if o.Concurrency < 0 || o.Concurrency > 0 && o.Concurrency < len(o.Destinations) {
		add("Concurrency is %d; each of the %d destinations needs one attempt at least, and 0 is no cap", o.Concurrency, len(o.Destinations))
	}
	if o.MaxJournalBytes < 0 || o.MaxJournalBytes > 0 && o.MaxJournalBytes < leastJournal {
		add("MaxJournalBytes is %d; %d is the least", o.MaxJournalBytes, leastJournal)
	}
	if o.MinFreeBytes < 0 {
		add("MinFreeBytes is %d; it can't be negative", o.MinFreeBytes)
	}
	if o.OnFull > Unjournaled {
		add("OnFull is %d, which is no policy", o.OnFull)
	}
	if o.Retain.Bytes < 0 || o.Retain.Age < 0 {
		add("Retain is %v; it can't be negative", o.Retain)
	}
	faults = append(faults, o.logFaults()...)
	if (o.Encryption.Key == nil) != (o.Encryption.KeyID == nil) {
		add("Encryption needs both KeyID and Key")
	}
	if o.Volatile && (o.Sync != SyncAlways || o.OnFull != RefuseWrites || o.MinFreeBytes != 0 || o.Retain != Retain{}) {
		add("Volatile keeps nothing on disk; Sync, OnFull, MinFreeBytes and Retain have no effect with it")
	}
	if len(o.Destinations) == 0 {
		add("Destinations is empty; there is nowhere to replicate to")
	}
	for i, d := range o.Destinations {
		where := fmt.Sprintf("destination %q", d.Name)
		if d.Name == "" {
			where = fmt.Sprintf("Destinations[%d]", i)
		}
		for j, other := range o.Destinations[:i] {
			if d.Name != "" && d.Name == other.Name {
				add("%s: Name is used twice, by Destinations[%d] and Destinations[%d]", where, j, i)
			}
			if sameDriver(d.Driver, other.Driver) {
				add("%s: Driver is shared with %q; each destination needs its own", where, other.Name)
			}
		}
		for _, err := range d.faults() {
			add("%s: %w", where, err)
		}
		if slices.Contains(o.Retired, d.Name) {
			add("%s: is configured and in Retired", where)
		}
	}
	return errors.Join(faults...)
}

func (d Destination) faults() (faults []error) {
	add := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if missing(d.Driver) {
		add("Driver is nil")
	} else if v, ok := d.Driver.(cdc.Validator); ok {
		for _, err := range each(v.Validate()) {
			add("Driver: %w", err)
		}
	}
	if d.OnFailure > Hold {
		add("OnFailure is %d; there are Skip and Hold", d.OnFailure)
	}
	if d.Rate < 0 || math.IsNaN(d.Rate) {
		add("Rate is %v; it can't be negative, and 0 is no bound", d.Rate)
	}
	if len(d.Routes) == 0 {
		add("Routes is empty; nothing would be replicated")
	}
	if len(d.Name) > maxName || strings.ContainsFunc(d.Name, unicode.IsControl) || !utf8.ValidString(d.Name) {
		add("Name must be text of at most %d bytes", maxName)
	}
	for _, err := range d.Backfill.faults() {
		add("%w", err)
	}
	for i, r := range d.Routes {
		if r.From == "" {
			add("Routes[%d].From is empty", i)
		}
		if r.OnLeave > Remove {
			add("Routes[%d].OnLeave is %d; there are Keep and Remove", i, r.OnLeave)
		}
		if r.Actions&^cdc.AllOps != 0 {
			add("Routes[%d].Actions has an unknown operation: %v", i, r.Actions)
		}
		for k, field := range r.Key {
			if field == "" {
				add("Routes[%d].Key[%d] is empty", i, k)
			} else if slices.Contains(r.Key[:k], field) {
				add("Routes[%d].Key names %q twice", i, field)
			}
		}
		if r.Schema != nil && r.Transform == nil {
			add("Routes[%d].Schema is the shape that Transform gives, but Transform is nil", i)
		}
		for j, other := range d.Routes[:i] {
			if r.From != "" && r.From == other.From && cmp.Or(r.To, r.From) == cmp.Or(other.To, other.From) {
				add("Routes[%d] and Routes[%d] both carry %q to %q", j, i, r.From, cmp.Or(r.To, r.From))
			}
		}
	}
	return faults
}

// each gives the errors that were joined into one, so that each gets a prefix.
func each(err error) (errs []error) {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	for _, e := range joined.Unwrap() {
		errs = append(errs, each(e)...)
	}
	return errs
}

// missing reports whether a driver is nil, also when it is a nil pointer in an
// interface.
func missing(d Driver) bool {
	if d == nil {
		return true
	}
	v := reflect.ValueOf(d)
	return v.Kind() == reflect.Pointer && v.IsNil()
}

// sameDriver reports whether two destinations would open and close one driver.
func sameDriver(a, b Driver) bool {
	return !missing(a) && reflect.TypeOf(a).Comparable() && a == b
}

// rules gives the destination's routes as the router takes them.
func (d Destination) rules() []route.Rule {
	rules := make([]route.Rule, len(d.Routes))
	for i, r := range d.Routes {
		rules[i] = route.Rule{
			From: r.From, To: r.To, Key: r.Key, Actions: r.Actions, ShouldReplicate: r.ShouldReplicate, OnLeave: route.Leave(r.OnLeave),
			OrderBy: r.OrderBy, Transform: r.Transform, Secrets: r.Secrets, Schema: r.Schema,
		}
	}
	return rules
}
