package replicator

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/s3db-go/replicator/internal/disk"
)

// Pause says since when a destination is paused, and why.
type Pause struct {
	Since time.Time
	// Reason is what the destination said that asked for it, see Gone; "" after a call of
	// Replicator.Pause.
	Reason string
}

// String gives "paused since …", and the reason if the destination gave one.
func (p Pause) String() string {
	s := "paused since " + p.Since.Format(time.RFC3339)
	if p.Reason != "" {
		s += " because it asked for it: " + p.Reason
	}
	return s
}

// Pause stops the deliveries to a destination, and its backfills, until Resume; also over
// Stop and Start, and a crash. Its changes are captured all the while and wait in the
// journal, which grows by them; Stats and Health go on telling how far it is behind. A
// destination that answers with [Gone] is paused like that by itself.
//
// Calls of the driver that run are waited for until ctx ends, then cancelled. A call that
// has not returned a second later is left behind and told in the error; the destination is
// paused all the same. Pausing what is paused does nothing.
func (r *Replicator) Pause(ctx context.Context, name string) error {
	return r.operate(ctx, "pause", name, func(ctx context.Context, run *running, d *destination) error {
		return r.pause(ctx, run, d, Pause{Since: time.Now()}, nil)
	})
}

// Resume lets a destination that is paused go on where it was. It returns when the
// destination delivers again, or at least knows that it does not answer, as Start does.
// If its driver can't be opened for good, or a call from before the pause does not
// return until ctx ends, that is the error, and the destination stays paused. Resuming
// what is not paused does nothing.
func (r *Replicator) Resume(ctx context.Context, name string) error {
	return r.operate(ctx, "resume", name, func(ctx context.Context, run *running, d *destination) error {
		if !d.is(paused) {
			return nil
		}
		if err := d.free(ctx); err != nil {
			return err
		}
		if err := d.start(ctx); err != nil {
			return err
		}
		d.refill()
		r.hub.Publish(Event{Kind: Resumed, Time: time.Now(), Destination: d.Name})
		r.opts.Logger.Warn("destination resumed", "destination", d.Name)
		// Last, so that a crash before it finds a destination that is paused still, and
		// nobody who was told otherwise.
		if err := r.pauses.remove(d.Name); err != nil {
			return fmt.Errorf("it goes on, but will be paused again at the next Start: %w", err)
		}
		return nil
	})
}

// pause keeps what is to be durable, and stops the destination. The caller has its turn.
func (r *Replicator) pause(ctx context.Context, run *running, d *destination, p Pause, cause error) error {
	if d.is(paused) {
		return nil
	}
	if err := r.pauses.put(d.Name, p); err != nil {
		return err
	}
	err := d.halt(ctx)
	d.become(paused, func() { d.pause = p })
	r.hub.Publish(Event{Kind: Paused, Time: p.Since, Destination: d.Name, Reason: p.Reason, Err: cause})
	r.opts.Logger.Warn("destination paused", "destination", d.Name, "reason", p.Reason)
	return err
}

// leave pauses a destination that asked for it.
func (r *Replicator) leave(run *running, name string, cause error) {
	run.later(func(ctx context.Context) {
		d := run.find(name)
		if d == nil || d.take(ctx) != nil {
			return
		}
		defer d.give()
		// It does not take anything any more, so there is nothing to wait for.
		at, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := r.pause(at, run, d, Pause{Since: time.Now(), Reason: text(cause)}, cause); err != nil {
			r.opts.Logger.Error("pausing a destination", "destination", name, "error", err)
		}
	})
}

// pauses are the destinations that are paused: over Stop and Start, and where the journal
// outlives the process, over its end.
type pauses struct {
	mu sync.Mutex // guards what follows, which is changed under the destination's turn
	fs disk.FS    // nil in memory
	of map[string]Pause
}

// pausesDir holds a file for each destination that is paused.
const pausesDir = "pauses"

// pauseFile is a Pause as it is kept. The name is bytes, since JSON would alter one that
// is not valid UTF-8.
type pauseFile struct {
	Destination []byte    `json:"destination"`
	Since       time.Time `json:"since"`
	Reason      string    `json:"reason"`
}

func pausePath(destination string) string {
	sum := sha256.Sum256([]byte(destination))
	return path.Join(pausesDir, hex.EncodeToString(sum[:16])+".json")
}

// load reads what a directory holds, nil for what is known already. Nothing else is
// under way.
func (p *pauses) load(fsys disk.FS) error {
	p.fs = fsys
	if fsys == nil {
		return nil
	}
	entries, err := fsys.ReadDir(pausesDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	p.of = map[string]Pause{}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), disk.TempPrefix) {
			continue
		}
		name := path.Join(pausesDir, e.Name())
		var f pauseFile
		data, err := disk.ReadFile(fsys, name)
		if err == nil {
			err = json.Unmarshal(data, &f)
		}
		if err == nil && pausePath(string(f.Destination)) != name {
			err = errors.New("it does not hold what its name says")
		}
		if err != nil {
			return fmt.Errorf("%s in %s is damaged; remove it, and the destination that was paused goes on: %w", name, fsys.Name(), err)
		}
		p.of[string(f.Destination)] = Pause{Since: f.Since, Reason: f.Reason}
	}
	return nil
}

func (p *pauses) get(destination string) (Pause, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	pause, ok := p.of[destination]
	return pause, ok
}

func (p *pauses) put(destination string, pause Pause) error {
	if p.fs != nil {
		data, err := json.Marshal(pauseFile{[]byte(destination), pause.Since, pause.Reason})
		if err == nil {
			err = disk.MkdirAll(p.fs, pausesDir, disk.PrivateDir)
		}
		if err == nil {
			err = disk.WriteFile(p.fs, pausePath(destination), data, disk.PrivateFile)
		}
		if err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.of == nil {
		p.of = map[string]Pause{}
	}
	p.of[destination] = pause
	return nil
}

func (p *pauses) remove(destination string) error {
	if _, ok := p.get(destination); !ok {
		return nil
	}
	if p.fs != nil {
		err := p.fs.Remove(pausePath(destination))
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			err = p.fs.SyncDir(pausesDir)
		}
		if err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.of, destination)
	return nil
}
