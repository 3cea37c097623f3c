package replicator_test

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/memory"
	"github.com/s3db-go/replicator/internal/testbed"
	"github.com/s3db-go/replicator/store"
)

var logCopyKills = flag.Int("log-copy-kills", 1, "how often TestLogCopyKill kills the process")

// TestLogCopyKill kills a process that keeps the copy of its log on a server of S3, again
// and again, and lets the last run lose the server for a while. In the end the copy has
// what the log has, each row once.
func TestLogCopyKill(t *testing.T) {
	dir, server := t.TempDir(), testbed.NewS3Server(t, "us-east-1")
	bucket := server.Bucket(t)
	for range *logCopyKills {
		copyUntilKilled(t, dir, bucket, 300+rand.IntN(600))
	}
	way := testbed.NewProxy(t, "tcp", server.Addr)
	db, r, err := openLogCopy(t.Context(), dir, server.ConnectionString(way.Addr().String(), bucket[strings.LastIndexByte(bucket, '/')+1:]))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	defer halt(t, r)
	flush(t, r)
	sameAsLog(t, db, r)

	// The store is away: nothing is lost of what the log gets meanwhile.
	back := way.Refuse()
	way.Reset()
	if n, err := r.Discard(t.Context(), replicator.Query{RecordID: "bad-0"}); n == 0 || err != nil {
		t.Errorf("%d rows were discarded (%v)", n, err)
	}
	eventually(t, func() string {
		if s := r.Stats().LogCopy; s.Behind == 0 || s.Lag == 0 || s.Err == "" {
			return fmt.Sprintf("without its store the copy says %+v", s)
		}
		return ""
	})
	back()
	sameAsLog(t, db, r)
}

// sameAsLog waits until the copy is not behind, and compares it with the log.
func sameAsLog(t *testing.T, db *store.DB, r *replicator.Replicator) {
	t.Helper()
	eventually(t, func() string {
		if s := r.Stats().LogCopy; s != (replicator.LogCopyStats{}) {
			return fmt.Sprintf("the copy is behind: %+v", s)
		}
		return ""
	})
	log, copied, statuses := map[string]string{}, map[string]string{}, map[string]int{}
	for row, err := range r.Log(t.Context(), replicator.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		log[row.ID] = fmt.Sprint(row.RecordID, " ", row.Status, " ", row.WillRetry, " ", row.Timestamp.UnixMilli())
		statuses[row.Status]++
	}
	for id, row := range readAllOf(t, db, logName) {
		copied[id] = fmt.Sprint(row["recordId"], " ", row["status"], " ", row["willRetry"], " ", row.Int("timestamp"))
	}
	if diff := cmp.Diff(log, copied); diff != "" {
		t.Errorf("log (-) and copy (+) differ:\n%s", diff)
	}
	if statuses[replicator.StatusFailed] == 0 || statuses[replicator.StatusReplicated] == 0 {
		t.Errorf("the log has %v", statuses)
	}
}

func eventually(t *testing.T, check func() string) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		problem := check()
		if problem == "" {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("for a minute: %s", problem)
		}
	}
}

// copyUntilKilled runs a child until it has written n records, and kills it.
func copyUntilKilled(t *testing.T, dir, bucket string, n int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir, childEnv+"_LOGCOPY="+bucket)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	written := 0
	for ; lines.Scan(); written++ {
		if written == n {
			if err := cmd.Process.Kill(); err != nil { // SIGKILL
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // it was killed
	if written < n {
		t.Fatalf("the child ended by itself after %d writes, of %d", written, n)
	}
}

// logCopyChild writes for ever, a line for each write that returned.
func logCopyChild(dir, bucket string) {
	ctx := context.Background()
	db, _, err := openLogCopy(ctx, dir, bucket)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%s-%d", []string{"good", "bad"}[i%2], w)
				if _, err := db.Resource("orders").Upsert(ctx, store.Record{"id": id, "n": i}); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				fmt.Println(id)
			}
		})
	}
	wg.Wait()
}

// openLogCopy starts a replicator that logs every outcome, and refuses the bad records.
func openLogCopy(ctx context.Context, dir, bucket string) (*store.DB, *replicator.Replicator, error) {
	db, err := store.Open(ctx, bucket)
	if err != nil {
		return nil, nil, err
	}
	if _, err := db.CreateResource(ctx, store.Definition{Name: "orders", Attributes: store.Attributes{"n": "number"}}); err != nil {
		return nil, nil, err
	}
	refuse := func(_ context.Context, batch []replicator.Delivery) error {
		answer := &replicator.BatchError{Errs: make([]error, len(batch))}
		for i, d := range batch {
			if strings.HasPrefix(d.RecordID, "bad") {
				answer.Errs[i] = replicator.Permanent(errors.New("value too long"))
			}
		}
		return answer
	}
	r, err := replicator.New(db, replicator.Options{
		Dir: filepath.Join(dir, "replicator"), Log: replicator.LogOptions{Successes: true, Resource: logName},
		Destinations: to(memory.New(memory.Options{Events: true, Before: refuse}), "orders"),
	})
	if err != nil {
		return nil, nil, err
	}
	return db, r, r.Start(ctx)
}
