package whole

import (
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/disk/faultfs"
)

const (
	// patience is how long everything may take to settle once the faults have ended: some
	// rounds of the longest pause that a destination may ask for.
	patience = 2 * time.Hour
	// calm is how long the faults go on after the last write is due.
	calm = 30 * time.Second
)

// world is everything that a run consists of.
type world struct {
	Config
	start, healthy time.Time
	folder         string // of the log

	mu    sync.Mutex // guards what follows; nobody sleeps under it
	trace io.Writer
	err   error
	drawn map[string]uint64

	// What outlives a process.
	disk    *faultfs.FS
	records map[cdc.Key]*record
	ids     []string // of the records, sorted, the beat first; not changed
	writes  []*write
	left    int // writes to be made
	writing int // that are being made
	made    int
	places  []*place
	lives   int
	hurt    bool // the last process could not write its journal any more
	journal numbers
	shapes  map[string]*shapes // by resource
	// restated holds what Retry read, by the id under which it goes.
	restated map[cdc.ID]restatement
	uncaught uint64 // changes that a full journal let go, as it says
	over     bool

	safe time.Time // what was announced before is flushed
	cut  bool      // the power was lost, and the journal was not opened since
}

// Run runs a world to its end and gives the first violation of a promise, nil if there
// was none. If trace is not nil it is told every step.
func Run(t *testing.T, c Config, trace io.Writer) (err error) {
	folder, err := os.MkdirTemp(memory(), "sim-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	defer func() {
		if v := recover(); v != nil { // all wait for each other, or somebody for ever
			all := make([]byte, 1<<20)
			err = fmt.Errorf("%v\n%s", v, all[:runtime.Stack(all, true)])
		}
	}()
	synctest.Test(t, func(*testing.T) {
		w := newWorld(c, folder, trace)
		w.run()
		err = w.err
	})
	return err
}

// memory is a directory in memory, if the system has one: a flush of the log takes no
// time there.
func memory() string {
	const shm = "/dev/shm"
	if info, err := os.Stat(shm); err == nil && info.IsDir() {
		return shm
	}
	return ""
}

func newWorld(c Config, folder string, trace io.Writer) *world {
	w := &world{
		Config: c, start: time.Now(), folder: folder, trace: trace,
		drawn: map[string]uint64{}, disk: faultfs.New(), records: map[cdc.Key]*record{}, restated: map[cdc.ID]restatement{}, left: c.Writes,
	}
	w.healthy = w.start.Add(c.Spread + calm)
	w.ids = []string{beat}
	for i := range c.Records {
		w.ids = append(w.ids, fmt.Sprintf("r%d", i))
	}
	for _, resource := range resources {
		for _, id := range w.ids {
			w.records[cdc.Key{Resource: resource, RecordID: id}] = &record{}
		}
	}
	w.journal.init()
	w.shapes = map[string]*shapes{}
	for _, resource := range resources {
		w.shapes[resource] = &shapes{}
		w.shapes[resource].version.Store(int64(min(c.Schemas, 1)))
	}
	for _, d := range c.Destinations {
		w.places = append(w.places, newPlace(w, d))
	}
	return w
}

// run lets one process follow the other, until all is settled.
func (w *world) run() {
	w.log("%v", w.Config)
	for w.running() {
		if p := w.boot(); p != nil {
			p.live()
		}
	}
	w.checkEnd()
}

// running reports whether the world goes on.
func (w *world) running() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err == nil && !w.over
}

// draw gives the random numbers of the next choice that somebody makes.
func (w *world) draw(who string) *rand.Rand {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drawn[who]++
	return w.dice(fmt.Sprint(who, " ", w.drawn[who]))
}

// dice gives the random numbers of a name.
func (w *world) dice(name string) *rand.Rand {
	h := fnv.New64a()
	io.WriteString(h, name)
	return rand.New(rand.NewPCG(w.Seed, h.Sum64()))
}

// faulty reports whether a call fails that has no better reason to.
func (w *world) faulty(r *rand.Rand) bool {
	return r.Float64() < w.Faults && time.Now().Before(w.healthy)
}

// mended reports whether no delivery fails any more.
func (w *world) mended() bool { return w.Mended && time.Now().After(w.healthy) }

// violation ends the world. The caller holds mu.
func (w *world) violation(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
		w.log("VIOLATION %v", w.err)
	}
}

// accuse is violation for those who do not hold mu.
func (w *world) accuse(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.violation(format, args...)
}

// log tells the trace. The caller holds mu, or is alone.
func (w *world) log(format string, args ...any) {
	if w.trace != nil {
		fmt.Fprintf(w.trace, "%10.3fs %s\n", time.Since(w.start).Seconds(), fmt.Sprintf(format, args...))
	}
}

func (w *world) say(format string, args ...any) {
	if w.trace != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.log(format, args...)
	}
}
