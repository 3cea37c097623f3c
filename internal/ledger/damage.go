package ledger

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// damage is what is wrong with the file.
type damage string

func (d damage) Error() string { return string(d) }

// guard runs what uses the file. It tells damage from other errors, and makes an error
// of a panic: of bbolt on what changed under it, or of the system where the file has
// become shorter than its map in memory. After a panic the file is used no more, since
// bbolt may hold its locks for ever.
func (l *Ledger) guard(what string, use func() error) (err error) {
	if broken := l.broken.Load(); broken != nil {
		return *broken
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if v := recover(); v != nil {
			err = l.damaged(damage(fmt.Sprint(v)))
			l.broken.Store(&err)
		}
	}()
	err = use()
	if d, ok := errors.AsType[damage](err); ok {
		return l.damaged(d)
	}
	if err != nil {
		return fmt.Errorf("ledger: %s %s: %w", what, l.path, err)
	}
	return nil
}

func (l *Ledger) damaged(d damage) error {
	return fmt.Errorf("ledger: %s is damaged: %w; move it away, and a new log is begun without its rows", l.path, d)
}

// release gives the file back. After a panic bbolt may wait for ever for a lock of its
// own; then it is left behind, and holds the file until the process ends.
func (l *Ledger) release() error {
	if l.db == nil {
		return nil
	}
	if l.broken.Load() == nil {
		return l.db.Close()
	}
	closed := make(chan error, 1)
	go func() { closed <- l.db.Close() }()
	select {
	case err := <-closed:
		return err
	case <-time.After(lockTimeout):
		return errors.New("it was damaged while it was open, and stays locked until the process ends")
	}
}
