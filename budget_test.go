package replicator_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/memory"
)

// deadAndAlive gives the options of a replicator with a small journal, and a
// destination that takes nothing beside one that takes all.
func deadAndAlive(policy replicator.FullPolicy) (o replicator.Options, alive *memory.Driver) {
	dead := memory.New(memory.Options{Before: func(context.Context, []replicator.Delivery) error {
		return replicator.Unavailable(errors.New("it is down"))
	}})
	alive = memory.New(memory.Options{})
	return replicator.Options{MaxJournalBytes: 1 << 20, OnFull: policy, Destinations: []replicator.Destination{
		{Name: "dead", Driver: dead, Routes: replicator.Routes("r")},
		{Name: "alive", Driver: alive, Routes: replicator.Routes("r")},
	}}, alive
}

// await takes so many events.
func await(t *testing.T, events <-chan replicator.Event, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i := range n {
		select {
		case <-events:
		case <-ctx.Done():
			t.Fatalf("%d of %d came", i, n)
		}
	}
}

// bulk gives a record of about four kilobytes: some 250 fill the journal.
func bulk(n int) replicator.Record {
	return replicator.Record{"n": int64(n), "pad": strings.Repeat("x", 4000)}
}

// TestRefuseWrites: a full journal refuses writes before the store applies them; what
// was taken arrives, and Health and an event say why.
func TestRefuseWrites(t *testing.T) {
	o, alive := deadAndAlive(replicator.RefuseWrites)
	s := newShelf()
	r := start(t, s, o)
	events, cancel := r.Subscribe(replicator.JournalPressure)
	defer cancel()
	arrived, enough := r.Subscribe(replicator.Replicated)
	defer enough()
	taken := 0
	for ; taken < 1000; taken++ {
		if err := s.put(t.Context(), "r", fmt.Sprint(taken), bulk(taken)); err != nil {
			if !errors.Is(err, cdc.ErrJournalFull) {
				t.Fatal(err)
			}
			break
		}
	}
	if taken < 100 || taken == 1000 {
		t.Fatalf("%d writes were taken", taken)
	}
	if _, ok, _ := s.get(t.Context(), "r", fmt.Sprint(taken)); ok {
		t.Error("the store applied what was refused")
	}
	for _, want := range []replicator.Pressure{replicator.PressureHigh, replicator.PressureFull} {
		if e := <-events; e.Kind != replicator.JournalPressure || e.Reason != string(want) {
			t.Errorf("%+v, want %s", e, want)
		}
	}
	if h := r.Health(); h.Status != replicator.HealthUnhealthy || !strings.Contains(h.Reason, "disk budget") {
		t.Errorf("%+v", h)
	}
	if j := r.Stats().Journal; j.Pressure != replicator.PressureFull || j.Bytes > 1<<20 || j.Unjournaled != 0 {
		t.Errorf("%+v", j)
	}
	await(t, arrived, taken-1) // the end of the last one may wait for room
	if n := len(alive.Records("r")); n < taken-1 {
		t.Errorf("%d of %d are there", n, taken)
	}
}

// TestUnjournaled: writes go on, are counted, and Health says so.
func TestUnjournaled(t *testing.T) {
	o, _ := deadAndAlive(replicator.Unjournaled)
	s := newShelf()
	r := start(t, s, o)
	for i := range 500 {
		if err := s.put(t.Context(), "r", fmt.Sprint(i), bulk(i)); err != nil {
			t.Fatal(err)
		}
	}
	j := r.Stats().Journal
	if j.Unjournaled == 0 || j.Last+j.Unjournaled != 500 || r.Health().Status == replicator.HealthHealthy {
		t.Errorf("%+v, %+v", j, r.Health())
	}
}

// TestUnjournaledUntilBackfilled: what was not captured is known over restarts, until each
// destination has been backfilled.
func TestUnjournaledUntilBackfilled(t *testing.T) {
	s := newShelf()
	s.CustomSource = replicator.NewSource(replicator.SourceOptions{Get: s.get, Scan: s.scan})
	o, alive := deadAndAlive(replicator.Unjournaled)
	o.Dir = t.TempDir()
	r := start(t, s, o)
	for i := range 500 {
		if err := s.put(t.Context(), "r", fmt.Sprint(i), bulk(i)); err != nil {
			t.Fatal(err)
		}
	}
	missing := r.Stats().Journal.Unjournaled
	halt(t, r)
	well, _ := deadAndAlive(replicator.Unjournaled)
	o.Destinations[0].Driver = well.Destinations[1].Driver
	for _, name := range []string{"dead", "alive"} {
		r = start(t, s, o)
		if n := r.Stats().Journal.Unjournaled; n != missing || n == 0 || !strings.Contains(r.Health().Reason, "were not captured") {
			t.Errorf("%d changes are missing, %d were: %+v", n, missing, r.Health())
		}
		backfilled(t, r, name)
		halt(t, r)
	}
	r = start(t, s, o)
	if n := r.Stats().Journal.Unjournaled; n != 0 || r.Health().Status != replicator.HealthHealthy {
		t.Errorf("%d changes are missing: %+v", n, r.Health())
	}
	if n := len(alive.Records("r")); n != 500 {
		t.Errorf("%d records arrived", n)
	}
}

// TestDetachSlowest: the dead destination lets go, a row says of what, and nobody else
// is hindered.
func TestDetachSlowest(t *testing.T) {
	o, alive := deadAndAlive(replicator.DetachSlowest)
	s := newShelf()
	r := start(t, s, o)
	events, cancel := r.Subscribe(replicator.JournalPressure)
	defer cancel()
	arrived, enough := r.Subscribe(replicator.Replicated)
	defer enough()
	const n = 600 // more than twice what fits
	for i := range n {
		if err := s.put(t.Context(), "r", fmt.Sprint(i), bulk(i)); err != nil {
			t.Fatalf("write %d: %v\n%s", i, err, describe(r))
		}
	}
	await(t, arrived, n)
	if got := len(alive.Records("r")); got != n {
		t.Errorf("%d of %d are there", got, n)
	}
	for e := range events {
		if e.Destination == "" {
			continue
		}
		if e.Destination != "dead" || e.Err == nil {
			t.Errorf("%+v", e)
		}
		break
	}
	rows := failedRows(t, r)
	if len(rows) == 0 {
		t.Fatal("the log says nothing")
	}
	oldest := rows[len(rows)-1]
	if oldest.Destination != "dead" || oldest.RecordID != "0" || oldest.Data != nil || !strings.Contains(oldest.Error, "from seq 1 to ") {
		t.Errorf("%+v", oldest)
	}
	if st := r.Stats(); st.Destinations["dead"].Waiting >= n || !st.Destinations["dead"].BreakerOpen || st.Destinations["alive"].Replicated != n {
		t.Errorf("%+v", st)
	}
}

// TestVolatile: everything works without a directory, and nothing is left on disk.
func TestVolatile(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	s, d := newShelf(), memory.New(memory.Options{})
	r := start(t, s, replicator.Options{Volatile: true, Destinations: to(d, "r")})
	for i := range 100 {
		if err := s.put(t.Context(), "r", fmt.Sprint(i), bulk(i)); err != nil {
			t.Fatal(err)
		}
	}
	flush(t, r)
	if n := len(d.Records("r")); n != 100 {
		t.Errorf("%d records arrived", n)
	}
	if rows := failedRows(t, r); rows != nil {
		t.Error(rows)
	}
	countsAddUp(t, r)
	if err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Error(left, err)
	}
}

// TestVolatileWaits: while memory is spent, writes wait until their context ends.
func TestVolatileWaits(t *testing.T) {
	o, _ := deadAndAlive(replicator.RefuseWrites)
	o.Volatile, o.Destinations = true, o.Destinations[:1]
	s := newShelf()
	start(t, s, o)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	for i := range 1000 {
		if err := s.put(ctx, "r", fmt.Sprint(i), bulk(i)); err != nil {
			if !errors.Is(err, context.DeadlineExceeded) || i < 100 {
				t.Errorf("write %d: %v", i, err)
			}
			return
		}
	}
	t.Error("no write waited")
}

// TestSync: the weaker modes deliver as the strong one does, and keep what waits over
// a restart.
func TestSync(t *testing.T) {
	for name, sync := range map[string]replicator.Sync{
		"always": replicator.SyncAlways, "interval": replicator.SyncInterval(10 * time.Millisecond), "never": replicator.SyncNever,
	} {
		t.Run(name, func(t *testing.T) {
			down := true
			s, d := newShelf(), memory.New(memory.Options{Before: func(context.Context, []replicator.Delivery) error {
				if down {
					return replicator.Unavailable(errors.New("it is down"))
				}
				return nil
			}})
			o := replicator.Options{Dir: t.TempDir(), Sync: sync, Destinations: to(d, "r")}
			r := start(t, s, o)
			for i := range 20 {
				if err := s.put(t.Context(), "r", fmt.Sprint(i), bulk(i)); err != nil {
					t.Fatal(err)
				}
			}
			halt(t, r)
			down = false
			flush(t, start(t, s, o))
			if n := len(d.Records("r")); n != 20 {
				t.Errorf("%d records arrived", n)
			}
		})
	}
}

// TestEncryption: what waits over a restart is not to be read in the journal's files,
// arrives with the key, and is refused without.
func TestEncryption(t *testing.T) {
	down := true
	s, d := newShelf(), memory.New(memory.Options{Before: func(context.Context, []replicator.Delivery) error {
		if down {
			return replicator.Unavailable(errors.New("it is down"))
		}
		return nil
	}})
	o := replicator.Options{Dir: t.TempDir(), Destinations: to(d, "r"), Encryption: replicator.Encryption{
		KeyID: func() string { return "2026" },
		Key:   func(id string) ([]byte, error) { return fmt.Appendf(nil, "%-32s", id), nil },
	}}
	r := start(t, s, o)
	if err := s.put(t.Context(), "r", "1", replicator.Record{"v": "canary"}); err != nil {
		t.Fatal(err)
	}
	halt(t, r)
	files, err := filepath.Glob(filepath.Join(o.Dir, "*.seg"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if b, err := os.ReadFile(file); err != nil || bytes.Contains(b, []byte("canary")) {
			t.Error(file, err)
		}
	}
	without := o
	without.Encryption = replicator.Encryption{}
	refused, err := replicator.New(s, without)
	if err != nil {
		t.Fatal(err)
	}
	if err := refused.Start(t.Context()); err == nil || !strings.Contains(err.Error(), `"2026" is needed`) {
		t.Error("without the key:", err)
	}
	down = false
	flush(t, start(t, s, o))
	if d.Records("r")["1"].String("v") != "canary" {
		t.Error(d.Records("r"))
	}
}
