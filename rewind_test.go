package replicator_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/memory"
)

// TestRewind: what was written from a time on is delivered once more, to that destination
// alone: an event destination gets the same changes again, in order, a state destination
// ends as it was.
func TestRewind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, events, other, state := newShelf(), newEvents(), newEvents(), memory.New(memory.Options{})
		r := start(t, s, replicator.Options{Retain: replicator.Retain{Age: 24 * time.Hour}, Destinations: []replicator.Destination{
			{Name: "events", Driver: events, Routes: replicator.Routes("r")},
			{Name: "other", Driver: other, Routes: replicator.Routes("r")},
			{Name: "state", Driver: state, Routes: replicator.Routes("r")},
		}})
		var times []time.Time
		for i := range 20 {
			times = append(times, time.Now())
			if err := s.put(t.Context(), "r", fmt.Sprint(i%3), replicator.Record{"n": int64(i)}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute) // virtual
		}
		flush(t, r)
		was := state.Records("r")
		before := events.Events("r")
		for _, name := range []string{"events", "state"} {
			if err := r.Rewind(t.Context(), name, times[12]); err != nil {
				t.Fatal(err)
			}
		}
		flush(t, r)
		after := events.Events("r")
		if diff := cmp.Diff(append(before, before[12:]...), after, cmp.AllowUnexported(replicator.Decimal{})); diff != "" {
			t.Errorf("want the last 8 again:\n%s", diff)
		}
		if diff := cmp.Diff(was, state.Records("r")); diff != "" || len(other.Events("r")) != 20 {
			t.Errorf("the other got %d, state:\n%s", len(other.Events("r")), diff)
		}
		countsAddUp(t, r)

		// A time to come, and one after the last change, leave things as they are.
		for _, to := range []time.Time{time.Now().Add(-time.Second), time.Now().Add(time.Hour)} {
			if err := r.Rewind(t.Context(), "events", to); err != nil {
				t.Fatal(err)
			}
		}
		// A paused destination stays so.
		if err := r.Pause(t.Context(), "other"); err != nil {
			t.Fatal(err)
		}
		if err := r.Rewind(t.Context(), "other", times[0].Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
		flush(t, r)
		if st := r.Stats().Destinations["other"]; st.Paused == nil || st.Waiting != 20 || st.Lag != 20*time.Minute || len(other.Events("r")) != 20 {
			t.Errorf("%+v", st)
		}
		if err := r.Resume(t.Context(), "other"); err != nil {
			t.Fatal(err)
		}
		flush(t, r)
		if len(other.Events("r")) != 40 || len(events.Events("r")) != len(after) {
			t.Errorf("%d and %d deliveries", len(other.Events("r")), len(events.Events("r")))
		}
		halt(t, r)
	})
}

// TestRewindOfWhatIsGone: what the journal no longer holds is said, and nothing happens.
func TestRewindOfWhatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := newShelf(), newEvents()
		begin := time.Now()
		r := start(t, s, replicator.Options{MaxJournalBytes: 1 << 20, Destinations: to(d, "r")})
		const n = 400
		for i := range n { // more than the journal may hold
			if err := s.put(t.Context(), "r", fmt.Sprint(i), bulk(i)); err != nil {
				t.Fatal(err)
			}
			if i%20 == 0 {
				flush(t, r)
				time.Sleep(2 * time.Second) // virtual: the cursor is saved
			}
		}
		flush(t, r)
		err := r.Rewind(t.Context(), "memory", begin)
		if err == nil || !strings.HasPrefix(err.Error(), "replicator: rewind memory: the journal holds no changes of ") || !strings.Contains(err.Error(), "Options.Retain") {
			t.Errorf("Rewind: %v", err)
		}
		flush(t, r)
		if got := len(d.Events("r")); got != n {
			t.Errorf("%d deliveries", got)
		}
		halt(t, r)
	})
}
