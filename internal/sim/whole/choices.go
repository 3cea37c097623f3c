package whole

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/s3db-go/replicator/internal/disk"
	"github.com/s3db-go/replicator/internal/journal"
)

// journalOptions are what the user chose for the journal.
func (w *world) journalOptions() journal.Options {
	o := journal.Options{SegmentBytes: w.Segment, TailBytes: w.Tail, MaxBytes: w.MaxBytes, OnFull: w.OnFull, Sync: w.Sync}
	if w.Keys > 0 {
		o.Encryption = journal.Encryption{KeyID: w.keyID, Key: keyOf}
	}
	return o
}

// keyID names the key of this moment: each serves for a part of the time in which writes
// are made.
func (w *world) keyID() string {
	return fmt.Sprint("key ", min(int(time.Since(w.start)*time.Duration(w.Keys)/w.Spread), w.Keys))
}

func keyOf(id string) ([]byte, error) {
	key := sha256.Sum256([]byte(id))
	return key[:], nil
}

// checkHidden: with encryption no file has a record's content in the clear. The names of
// resources and what else is small need not be hidden.
func (w *world) checkHidden() {
	if w.Keys == 0 {
		return
	}
	files, err := w.disk.ReadDir(".")
	for _, f := range files {
		var data []byte
		if f.IsDir() || err != nil {
			continue
		}
		if data, err = disk.ReadFile(w.disk, f.Name()); bytes.Contains(data, []byte(groupField)) {
			w.accuse("%s has a record's content in the clear", f.Name())
		}
	}
	if err != nil {
		w.accuse("the disk can't be read: %v", err)
	}
}

// missed notes how many changes a life's journal let go.
func (w *world) missed(n uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.uncaught += n
}

// checkUncaught: what the journal let go is counted, and only where the user chose so. The
// caller holds the mutex.
func (w *world) checkUncaught() {
	missing := uint64(0)
	for _, wr := range w.writes {
		if wr.place > 0 && wr.seq == 0 && !wr.lost {
			missing++
			r := w.records[wr.RecordKey()]
			r.gap = r.gap || w.OnFull == journal.Unjournaled
		}
	}
	if missing > w.uncaught && w.OnFull == journal.Unjournaled {
		w.violation("%d changes are missing, and %d were counted", missing, w.uncaught)
	}
	if w.uncaught > 0 && (w.OnFull != journal.Unjournaled || w.MaxBytes == 0 && w.Full == 0) {
		w.violation("%d changes were let go, and nobody chose that", w.uncaught)
	}
}
