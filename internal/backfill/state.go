package backfill

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/disk"
)

// dir holds a file for each run that is not finished.
const dir = "backfills"

// State is how far a run got.
type State struct {
	// Run is made anew for each run; the ids of its changes are made from it.
	Run         cdc.ID
	Destination string
	Resource    string
	// After is the id of the last record that was read, "" before the first.
	After string
	// Read and Sent are those of [Progress].
	Read, Sent uint64
}

// file is a State as it is kept. Ids and names are bytes, since JSON would alter those
// that are not valid UTF-8.
type file struct {
	Run         cdc.ID `json:"run"`
	Destination []byte `json:"destination"`
	Resource    []byte `json:"resource"`
	After       []byte `json:"after"`
	Read        uint64 `json:"read"`
	Sent        uint64 `json:"sent"`
}

// name is the file of a destination and a resource. Their names may be of any length
// and hold what a file's can't.
func (s State) name() string {
	sum := sha256.Sum256([]byte(s.Destination + "\x00" + s.Resource))
	return path.Join(dir, hex.EncodeToString(sum[:16])+".json")
}

// Unfinished gives the runs that are not finished, of all destinations.
func Unfinished(fsys disk.FS) ([]State, error) {
	entries, err := fsys.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("backfill: %w", err)
	}
	var states []State
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), disk.TempPrefix) {
			continue
		}
		s, err := load(fsys, path.Join(dir, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("backfill: %s in %s: %w", path.Join(dir, e.Name()), fsys.Name(), err)
		}
		states = append(states, s)
	}
	return states, nil
}

func load(fsys disk.FS, name string) (State, error) {
	data, err := disk.ReadFile(fsys, name)
	if err != nil {
		return State{}, err
	}
	var f file
	if err := json.Unmarshal(data, &f); err != nil {
		return State{}, fmt.Errorf("damaged; remove it, and begin the backfill again: %w", err)
	}
	s := State{Run: f.Run, Destination: string(f.Destination), Resource: string(f.Resource), After: string(f.After), Read: f.Read, Sent: f.Sent}
	if s.Run.IsZero() || s.name() != name {
		return State{}, errors.New("does not hold what its name says; remove it, and begin the backfill again")
	}
	return s, nil
}

// Forget removes a run that is not to be finished.
func Forget(fsys disk.FS, s State) error {
	if err := fsys.Remove(s.name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return fsys.SyncDir(dir)
}

// save makes durable how far a run got.
func (r *Runner) save(s State) error {
	if r.opts.FS == nil {
		return nil
	}
	data, err := json.Marshal(file{s.Run, []byte(s.Destination), []byte(s.Resource), []byte(s.After), s.Read, s.Sent})
	if err == nil {
		err = disk.MkdirAll(r.opts.FS, dir, disk.PrivateDir)
	}
	if err == nil {
		err = disk.WriteFile(r.opts.FS, s.name(), data, disk.PrivateFile)
	}
	if err != nil {
		return fmt.Errorf("save how far it got: %w", err)
	}
	return nil
}

func (r *Runner) forget(s State) error {
	if r.opts.FS == nil {
		return nil
	}
	return Forget(r.opts.FS, s)
}
