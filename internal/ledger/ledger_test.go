package ledger_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/ledger"
)

var start = time.Date(2026, 8, 1, 12, 0, 0, 123456000, time.UTC)

// row is the n-th failure: its change id and its time grow with n.
func row(n int) ledger.Row {
	var id cdc.ID
	binary.BigEndian.PutUint64(id[:], uint64(n)+1)
	return ledger.Row{
		Replicator: "main", Destination: "backup", Driver: "postgres", Target: "people", Status: ledger.Failed,
		Time: start.Add(time.Duration(n) * time.Second), CreatedAt: start, Error: "no such column", Attempts: 4, RetryCount: 1,
		Duration: 20 * time.Millisecond,
		Change: cdc.Change{
			ChangeID: id, Seq: uint64(n), Version: uint64(n) << 16, Op: cdc.Updated, Resource: "users", RecordID: fmt.Sprint("u", n),
			Data: cdc.Record{"id": fmt.Sprint("u", n), "total": int64(n)}, Before: cdc.Record{"total": 1.5}, Time: start, SchemaVersion: 2,
		},
	}
}

func open(t testing.TB, path string) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func fresh(t testing.TB) *ledger.Ledger { return open(t, filepath.Join(t.TempDir(), "log.db")) }

func put(t testing.TB, l *ledger.Ledger, rows ...ledger.Row) {
	t.Helper()
	if err := l.Put(rows...); err != nil {
		t.Fatal(err)
	}
}

func all(t testing.TB, l *ledger.Ledger, q ledger.Query) []ledger.Row {
	t.Helper()
	var rows []ledger.Row
	for row, err := range l.Rows(q) {
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	return rows
}

func TestARowComesBackAsItWasAlsoAfterReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.db")
	l := open(t, path)
	want := row(1)
	put(t, l, want)
	check := func(l *ledger.Ledger) string {
		t.Helper()
		got := all(t, l, ledger.Query{})
		if len(got) != 1 {
			t.Fatalf("%d rows, want 1", len(got))
		}
		id := got[0].ID
		got[0].ID = ""
		if diff := cmp.Diff(want, got[0]); diff != "" {
			t.Error(diff)
		}
		return id
	}
	before := check(l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if after := check(open(t, path)); after != before || len(after) != 32 {
		t.Errorf("ID %q became %q", before, after)
	}
}

func TestPuttingAgainReplaces(t *testing.T) {
	l := fresh(t)
	first := row(1)
	first.CreatedAt = time.Time{}
	put(t, l, first, row(2), row(3))
	again := row(1)
	again.Status, again.Error, again.Time, again.Change.RecordID = ledger.Replicated, "", start.Add(time.Hour), "other"
	put(t, l, again)

	got := all(t, l, ledger.Query{})
	if len(got) != 3 || got[0].Status != ledger.Replicated || got[0].Error != "" {
		t.Fatalf("not replaced, or not the newest: %v", got)
	}
	if !got[0].CreatedAt.Equal(first.Time) {
		t.Errorf("created at %v, want the first row's time %v", got[0].CreatedAt, first.Time)
	}
	for want, queries := range map[int][]ledger.Query{
		1: {{Status: ledger.Replicated}, {RecordID: "other"}, {Since: again.Time}},
		2: {{Status: ledger.Failed}, {Until: again.Time}},
		0: {{RecordID: "u1"}, {Until: first.Time.Add(time.Microsecond)}},
	} {
		for _, q := range queries {
			if rows, n := all(t, l, q), count(t, l, q); len(rows) != want || n != want {
				t.Errorf("%+v: %d rows, count %d, want %d", q, len(rows), n, want)
			}
		}
	}
}

func TestOneChangeHasARowPerDestinationAndTarget(t *testing.T) {
	l := fresh(t)
	var rows []ledger.Row
	// Names that would run together if they were only joined.
	for _, names := range [][2]string{{"a", "bc"}, {"ab", "c"}, {"a", "b"}, {"abc", ""}} {
		r := row(1)
		r.Destination, r.Target = names[0], names[1]
		rows = append(rows, r)
	}
	put(t, l, rows...)
	ids := map[string]bool{}
	for _, r := range all(t, l, ledger.Query{}) {
		ids[r.ID] = true
	}
	if len(ids) != len(rows) {
		t.Errorf("%d rows, want %d", len(ids), len(rows))
	}
}

func count(t testing.TB, l *ledger.Ledger, q ledger.Query) int {
	t.Helper()
	n, err := l.Count(q)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestReadingGoesOnAcrossChunks has several chunks of rows, in groups that
// alternate and with equal times, so that a chunk ends in the middle of all.
func TestReadingGoesOnAcrossChunks(t *testing.T) {
	l := fresh(t)
	var rows []ledger.Row
	for n := range 1500 {
		r := row(n / 3)
		r.Target = fmt.Sprint("t", n%3)
		rows = append(rows, r)
	}
	put(t, l, rows...)
	got := all(t, l, ledger.Query{})
	seen := map[string]bool{}
	for i, r := range got {
		seen[r.ID] = true
		if i > 0 && r.Time.After(got[i-1].Time) {
			t.Fatalf("row %d is newer than the one before", i)
		}
	}
	if len(got) != 1500 || len(seen) != 1500 {
		t.Errorf("%d rows, %d different, want 1500", len(got), len(seen))
	}
}

func TestALargeRowEndsAChunkButNotTheQuery(t *testing.T) {
	l := fresh(t)
	for n := range 5 {
		r := row(n)
		r.Change.Data = cdc.Record{"blob": bytes.Repeat([]byte{1}, 700<<10)}
		put(t, l, r)
	}
	if got := all(t, l, ledger.Query{}); len(got) != 5 {
		t.Errorf("%d rows, want 5", len(got))
	}
}

func TestAConsumerMayWriteAndStopEarly(t *testing.T) {
	l := fresh(t)
	var rows []ledger.Row
	for n := range 600 {
		rows = append(rows, row(n))
	}
	put(t, l, rows...)
	read := 0
	for r, err := range l.Rows(ledger.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		r.Status, r.Time = ledger.Replicated, start.Add(time.Hour)
		put(t, l, r)
		if read++; read == 300 {
			break
		}
	}
	if got := count(t, l, ledger.Query{Status: ledger.Replicated}); got != 300 {
		t.Errorf("%d replicated, want 300", got)
	}
}

func TestPutAndRowsAtTheSameTime(t *testing.T) {
	l := fresh(t)
	var writers sync.WaitGroup
	const each = 20
	for w := range 4 {
		writers.Go(func() {
			for i := range each {
				r := row(w*each + i)
				r.Destination = fmt.Sprint("d", w)
				if err := l.Put(r); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for last := 0; last < 4*each; {
		rows := all(t, l, ledger.Query{})
		if len(rows) < last {
			t.Fatalf("%d rows after %d", len(rows), last)
		}
		last = len(rows)
	}
	writers.Wait()
}

func TestARowWithoutIdentityIsRefusedWithAll(t *testing.T) {
	l := fresh(t)
	for _, spoil := range []func(*ledger.Row){
		func(r *ledger.Row) { r.Destination = "" },
		func(r *ledger.Row) { r.Status = "" },
		func(r *ledger.Row) { r.Change.ChangeID = cdc.ID{} },
		func(r *ledger.Row) { r.Change.Data = cdc.Record{"fn": func() {}} },
	} {
		bad := row(2)
		spoil(&bad)
		if err := l.Put(row(1), bad); err == nil {
			t.Error("no error")
		}
	}
	if n := count(t, l, ledger.Query{}); n != 0 {
		t.Errorf("%d rows were written", n)
	}
}

func TestOpenRefuses(t *testing.T) {
	write := func(t *testing.T, path string, change func(tx *bolt.Tx) error) {
		db, err := bolt.Open(path, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Update(change); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name string
		make func(t *testing.T, path string)
		want string
	}{
		{"another format", func(t *testing.T, path string) {
			if err := open(t, path).Close(); err != nil {
				t.Fatal(err)
			}
			write(t, path, func(tx *bolt.Tx) error { return tx.Bucket([]byte("meta")).Put([]byte("format"), []byte("9")) })
		}, `format "9"`},
		{"another database", func(t *testing.T, path string) {
			write(t, path, func(tx *bolt.Tx) error { _, err := tx.CreateBucket([]byte("users")); return err })
		}, "something else"},
		{"no database", func(t *testing.T, path string) {
			if err := os.WriteFile(path, bytes.Repeat([]byte("text"), 8192), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "is damaged: invalid database; move it away"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log.db")
			test.make(t, path)
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := ledger.Open(path); err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v, want one with %q and the path", err, test.want)
			}
			after, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(before, after) {
				t.Error("the file was touched")
			}
		})
	}
}

func TestAFileInUseIsAClearErrorSoon(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.db")
	open(t, path)
	began := time.Now()
	if _, err := ledger.Open(path); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("error %v", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestTheFileIsItsOwnersOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.db")
	open(t, path)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 && runtime.GOOS != "windows" {
		t.Errorf("mode %v, want 0600", mode)
	}
}

func TestAfterClose(t *testing.T) {
	l := fresh(t)
	put(t, l, row(1))
	for range 2 {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Put(row(2)); err == nil {
		t.Error("Put gave no error")
	}
	if _, err := l.Count(ledger.Query{}); err == nil {
		t.Error("Count gave no error")
	}
	given := 0
	for _, err := range l.Rows(ledger.Query{}) {
		if given++; err == nil {
			t.Error("Rows gave a row")
		}
	}
	if given != 1 {
		t.Errorf("Rows gave %d things, want one error", given)
	}
}
