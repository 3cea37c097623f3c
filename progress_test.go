package replicator_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/memory"
)

// lagging is a driver whose Open takes as long as it says.
type lagging struct {
	*memory.Driver
	open time.Duration
}

func (l *lagging) Open(context.Context) error {
	time.Sleep(l.open)
	return nil
}

// A Start that takes more than two seconds tells what it is about, every second, and when
// it is over; a quick one tells nothing.
func TestRecoveryTellsWhatItIsAbout(t *testing.T) {
	const slow = 5500 * time.Millisecond
	for name, c := range map[string]struct {
		open, read time.Duration
		want       []string
	}{
		"quick":       {open: time.Second, read: 500 * time.Millisecond},
		"destination": {open: slow, want: []string{"opening the destinations"}},
		"source":      {read: slow, want: []string{"resolving writes that were interrupted"}},
		"both":        {open: slow, read: slow, want: []string{"opening the destinations", "resolving writes that were interrupted"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, delay := newShelf(), time.Duration(0)
				s.CustomSource = replicator.NewSource(replicator.SourceOptions{
					Get: func(ctx context.Context, resource, id string) (replicator.Record, bool, error) {
						select {
						case <-time.After(delay):
							return s.get(ctx, resource, id)
						case <-ctx.Done():
							return nil, false, ctx.Err()
						}
					},
				})
				d := &lagging{Driver: memory.New(memory.Options{})}
				o := replicator.Options{Dir: t.TempDir(), Destinations: to(d, "r")}
				r := start(t, s, o)
				delay = time.Hour // so that the run ends before it knows how the write did
				s.fail(errors.New("the answer is lost"), true)
				if err := s.put(t.Context(), "r", "a", replicator.Record{"v": 1}); err == nil {
					t.Fatal("the write has an answer")
				}
				halt(t, r)

				d.open, delay = c.open, c.read
				r, err := replicator.New(s, o)
				if err != nil {
					t.Fatal(err)
				}
				events, cancel := r.Subscribe(replicator.RecoveryProgress)
				defer cancel()
				begun := time.Now()
				if err := r.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				took := time.Since(begun)
				var told []replicator.Event
				for more := true; more; {
					synctest.Wait()
					select {
					case e := <-events:
						told = append(told, e)
					default:
						more = false
					}
				}
				about := map[string]int{}
				for i, e := range told {
					if !e.Done {
						about[e.Reason]++
					}
					if e.Kind != replicator.RecoveryProgress || e.Done != (i == len(told)-1) || e.Time.Sub(begun) < 2*time.Second {
						t.Errorf("event %d of %d after %v is %+v", i, len(told), e.Time.Sub(begun), e)
					}
				}
				if len(about) != len(c.want) {
					t.Errorf("a Start of %v was about %v, want %q", took, about, c.want)
				}
				for _, step := range c.want {
					if about[step] < 3 {
						t.Errorf("a Start of %v was about %v, want %q", took, about, c.want)
					}
				}
				flush(t, r)
				if rows := d.Records("r"); len(rows) != 1 {
					t.Errorf("after it there are %d rows", len(rows))
				}
				halt(t, r)
			})
		})
	}
}
