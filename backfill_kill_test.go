package replicator_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
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

	"github.com/google/go-cmp/cmp"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/store"
)

// backfillRecords is the size of TestBackfillKill; 100000 takes some minutes, most of
// them to write the source.
var backfillRecords = flag.Int("backfill-records", 4000, "how many records TestBackfillKill sends")

const backfillWriters = 8

// journalOf is an event destination that outlives a kill: a line in a file for each
// delivery.
type journalOf struct {
	path string
	mu   sync.Mutex // guards file
	file *os.File
}

// line is a delivery as it is kept.
type line struct {
	ChangeID replicator.ID
	Record   string
	Version  uint64
	Deleted  bool
	Snapshot bool
	N        int64
}

func (j *journalOf) Name() string { return "lines" }

func (j *journalOf) Open(context.Context) error {
	f, err := os.OpenFile(j.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	// What a kill tore off was never answered for; it ends here.
	if _, err := f.WriteString("\n"); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.file = f
	return nil
}

func (j *journalOf) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.file.Close()
}

func (j *journalOf) Limits(string) cdc.Limits { return cdc.Limits{Events: true} }

func (j *journalOf) Apply(_ context.Context, batch []replicator.Delivery) error {
	var b bytes.Buffer
	for _, d := range batch {
		l := line{d.ChangeID, d.RecordID, d.Version, d.Op == replicator.Deleted, d.Origin == replicator.OriginSnapshot, d.Record.Int("n")}
		if err := json.NewEncoder(&b).Encode(l); err != nil {
			return err
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	_, err := j.file.Write(b.Bytes())
	return err
}

// lines reads what arrived: the state that it makes, and how often a present record was
// delivered more than once, and sent more than once, which is under another version.
func (j *journalOf) lines(t *testing.T) (state map[string]int64, snapshots, delivered, sent int) {
	t.Helper()
	f, err := os.Open(j.path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	state = map[string]int64{}
	versions := map[string]uint64{}
	seen := map[replicator.ID]uint64{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var l line
		if json.Unmarshal(lines.Bytes(), &l) != nil {
			continue // torn off by a kill
		}
		if l.Snapshot {
			switch version, again := seen[l.ChangeID]; {
			case !again:
				snapshots++
			case version == l.Version:
				delivered++
			default:
				sent++
			}
			seen[l.ChangeID] = l.Version
		}
		if l.Version < versions[l.Record] {
			continue
		}
		versions[l.Record] = l.Version
		if state[l.Record] = l.N; l.Deleted {
			delete(state, l.Record)
		}
	}
	return state, snapshots, delivered, sent
}

// openBackfill starts a replicator with a new destination on the store in dir.
func openBackfill(ctx context.Context, dir string) (*store.DB, *replicator.Replicator, error) {
	// Without flushing: a process that is killed loses nothing by that.
	db, err := store.Open(ctx, "file://"+filepath.ToSlash(filepath.Join(dir, "source"))+"?sync=off")
	if err != nil {
		return nil, nil, err
	}
	if _, err := db.CreateResource(ctx, store.Definition{Name: "things", Attributes: store.Attributes{"n": "number|integer"}}); err != nil {
		return nil, nil, err
	}
	r, err := replicator.New(db, replicator.Options{Dir: filepath.Join(dir, "replicator"), Destinations: []replicator.Destination{{
		Driver: &journalOf{path: filepath.Join(dir, "arrived")}, Routes: replicator.Routes("things"), InitialSync: true,
		Backfill: replicator.BackfillOptions{ChunkSize: backfillChunk()},
	}}})
	return db, r, err
}

// backfillChunk lets there be twenty chunks, or the default's hundred of a hundred thousand.
func backfillChunk() int { return min(*backfillRecords/20, 1000) }

// disturb writes, from eight writers, records that are there, that are not, and that were
// deleted, until ctx ends.
func disturb(ctx context.Context, db *store.DB, seed uint64) error {
	things := db.Resource("things")
	errs := make([]error, backfillWriters)
	var wg sync.WaitGroup
	for w := range backfillWriters {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(w)))
			for i := 1; ctx.Err() == nil && errs[w] == nil; i++ {
				id := fmt.Sprintf("%06d", random.IntN(*backfillRecords*5/4))
				var err error
				if random.IntN(3) == 0 {
					err = things.Delete(context.WithoutCancel(ctx), id)
				} else {
					_, err = things.Upsert(context.WithoutCancel(ctx), store.Record{"id": id, "n": i*100 + w})
				}
				if err != nil && !errors.Is(err, store.ErrNotFound) {
					errs[w] = err
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// backfillChild writes until it is killed. It prints a line for each chunk.
func backfillChild(dir string) {
	ctx := context.Background()
	db, r, err := openBackfill(ctx, dir)
	if err == nil {
		progress, _ := r.Subscribe(replicator.BackfillProgress)
		if err = r.Start(ctx); err == nil {
			go func() {
				for e := range progress {
					fmt.Println(e.Read, e.Done)
				}
			}()
			err = disturb(ctx, db, uint64(os.Getpid()))
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// TestBackfillKill kills a real process with SIGKILL in the middle of a backfill, three
// times, beside eight writers. In the end the destination equals the source: nothing that
// was deleted is back, and no kill had more than two chunks sent again.
func TestBackfillKill(t *testing.T) {
	dir := t.TempDir()
	db, err := store.Open(t.Context(), "file://"+filepath.ToSlash(filepath.Join(dir, "source"))+"?sync=off")
	if err != nil {
		t.Fatal(err)
	}
	things, err := db.CreateResource(t.Context(), store.Definition{Name: "things", Attributes: store.Attributes{"n": "number|integer"}})
	if err != nil {
		t.Fatal(err)
	}
	for from := 0; from < *backfillRecords; from += 1000 {
		var recs []store.Record
		for i := from; i < min(from+1000, *backfillRecords); i++ {
			recs = append(recs, store.Record{"id": fmt.Sprintf("%06d", i), "n": -i})
		}
		if _, err := things.InsertMany(t.Context(), recs); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	const kills = 3
	for range kills {
		killBackfill(t, dir, 4)
	}

	db, r, err := openBackfill(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer halt(t, r)
	ctx, stop := context.WithCancel(t.Context())
	wrote := make(chan error, 1)
	go func() { wrote <- disturb(ctx, db, 1) }()
	err = r.Backfill(t.Context(), "lines")
	stop()
	if err := errors.Join(err, <-wrote); err != nil {
		t.Fatal(err)
	}
	flush(t, r)
	want := map[string]int64{}
	for id, rec := range readAllOf(t, db, "things") {
		want[id] = rec.Int("n")
	}
	driver := &journalOf{path: filepath.Join(dir, "arrived")}
	state, snapshots, delivered, sent := driver.lines(t)
	if diff := cmp.Diff(want, state); diff != "" || len(want) == 0 {
		t.Errorf("source (-) and destination (+) differ:\n%.2000s", diff)
	}
	if sent > kills*2*backfillChunk() {
		t.Errorf("%d records were sent again, more than two chunks of %d for each of %d kills", sent, backfillChunk(), kills)
	}
	if rows := failedRows(t, r); len(rows) > 0 {
		t.Errorf("%d deliveries failed, the first: %s", len(rows), rows[0].Error)
	}
	t.Logf("%d records in the end, %d present ones sent, %d of them again, %d delivered again", len(want), snapshots, sent, delivered)
}

// killBackfill runs a child until it has sent so many chunks, and kills it.
func killBackfill(t *testing.T, dir string, chunks int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], fmt.Sprint("-backfill-records=", *backfillRecords))
	cmd.Env = append(os.Environ(), childEnv+"="+dir, childEnv+"_BACKFILL=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for n := 1; lines.Scan(); n++ {
		if strings.HasSuffix(lines.Text(), "true") {
			t.Fatal("the backfill was done before it was killed")
		}
		if n == chunks {
			if err := cmd.Process.Kill(); err != nil { // SIGKILL
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // it was killed
}
