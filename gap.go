package replicator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/s3db-go/replicator/internal/disk"
)

// gap is what the policy Unjournaled let go, kept over restarts until every destination
// that was there has been backfilled since.
type gap struct {
	fs disk.FS // nil if nothing outlives the process

	mu      sync.Mutex // guards what follows
	kept    gapFile
	counted uint64 // how much of the journal's count is in kept
}

// gapName is the file of a gap; there is none if nothing is missing.
const gapName = "unjournaled.json"

// gapFile is a gap as it is kept. Names are bytes, since JSON would alter one that is not
// valid UTF-8.
type gapFile struct {
	Changes      uint64   `json:"changes"`
	Destinations [][]byte `json:"destinations"` // not backfilled since
}

func openGap(fsys disk.FS) (*gap, error) {
	g := &gap{fs: fsys}
	if fsys == nil {
		return g, nil
	}
	data, err := disk.ReadFile(fsys, gapName)
	if errors.Is(err, fs.ErrNotExist) {
		return g, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &g.kept)
	}
	if err != nil {
		return nil, fmt.Errorf("%s in %s: %w; without the file it is not known that changes were not captured", gapName, fsys.Name(), err)
	}
	return g, nil
}

// size is how many changes are missing, by the journal's present count.
func (g *gap) size(journal uint64) uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.kept.Changes + journal - g.counted
}

// grow notes what the journal let go since, for all destinations.
func (g *gap) grow(journal uint64, destinations []*destination) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if journal == g.counted {
		return nil
	}
	next := gapFile{Changes: g.kept.Changes + journal - g.counted}
	for _, d := range destinations {
		next.Destinations = append(next.Destinations, []byte(d.Name))
	}
	return g.save(next, journal)
}

// mend takes a destination off: it was backfilled, or removed.
func (g *gap) mend(destination string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	next := g.kept
	next.Destinations = slices.DeleteFunc(slices.Clone(next.Destinations), func(name []byte) bool { return string(name) == destination })
	if len(next.Destinations) == len(g.kept.Destinations) {
		return nil
	}
	if len(next.Destinations) == 0 {
		next = gapFile{}
	}
	return g.save(next, g.counted)
}

// save makes it durable. The caller holds mu.
func (g *gap) save(next gapFile, counted uint64) error {
	if g.fs != nil {
		if err := next.save(g.fs); err != nil {
			return fmt.Errorf("keep what was not captured: %w", err)
		}
	}
	g.kept, g.counted = next, counted
	return nil
}

func (f gapFile) save(fsys disk.FS) error {
	if f.Changes > 0 {
		data, err := json.Marshal(f)
		if err != nil {
			return err
		}
		return disk.WriteFile(fsys, gapName, data, disk.PrivateFile)
	}
	if err := fsys.Remove(gapName); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return fsys.SyncDir(".")
}

// watchGap keeps the count while changes are let go. What a crash finds uncounted is that
// of the last second.
func (r *Replicator) watchGap(ctx context.Context, run *running) {
	for {
		if err := run.gap.grow(run.journal.Stats().Unjournaled, run.all()); err != nil {
			r.opts.Logger.Error("counting what is not captured", "error", err)
		}
		if sleep(ctx, time.Second) != nil {
			return
		}
	}
}
