package replicator_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/s3db"
	"github.com/s3db-go/replicator/store"
)

// childEnv, set to a directory, makes the test binary a process that writes there
// until it is killed.
const childEnv = "REPLICATOR_TEST_CHILD"

const (
	killWriters = 4
	killRecords = 10 // of each writer
)

// TestKill kills a real process with SIGKILL, again and again, while it writes. Every
// write that it acknowledged is in the store and, after the last start, at the
// destination, which equals the store.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	acknowledged := map[string]int64{}
	const rounds = 8
	for round := range rounds {
		n := 50 + rand.IntN(400)
		writeUntilKilled(t, dir, int64(round), n, acknowledged)
		// Every other time the next process finds what two kills left.
		if round%2 == 1 {
			compareKilled(t, dir, acknowledged)
		}
	}
}

// compareKilled starts once more, in this process, and compares what was acknowledged,
// the store and the destination.
func compareKilled(t *testing.T, dir string, acknowledged map[string]int64) {
	t.Helper()
	db, r, err := openChild(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	defer halt(t, r)
	flush(t, r)
	if rows := failedRows(t, r); len(rows) > 0 {
		t.Errorf("%d deliveries failed, the first: %s", len(rows), rows[0].Error)
	}
	source, backup := readAllOf(t, db, "things"), readBackup(t, dir)
	for id, n := range acknowledged {
		if got := source[id].Int("n"); got < n {
			t.Errorf("record %s: the store holds n %d, but %d was acknowledged", id, got, n)
		}
	}
	if diff := cmp.Diff(source, backup); diff != "" || len(source) == 0 {
		t.Errorf("source (-) and destination (+) differ:\n%s", diff)
	}
}

// writeUntilKilled runs a child until it has acknowledged n writes, and kills it.
func writeUntilKilled(t *testing.T, dir string, round int64, n int, acknowledged map[string]int64) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir, fmt.Sprintf("%s_ROUND=%d", childEnv, round))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for i := 0; lines.Scan(); i++ {
		var id string
		var value int64
		if _, err := fmt.Sscan(lines.Text(), &id, &value); err != nil {
			t.Fatalf("the child says %q", lines.Text())
		}
		acknowledged[id] = value
		if i == n {
			if err := cmd.Process.Kill(); err != nil { // SIGKILL
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // it was killed
}

// child writes for ever. Each line that it prints is a write that returned.
func child(dir string) {
	ctx := context.Background()
	db, r, err := openChild(ctx, dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_ = r
	var round int64
	_, _ = fmt.Sscan(os.Getenv(childEnv+"_ROUND"), &round)
	things := db.Resource("things")
	var out sync.Mutex // one line at a time
	say := func(id string, n int64) {
		out.Lock()
		defer out.Unlock()
		fmt.Println(id, n)
	}
	var wg sync.WaitGroup
	for w := range killWriters {
		wg.Go(func() {
			for i := int64(0); ; i++ {
				id, n := fmt.Sprintf("%d-%d", w, rand.IntN(killRecords)), (round+1)<<32|i
				if rand.IntN(8) == 0 {
					say(id, 0) // from here on it may be absent
					_ = things.Delete(ctx, id)
				}
				if _, err := things.Upsert(ctx, store.Record{"id": id, "n": n, "text": strings.Repeat("x", rand.IntN(500))}); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				say(id, n)
			}
		})
	}
	wg.Wait()
}

func openChild(ctx context.Context, dir string) (*store.DB, *replicator.Replicator, error) {
	db, err := store.Open(ctx, "file://"+filepath.ToSlash(filepath.Join(dir, "source")))
	if err != nil {
		return nil, nil, err
	}
	_, err = db.CreateResource(ctx, store.Definition{Name: "things", Attributes: store.Attributes{"n": "number|integer", "text": "string"}})
	if err != nil {
		return nil, nil, err
	}
	r, err := replicator.New(db, replicator.Options{
		Dir: filepath.Join(dir, "replicator"),
		Destinations: []replicator.Destination{{
			Driver: s3db.New(s3db.Options{ConnectionString: "file://" + filepath.ToSlash(filepath.Join(dir, "backup"))}),
			Routes: replicator.Routes("things"),
		}},
	})
	if err != nil {
		return nil, nil, err
	}
	return db, r, r.Start(ctx)
}

func readBackup(t *testing.T, dir string) map[string]store.Record {
	t.Helper()
	db, err := store.Open(t.Context(), "file://"+filepath.ToSlash(filepath.Join(dir, "backup")))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	return readAllOf(t, db, "things")
}

// readAllOf reads a resource's records by their id.
func readAllOf(t *testing.T, db *store.DB, resource string) map[string]store.Record {
	t.Helper()
	out := map[string]store.Record{}
	for r, err := range db.Resource(resource).List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		out[r.String("id")] = r
	}
	return out
}
