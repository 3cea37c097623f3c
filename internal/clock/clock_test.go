package clock_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/s3db-go/replicator/internal/clock"
)

var noon = time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)

func TestVersionTellsTheTime(t *testing.T) {
	var h clock.HLC
	now := noon.Add(123*time.Millisecond + 456*time.Microsecond)
	v := h.Next(now)
	if got, want := clock.Time(v), now.Truncate(time.Millisecond); !got.Equal(want) || got.Location() != time.UTC {
		t.Errorf("Time(%d) = %v, want %v", v, got, want)
	}
	if h.Last() != v {
		t.Errorf("Last() = %d, want %d", h.Last(), v)
	}
}

func TestVersionGrowsWhileTheWallClockStands(t *testing.T) {
	var h clock.HLC
	first := h.Next(noon)
	if second := h.Next(noon); second != first+1 {
		t.Errorf("second version is %d above the first, want 1", second-first)
	}
	if third := h.Next(noon.Add(-time.Hour)); third != first+2 {
		t.Errorf("after a jump back the version is %d above the first, want 2", third-first)
	}
	if next := h.Next(noon.Add(time.Millisecond)); clock.Time(next) != noon.Add(time.Millisecond) {
		t.Errorf("the version does not follow the clock again: %v", clock.Time(next))
	}
}

func TestFullCounterCarriesIntoTheMilliseconds(t *testing.T) {
	var h clock.HLC
	first := h.Next(noon)
	for range 1<<16 - 1 {
		h.Next(noon)
	}
	if got := clock.Time(h.Last()); got != noon {
		t.Errorf("version %d of a millisecond tells %v", 1<<16, got)
	}
	if v := h.Next(noon); v != first+1<<16 || clock.Time(v) != noon.Add(time.Millisecond) {
		t.Errorf("carried to %d (%v), want the next millisecond", v, clock.Time(v))
	}
}

func TestObservedVersionsAreExceeded(t *testing.T) {
	var former clock.HLC
	seen := former.Next(noon)

	var h clock.HLC
	h.Observe(seen)
	if v := h.Next(noon.Add(-time.Hour)); v <= seen {
		t.Errorf("Next gave %d after %d was observed", v, seen)
	}
	last := h.Last()
	h.Observe(seen)
	if h.Last() != last {
		t.Error("observing an old version set the clock back")
	}
}

func TestImpossibleVersionIsNotBelieved(t *testing.T) {
	var h clock.HLC
	for _, v := range []uint64{math.MaxUint64, 1 << 63, 1<<63 - 1} {
		h.Observe(v)
		if h.Last() != 0 {
			t.Fatalf("%#x was believed", v)
		}
	}
	h.Observe(1 << 62)
	if h.Last() != 1<<62 {
		t.Error("a version that can be reached by counting was not believed")
	}
}

func TestFirstVersionIsAboveZero(t *testing.T) {
	var h clock.HLC
	if v := h.Next(time.Unix(-1e9, 0)); v != 1 {
		t.Errorf("first version before 1970 is %d, want 1", v)
	}
}

// Whatever the wall clock and the observed versions are, versions grow and fit a
// signed 64-bit integer.
func TestVersionsOnlyGrow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h clock.HLC
		low := uint64(0)
		t.Repeat(map[string]func(*rapid.T){
			"next": func(t *rapid.T) {
				now := time.Unix(rapid.Int64Range(-1<<40, 1<<40).Draw(t, "sec"), 0)
				if rapid.Bool().Draw(t, "near") {
					now = noon.Add(time.Duration(rapid.IntRange(-5, 5).Draw(t, "ms")) * time.Millisecond)
				}
				v := h.Next(now)
				if v <= low || v >= 1<<63 {
					t.Fatalf("Next gave %d after %d", v, low)
				}
				low = v
			},
			"observe": func(t *rapid.T) {
				v := rapid.Uint64().Draw(t, "version")
				h.Observe(v)
				if v < 1<<62 {
					low = max(low, v)
				}
			},
			"": func(t *rapid.T) {
				if h.Last() < low {
					t.Fatalf("Last() = %d, below %d", h.Last(), low)
				}
			},
		})
	})
}

func BenchmarkNext(b *testing.B) {
	var h clock.HLC
	now := noon
	for b.Loop() {
		h.Next(now)
	}
}
