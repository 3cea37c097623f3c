package journal_test

import (
	"fmt"
	"io/fs"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/disk"
	"github.com/s3db-go/replicator/internal/disk/faultfs"
	"github.com/s3db-go/replicator/internal/journal"
	"github.com/s3db-go/replicator/internal/journal/journaltest"
)

// meter counts the bytes that are read.
type meter struct {
	disk.FS
	read atomic.Int64
}

func (m *meter) OpenFile(name string, flag int, perm fs.FileMode) (disk.File, error) {
	f, err := m.FS.OpenFile(name, flag, perm)
	return meteredFile{f, &m.read}, err
}

type meteredFile struct {
	disk.File
	read *atomic.Int64
}

func (f meteredFile) ReadAt(b []byte, at int64) (int, error) {
	f.read.Add(int64(len(b)))
	return f.File.ReadAt(b, at)
}

// Whoever reads a change again from the middle of a segment does not read what is
// before it, also if it was announced long ago: not once the segment was read, nor, of
// the newest, after a restart.
func TestReadFromTheMiddle(t *testing.T) {
	const (
		segment = 4 << 20
		// What a reader needs besides the change: the segment's beginning, at most two
		// marks' distance, and what it reads ahead, which is four times as much each time.
		most = segment / 8
	)
	for name, e := range map[string]journal.Encryption{"plain": {}, "encrypted": keyed("a")} {
		t.Run(name, func(t *testing.T) {
			fsys := &meter{FS: faultfs.New()}
			opts := journal.Options{SegmentBytes: segment, TailBytes: 1, Encryption: e}
			j := open(t, fsys, opts)
			pad := strings.Repeat("x", 1000)
			padded := func(id string) cdc.Change {
				c := journaltest.Change(id)
				c.Data["pad"] = pad
				return c
			}
			// Every hundredth change was announced two hundred before it.
			const count = 8000
			var announced []journal.Ticket
			for i := range count {
				var err error
				id := func(i int) string { return fmt.Sprintf("%06d", i) }
				if i%100 == 0 {
					var ticket journal.Ticket
					ticket, err = j.Begin(t.Context(), []cdc.Change{padded(id(i + 299))})
					announced = append(announced, ticket)
				}
				if i%100 == 99 && i > 299 {
					j.Commit(announced[i/100-2], 0, nil)
				} else if err == nil {
					err = j.Append(t.Context(), []cdc.Change{padded(id(i))})
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if s := j.Stats(); s.Segments < 3 {
				t.Fatalf("%+v", s)
			}
			fetch := func(seq uint64) int64 {
				t.Helper()
				before := fsys.read.Load()
				r, err := j.Read(seq - 1)
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				entries, err := r.Next(1)
				if err != nil || len(entries) != 1 || entries[0].Change.Seq != seq {
					t.Fatal(seq, entries, err)
				}
				if want := fmt.Sprintf("%06d", seq-1); entries[0].Change.RecordID != want {
					t.Fatalf("at seq %d is %s", seq, entries[0].Change)
				}
				return fsys.read.Load() - before
			}
			for seq := uint64(1); seq <= count; seq += 7 {
				fetch(seq)
			}
			for seq := uint64(count); seq > 0; seq -= min(seq, 13) {
				if n := fetch(seq); n > most {
					t.Fatalf("to read seq %d again took %d bytes", seq, n)
				}
			}
			closeNow(t, j)
			j = open(t, fsys, opts)
			if n := fetch(count - 1); n > most {
				t.Fatalf("after a restart seq %d took %d bytes", count-1, n)
			}
			closeNow(t, j)
		})
	}
}
