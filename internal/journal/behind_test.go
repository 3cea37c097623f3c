package journal

import "testing"

func TestBehindCountsWhatFollows(t *testing.T) {
	segments := []segment{{first: 1, end: 1000}, {first: 11, end: 2000}, {first: 21, end: 500}}
	for _, c := range []struct {
		low  uint64
		want int64
	}{{0, 3500}, {5, 3000}, {10, 2500}, {15, 1500}, {20, 500}, {25, 0}, {30, 0}} {
		if got := behind(segments, 25, c.low); got != c.want {
			t.Errorf("after %d there are %d bytes, want %d", c.low, got, c.want)
		}
	}
	// A segment in which nothing was committed.
	if got := behind([]segment{{first: 1, end: 1000}, {first: 11, end: 64}, {first: 11, end: 0}}, 10, 5); got != 564 {
		t.Errorf("got %d, want half of the first and what follows", got)
	}
}
