package journal_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/s3db-go/replicator/internal/disk"
	"github.com/s3db-go/replicator/internal/disk/faultfs"
	"github.com/s3db-go/replicator/internal/journal"
	"github.com/s3db-go/replicator/internal/journal/journaltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The same contract with everything from memory, and with segments and a tail so
// small that most is read from old files.
func TestJournal(t *testing.T) {
	small := journal.Options{SegmentBytes: 8 << 10, TailBytes: 1 << 10}
	for _, tt := range []struct {
		name string
		opts journal.Options
		fs   func(t *testing.T) disk.FS
	}{
		{"on the disk", journal.Options{SegmentBytes: 1 << 20}, onDisk},
		{"on the disk, small", small, onDisk},
		{"in memory, small", small, func(*testing.T) disk.FS { return faultfs.New() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			journaltest.Run(t, func(t *testing.T) journaltest.Harness {
				fsys := tt.fs(t)
				return journaltest.Harness{Open: func() (journal.Journal, error) { return journal.Open(fsys, tt.opts) }}
			})
		})
	}
}

func onDisk(t *testing.T) disk.FS {
	t.Helper()
	fsys, err := disk.OS(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { fsys.Close() })
	return fsys
}
