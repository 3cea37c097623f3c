package hub_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/s3db-go/replicator/internal/hub"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Published numbers are positive; a notice of n missed is −n.
func notice(n int) int { return -n }

// subscribe gives a channel whose subscription ends with the test.
func subscribe(t *testing.T, h *hub.Hub[int], match func(int) bool) <-chan int {
	ch, cancel := h.Subscribe(match)
	t.Cleanup(cancel)
	return ch
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
		h := hub.New(10, notice)
		all := subscribe(t, h, nil)
		even := subscribe(t, h, func(v int) bool { return v%2 == 0 })
		publish(h, 1, 3)
		late := subscribe(t, h, nil)
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

// A subscriber that takes nothing has one value on the way to it, and the buffer.
func TestSlowSubscriberIsToldWhatItMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(3, notice)
		ch := subscribe(t, h, nil)
		publish(h, 1, 10)
		got, _ := ready(ch)
		expect(t, "after a burst, nothing more published", got, 1, 2, 3, 4, notice(6))

		publish(h, 11, 12)
		got, _ = ready(ch)
		expect(t, "afterwards", got, 11, 12)
	})
}

func TestNoticeStandsWhereValuesAreMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(3, notice)
		ch := subscribe(t, h, nil)
		publish(h, 1, 8)
		got := []int{<-ch} // makes one place, which is the notice's
		synctest.Wait()
		publish(h, 9, 10)
		got = append(got, <-ch, <-ch)
		synctest.Wait()
		publish(h, 11, 20)
		rest, _ := ready(ch)
		expect(t, "in all", append(got, rest...), 1, 2, 3, 4, notice(6), 11, 12, notice(8))
	})
}

func TestSlowSubscriberDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(2, notice)
		subscribe(t, h, nil) // never receives
		ch := subscribe(t, h, nil)
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
		h := hub.New(0, notice)
		ch := subscribe(t, h, nil)
		publish(h, 1, 6)
		got, _ := ready(ch)
		expect(t, "from the smallest buffer", got, 1, 2, notice(4))
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

		published, got := 0, stream{next: 1}
		synctest.Test(t, func(t *testing.T) {
			h := hub.New(buffer, notice)
			ch, cancel := h.Subscribe(nil)
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
			for got.next <= published {
				got.take(<-ch)
			}
			cancel()
			for v := range ch { // there is nothing more
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

func TestCancelEndsASubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(3, notice)
		ch, cancel := h.Subscribe(nil)
		other := subscribe(t, h, nil)
		publish(h, 1, 5)
		cancel()
		cancel()
		if got, closed := ready(ch); !closed || len(got) > 0 {
			t.Errorf("after cancel: received %v, closed: %v", got, closed)
		}
		publish(h, 6, 6)
		got, _ := ready(other)
		expect(t, "by the other", got, 1, 2, 3, 4, notice(2))
	})
}

func TestAHubIsHeardWhileThereAreSubscriptions(t *testing.T) {
	h := hub.New(3, notice)
	if h.Heard() {
		t.Error("before the first")
	}
	_, cancel := h.Subscribe(nil)
	_, cancelOther := h.Subscribe(nil)
	cancel()
	if !h.Heard() {
		t.Error("not while there is one")
	}
	cancelOther()
	if h.Heard() {
		t.Error("after the last")
	}
}

func TestPublishingToNobodyAllocatesNothing(t *testing.T) {
	h := hub.New(3, notice)
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
