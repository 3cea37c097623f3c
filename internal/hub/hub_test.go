package hub_test

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/s3db-go/replicator/internal/hub"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Published numbers are positive; a notice of n missed is −n.
func notice(n int) int { return -n }

// newHub gives a hub that is closed when the test ends.
func newHub(t *testing.T, buffer int) *hub.Hub[int] {
	h := hub.New(buffer, notice)
	t.Cleanup(h.Close)
	return h
}

// publish publishes the numbers from first to last, each after everything that
// the one before set off has come to rest. It needs a synctest bubble.
func publish(h *hub.Hub[int], first, last int) {
	for v := first; v <= last; v++ {
		h.Publish(v)
		synctest.Wait()
	}
}

// ready receives everything that comes without anything more being published, and
// tells whether the channel was closed behind it. It needs a synctest bubble.
func ready(ch <-chan int) (got []int, closed bool) {
	for {
		synctest.Wait()
		select {
		case v, ok := <-ch:
			if !ok {
				return got, true
			}
			got = append(got, v)
		default:
			return got, false
		}
	}
}

func expect(t *testing.T, what string, got []int, want ...int) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: received %v, want %v", what, got, want)
	}
}

func TestEverySubscriberGetsWhatItMatchesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, 10)
		all, _ := h.Subscribe(nil)
		even, _ := h.Subscribe(func(v int) bool { return v%2 == 0 })
		publish(h, 1, 3)
		late, _ := h.Subscribe(nil)
		publish(h, 4, 6)

		for _, s := range []struct {
			name string
			ch   <-chan int
			want []int
		}{
			{"all", all, []int{1, 2, 3, 4, 5, 6}},
			{"even", even, []int{2, 4, 6}},
			{"late", late, []int{4, 5, 6}},
		} {
			got, _ := ready(s.ch)
			expect(t, s.name, got, s.want...)
		}
	})
}

// A subscriber that takes nothing has one value in its channel, one on the way
// into it, and the buffer.
func TestSlowSubscriberIsToldWhatItMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, 3)
		ch, _ := h.Subscribe(nil)
		publish(h, 1, 10)
		got, _ := ready(ch)
		expect(t, "after a burst, nothing more published", got, 1, 2, 3, 4, 5, notice(5))

		publish(h, 11, 12)
		got, _ = ready(ch)
		expect(t, "afterwards", got, 11, 12)
	})
}

func TestNoticeStandsWhereValuesAreMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, 3)
		ch, _ := h.Subscribe(nil)
		publish(h, 1, 8)
		got := []int{<-ch} // makes one place, which is the notice's
		synctest.Wait()
		publish(h, 9, 10)
		got = append(got, <-ch, <-ch)
		synctest.Wait()
		publish(h, 11, 20)
		rest, _ := ready(ch)
		expect(t, "in all", append(got, rest...), 1, 2, 3, 4, 5, notice(5), 11, 12, notice(8))
	})
}

func TestSlowSubscriberDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, 2)
		h.Subscribe(nil) // never receives
		ch, _ := h.Subscribe(nil)
		for v := 1; v <= 100; v++ {
			publish(h, v, v)
			if got := <-ch; got != v {
				t.Fatalf("received %d, want %d", got, v)
			}
		}
	})
}

func TestBufferOfNothingHoldsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, 0)
		ch, _ := h.Subscribe(nil)
		publish(h, 1, 6)
		got, _ := ready(ch)
		expect(t, "from the smallest buffer", got, 1, 2, 3, notice(3))
	})
}

// step is a part of a plan: values are published, then some are received.
type step struct {
	publish, receive int
	pause            bool // let everything come to rest after each value
}

var steps = rapid.Custom(func(t *rapid.T) step {
	return step{
		publish: rapid.IntRange(0, 10).Draw(t, "publish"),
		receive: rapid.IntRange(0, 10).Draw(t, "receive"),
		pause:   rapid.Bool().Draw(t, "pause"),
	}
})

// stream checks that values and notices follow each other without a gap: after v
// and a notice of n comes v+n+1.
type stream struct {
	next int // the number expected next
	err  error
}

func (s *stream) take(v int) {
	switch {
	case v < 0:
		s.next -= v
	case v == s.next:
		s.next++
	default:
		s.err = cmp.Or(s.err, fmt.Errorf("received %d where %d belongs", v, s.next))
		s.next = v + 1
	}
}

func TestReceivedAndMissedIsWhatWasPublished(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		buffer := rapid.IntRange(0, 5).Draw(r, "buffer")
		plan := rapid.SliceOf(steps).Draw(r, "plan")
		stays := rapid.Bool().Draw(r, "stays until Close")

		published, got := 0, stream{next: 1}
		synctest.Test(t, func(t *testing.T) {
			h := hub.New(buffer, notice)
			ch, _ := h.Subscribe(nil)
			for _, s := range plan {
				for range s.publish {
					published++
					h.Publish(published)
					if s.pause {
						synctest.Wait()
					}
				}
				for i := 0; i < s.receive && got.next <= published; i++ {
					got.take(<-ch) // comes without anything more being published
				}
			}
			if stays {
				for got.next <= published {
					got.take(<-ch)
				}
			}
			h.Close()
			for v := range ch {
				got.take(v)
			}
		})
		if got.err != nil {
			r.Fatal(got.err)
		}
		if got.next != published+1 {
			r.Fatalf("received or told of %d of %d values", got.next-1, published)
		}
	})
}

func TestCloseWaitsForWhatIsStillToBeTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, 10)
		ch, _ := h.Subscribe(nil)
		publish(h, 1, 8)
		var got []int
		var listener sync.WaitGroup
		listener.Go(func() {
			for v := range ch {
				got = append(got, v)
				time.Sleep(100 * time.Millisecond)
			}
		})
		h.Close()
		listener.Wait()
		expect(t, "by a listener of ten a second", got, 1, 2, 3, 4, 5, 6, 7, 8)
	})
}

func TestCloseDoesNotWaitForWhoHasGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, 3)
		gone, _ := h.Subscribe(nil)
		idle, _ := h.Subscribe(func(v int) bool { return v == 1 })
		publish(h, 1, 10)

		began := time.Now()
		h.Close()
		if took := time.Since(began); took != time.Second {
			t.Errorf("Close took %v, want the second that it waits", took)
		}
		got, closed := ready(gone)
		if expect(t, "by who comes back", got, notice(10)); !closed {
			t.Error("the channel is not closed")
		}
		got, closed = ready(idle)
		if expect(t, "by who had one waiting", got, 1); !closed {
			t.Error("the channel is not closed")
		}
	})
}

func TestWhatIsLeftAtCloseIncludesAnEarlierNotice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, 3)
		ch, _ := h.Subscribe(nil)
		publish(h, 1, 10)
		var got []int
		for range 5 {
			got = append(got, <-ch)
			synctest.Wait()
		}
		publish(h, 11, 12) // behind the notice of 6 to 10, which stands in the channel
		h.Close()
		rest, _ := ready(ch)
		expect(t, "in all", append(got, rest...), 1, 2, 3, 4, 5, notice(7))
	})
}

func TestCloseIsImmediateIfNothingWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, 3)
		ch, _ := h.Subscribe(nil)
		began := time.Now()
		h.Close()
		h.Close()
		if took := time.Since(began); took != 0 {
			t.Errorf("Close took %v", took)
		}
		h.Publish(1)
		if got, closed := ready(ch); len(got) != 0 || !closed {
			t.Errorf("received %v after Close, closed: %v", got, closed)
		}
		late, cancel := h.Subscribe(nil)
		if _, ok := <-late; ok {
			t.Error("a subscription after Close got a value")
		}
		cancel()
	})
}

func TestCancelEndsASubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, 3)
		ch, cancel := h.Subscribe(nil)
		other, _ := h.Subscribe(nil)
		publish(h, 1, 5)
		cancel()
		cancel()
		got, closed := ready(ch)
		if !closed || len(got) > 1 {
			t.Errorf("after cancel: received %v, closed: %v", got, closed)
		}
		publish(h, 6, 6)
		got, _ = ready(other)
		expect(t, "by the other", got, 1, 2, 3, 4, 5, notice(1))
	})
}

func TestCancelReleasesACloseThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, 3)
		_, cancel := h.Subscribe(nil)
		publish(h, 1, 5)
		began := time.Now()
		var closing sync.WaitGroup
		closing.Go(h.Close)
		synctest.Wait()
		cancel()
		closing.Wait()
		if took := time.Since(began); took != 0 {
			t.Errorf("Close took %v though the subscriber had cancelled", took)
		}
		cancel()
	})
}

func TestPublishingToNobodyAllocatesNothing(t *testing.T) {
	h := newHub(t, 3)
	if n := testing.AllocsPerRun(100, func() { h.Publish(1) }); n != 0 {
		t.Errorf("Publish allocates %v times without subscribers", n)
	}
}

func BenchmarkPublish(b *testing.B) {
	for name, subscribers := range map[string]int{"to nobody": 0, "to one who sleeps": 1, "to ten who sleep": 10} {
		b.Run(name, func(b *testing.B) {
			h := hub.New(1024, notice)
			for range subscribers {
				_, cancel := h.Subscribe(nil)
				defer cancel()
			}
			b.ReportAllocs()
			for b.Loop() {
				h.Publish(1)
			}
		})
	}
}
