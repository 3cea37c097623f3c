package journal

import (
	"errors"
	"fmt"
)

var (
	// ErrCorrupt is what every [CorruptError] unwraps to.
	ErrCorrupt = errors.New("journal: damaged")

	// ErrFormat: a newer version of this package wrote the file. Nothing was changed.
	ErrFormat = errors.New("journal: unknown format")
)

// CorruptError says that acknowledged data can't be read back, and where. Nothing
// is skipped or changed when it is given.
type CorruptError struct {
	File   string // the damaged file's path
	Offset int64  // in bytes from the file's beginning
	Seq    uint64 // the last change that is known to be whole
	Reason string
	Hint   string // what an operator can do
}

// Error gives place, reason and hint in one line.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("journal: %s is damaged at byte %d, after seq %d: %s; %s", e.File, e.Offset, e.Seq, e.Reason, e.Hint)
}

// Unwrap gives [ErrCorrupt].
func (e *CorruptError) Unwrap() error { return ErrCorrupt }

// The hints. Starting anew is never done by itself: it loses what is not delivered.
const (
	hintSegment = "restore the journal's directory from a backup together with its cursors, or move it away to begin a new " +
		"journal: what was not yet delivered is then lost"
	hintCursor = "restore this file from a backup, or remove it: its destination is then taken for a new one"
	hintEnd    = "remove this file to have the journal recovered as after a crash"
)
