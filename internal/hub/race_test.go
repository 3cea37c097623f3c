package hub_test

import (
	"sync"
	"testing"

	"github.com/s3db-go/replicator/internal/hub"
)

// The tests of this file run real goroutines, for the race detector.

func TestConcurrentPublishersAreCountedExactly(t *testing.T) {
	type value struct{ publisher, n, missed int }
	const publishers, each, listeners = 4, 2000, 6
	h := hub.New(16, func(n int) value { return value{missed: n} })

	var publishing, listening sync.WaitGroup
	for l := range listeners {
		ch, cancel := h.Subscribe(nil)
		quits := l%2 == 1
		listening.Go(func() {
			defer cancel()
			var last [publishers]int
			received := 0
			for received < publishers*each {
				v, ok := <-ch
				if !ok {
					break
				}
				received += max(v.missed, 1)
				if v.missed == 0 && v.n <= last[v.publisher] {
					t.Errorf("%d of publisher %d came after %d", v.n, v.publisher, last[v.publisher])
				}
				last[v.publisher] = max(last[v.publisher], v.n)
				if quits && received > each {
					cancel()
				}
			}
			if want := publishers * each; !quits && received != want {
				t.Errorf("listener %d received or was told of %d values, want %d", l, received, want)
			}
		})
	}
	for p := range publishers {
		publishing.Go(func() {
			for n := 1; n <= each; n++ {
				h.Publish(value{publisher: p, n: n})
			}
		})
	}
	publishing.Wait()
	listening.Wait()
}

func TestChannelIsClosedWhenCancelReturns(t *testing.T) {
	h := hub.New(2, notice)
	for range 200 {
		ch, cancel := h.Subscribe(nil)
		h.Publish(1)
		cancel()
		for open := true; open; {
			select {
			case _, open = <-ch:
			default:
				t.Fatal("the channel is still open")
			}
		}
	}
}

func TestSubscribePublishAndCancelAtOnce(t *testing.T) {
	h := hub.New(2, notice)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for v := 1; v <= 1000; v++ {
				ch, cancel := h.Subscribe(nil)
				h.Publish(v)
				all.Go(cancel)
				for range ch { // ends when the subscription does
				}
				cancel()
			}
		})
	}
	all.Wait()
}
