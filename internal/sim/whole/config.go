package whole

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/journal"
)

// Config is what a world is made of. Its fields can be made smaller to find what a
// violation needs.
type Config struct {
	Seed    uint64
	Writes  int           // that the application makes
	Writers int           // that make them, at a time
	Records int           // of each resource
	Spread  time.Duration // over which they are made
	Faults  float64       // the chance that a call of the store, a driver or the log fails
	Lives   int           // that the process has before its last one
	Remote  bool          // the store is: a write may be applied after its client gave up
	Broken  int           // how often the disk fails for some operations
	Full    int           // how often it is full
	Outages int           // of each destination
	Fills   int           // backfills that somebody asks for, beside those of new destinations
	Pauses  int           // of destinations, some of which then go back and deliver again
	Retries int           // of all that failed at a destination, before the faults end
	Mended  bool          // in the end no delivery fails, and all that failed are retried

	Discards int            // of some that failed at a destination, before the faults end
	Keys     int            // with which the journal is encrypted, one after the other
	MaxBytes int64          // of the journal, 0 for no bound
	OnFull   journal.Policy // when that is spent
	Sync     journal.Sync   // when it is flushed
	Schemas  int            // how often a schema changes while a process lives, 0 if there are none
	Drops    bool           // fields go again

	Segment      int64 // bytes
	Tail         int   // bytes of the journal's end that stay in memory
	Destinations []Destination
}

// Destination is what a destination is like.
type Destination struct {
	Name        string
	Events      bool
	Ordered     bool
	Rows        cdc.Rows // what a state target says of the fields that a record lacks
	Merges      bool     // what it does: they stay
	Hold        bool
	Checks      bool
	Opens       bool
	Successes   bool // rows in the log for them too
	Late        bool // added when the process first starts anew, and backfilled then
	Items       int
	Concurrency int
	Window      int
	Retries     int
	GiveUp      time.Duration // 0 for never
	Moves       bool          // the key is a field that changes
	Syncs       bool          // the targets have a shape
	Groups      bool          // the lanes are a field that changes, and several records have
}

// Make gives the world of a seed.
func Make(seed uint64) Config {
	r := rand.New(rand.NewPCG(seed, 0))
	chance := func(p float64) bool { return r.Float64() < p }
	c := Config{
		Seed:    seed,
		Writes:  10 + r.IntN(70),
		Writers: 1 + r.IntN(5),
		Records: 1 + r.IntN(5),
		Spread:  time.Duration(5+r.IntN(60)) * time.Second,
		Faults:  []float64{0, 0.05, 0.2, 0.4}[r.IntN(4)],
		Lives:   r.IntN(5),
		Remote:  chance(0.4),
		Broken:  max(r.IntN(5)-2, 0),
		Full:    max(r.IntN(4)-2, 0),
		Outages: r.IntN(3),
		Fills:   max(r.IntN(4)-1, 0),
		Pauses:  max(r.IntN(4)-1, 0),
		Retries: max(r.IntN(4)-1, 0),
		Mended:  chance(0.6),
		Segment: []int64{2 << 10, 8 << 10, 64 << 10}[r.IntN(3)],
		Tail:    []int{1, 1000, 1 << 20}[r.IntN(3)],
	}
	for i := range 1 + r.IntN(3) {
		d := Destination{
			Name:        fmt.Sprintf("d%d", i+1),
			Events:      chance(0.5),
			Ordered:     chance(0.4),
			Rows:        cdc.Rows(r.IntN(3)),
			Merges:      chance(0.5),
			Hold:        chance(0.2),
			Checks:      chance(0.7),
			Opens:       chance(0.3),
			Successes:   chance(0.2),
			Items:       1 + r.IntN(8),
			Concurrency: 1 + r.IntN(4),
			Window:      []int{largeWindow, largeWindow, 4 << 10}[r.IntN(3)],
			Retries:     []int{-1, 1, 3}[r.IntN(3)],
		}
		if d.Rows != cdc.RowsUnknown {
			d.Merges = d.Rows == cdc.RowsMerged
		}
		d.Late = i == 2 && c.Lives > 0
		if d.Late {
			// What came before it is told by its rows alone.
			d.Events = false
		}
		c.Destinations = append(c.Destinations, d)
	}
	c.choose(rand.New(rand.NewPCG(seed, 1)))
	later := rand.New(rand.NewPCG(seed, 2))
	c.chooseSync(later)
	c.chooseSchemas(later)
	c.chooseBound(later)
	return c
}

// choose draws what a user may choose. Each has its own chance, and most worlds have one
// or two of them.
func (c *Config) choose(r *rand.Rand) {
	chance := func(p float64) bool { return r.Float64() < p }
	if chance(0.25) {
		c.Discards = 1 + r.IntN(3)
	}
	if chance(0.25) {
		c.Keys = 1 + r.IntN(4)
	}
	if chance(0.15) && c.Keys == 0 { // for both at once see chooseBound
		c.MaxBytes = 8 * []int64{512, 1 << 10, 2 << 10}[r.IntN(3)]
	}
	if (c.MaxBytes > 0 || c.Full > 0) && chance(0.5) {
		c.OnFull = journal.Unjournaled
	}
	for i := range c.Destinations {
		d := &c.Destinations[i]
		if chance(0.2) {
			d.GiveUp = time.Duration(1+r.IntN(40)) * time.Second
		}
		d.Moves = chance(0.3)
		// Rows want the order of each record, which groups do not keep: a record that is
		// deleted in one may be inserted in another.
		d.Groups = chance(0.3) && d.Events
	}
}

// chooseSync draws when the journal is flushed. What may go wrong with that needs flushes that
// fail, several segments, and processes that die.
func (c *Config) chooseSync(r *rand.Rand) {
	if r.Float64() > 0.2 {
		return
	}
	c.Sync = []journal.Sync{journal.SyncNever, journal.SyncInterval(10 * time.Millisecond), journal.SyncInterval(time.Second), journal.SyncInterval(5 * time.Second)}[r.IntN(4)]
	c.Broken += r.IntN(3)
	c.Lives += r.IntN(4)
	c.Fills += r.IntN(2)
	if r.IntN(2) == 0 {
		c.Segment = 2 << 10
	}
	if last := &c.Destinations[len(c.Destinations)-1]; c.Lives > 0 && len(c.Destinations) > 1 && r.IntN(2) == 0 {
		last.Late, last.Events, last.Groups = true, false, false
	}
}

// chooseBound gives some of the encrypted journals a bound. Where there may be no room for a
// note no field goes, see chooseSchemas.
func (c *Config) chooseBound(r *rand.Rand) {
	if c.Keys == 0 || r.Float64() > 0.3 {
		return
	}
	c.MaxBytes, c.Drops = 8*[]int64{512, 1 << 10, 2 << 10}[r.IntN(3)], false
	if c.OnFull == 0 && r.IntN(2) == 0 {
		c.OnFull = journal.Unjournaled
	}
}

// largeWindow holds all changes of a world.
const largeWindow = 4 << 20

// Smaller gives the worlds that are one step smaller, those first that lack most.
func (c Config) Smaller() (smaller []Config) {
	with := func(change func(*Config)) {
		s := c
		s.Destinations = append([]Destination(nil), c.Destinations...)
		change(&s)
		smaller = append(smaller, s)
	}
	for i := range c.Destinations {
		if len(c.Destinations) > 1 {
			with(func(s *Config) {
				s.Destinations = append(s.Destinations[:i], s.Destinations[i+1:]...)
				s.Destinations[0].Late = false
			})
		}
	}
	for _, n := range []func(*Config) *int{
		func(c *Config) *int { return &c.Broken }, func(c *Config) *int { return &c.Full }, func(c *Config) *int { return &c.Outages },
		func(c *Config) *int { return &c.Fills }, func(c *Config) *int { return &c.Pauses }, func(c *Config) *int { return &c.Lives },
		func(c *Config) *int { return &c.Retries }, func(c *Config) *int { return &c.Schemas }, func(c *Config) *int { return &c.Discards }, func(c *Config) *int { return &c.Keys },
	} {
		if *n(&c) > 0 {
			with(func(s *Config) { *n(s) = 0 })
		}
		if *n(&c) > 1 {
			with(func(s *Config) { *n(s)-- })
		}
	}
	if c.Faults > 0 {
		with(func(s *Config) { s.Faults = 0 })
	}
	if c.Mended {
		with(func(s *Config) { s.Mended = false })
	}
	if c.Remote {
		with(func(s *Config) { s.Remote = false })
	}
	if c.MaxBytes > 0 {
		with(func(s *Config) { s.MaxBytes = 0 })
	}
	if c.Drops {
		with(func(s *Config) { s.Drops = false })
	}
	if c.Sync != 0 {
		with(func(s *Config) { s.Sync = 0 })
	}
	for i, d := range c.Destinations {
		for _, without := range []func(*Destination){
			func(d *Destination) { d.GiveUp = 0 }, func(d *Destination) { d.Moves = false }, func(d *Destination) { d.Groups = false },
		} {
			if less := d; func() bool { without(&less); return less != d }() {
				with(func(s *Config) { s.Destinations[i] = less })
			}
		}
	}
	if c.Writers > 1 {
		with(func(s *Config) { s.Writers = 1 })
	}
	if c.Writes > 1 {
		with(func(s *Config) { s.Writes /= 2 })
		with(func(s *Config) { s.Writes-- })
	}
	if c.Records > 1 {
		with(func(s *Config) { s.Records-- })
	}
	return smaller
}

// String gives the world in one line.
func (c Config) String() string {
	store := "a local store"
	if c.Remote {
		store = "a remote store"
	}
	parts := []string{
		fmt.Sprintf("%d writes by %d of %d records in %v, %s, faults %v, %d lives", c.Writes, c.Writers, c.Records, c.Spread, store, c.Faults, c.Lives),
		fmt.Sprintf("disk broken %d and full %d times, segments of %d bytes", c.Broken, c.Full, c.Segment),
		fmt.Sprintf("%d outages, %d backfills, %d pauses, %d retries, mended %v", c.Outages, c.Fills, c.Pauses, c.Retries, c.Mended),
	}
	if c.Discards > 0 || c.Keys > 0 {
		parts = append(parts, fmt.Sprintf("%d discards, %d keys", c.Discards, c.Keys))
	}
	if c.Schemas > 0 {
		parts = append(parts, fmt.Sprintf("schemas changed %d times, fields go %v", c.Schemas, c.Drops))
	}
	if c.Sync != 0 {
		parts = append(parts, fmt.Sprintf("flushed each %v", time.Duration(c.Sync)))
	}
	if c.MaxBytes > 0 || c.OnFull != 0 {
		parts = append(parts, fmt.Sprintf("a journal of %d bytes, policy %d", c.MaxBytes, c.OnFull))
	}
	for _, d := range c.Destinations {
		parts = append(parts, d.String())
	}
	return strings.Join(parts, "; ")
}

// String gives the destination in a few words.
func (d Destination) String() string {
	kind := "rows"
	switch {
	case d.Events:
		kind = "events"
	case d.Merges:
		kind = "merged rows"
	}
	parts := []string{fmt.Sprintf("%s: %s in %ds, %d at a time, %d retries", d.Name, kind, d.Items, d.Concurrency, d.Retries)}
	for _, is := range []struct {
		word string
		so   bool
	}{{"ordered", d.Ordered}, {"hold", d.Hold}, {"late", d.Late}, {"moving keys", d.Moves}, {"shaped", d.Syncs}, {"ordered by groups", d.Groups}, {fmt.Sprint("given up after ", d.GiveUp), d.GiveUp > 0}} {
		if is.so {
			parts = append(parts, is.word)
		}
	}
	return strings.Join(parts, ", ")
}
