package backoff_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/s3db-go/replicator/internal/backoff"
)

func TestCeilingDoublesUpToTheCap(t *testing.T) {
	probes := backoff.Policy{Base: time.Second, Cap: 30 * time.Second}
	want := []time.Duration{1, 2, 4, 8, 16, 30, 30}
	for i, w := range want {
		if got := probes.Ceiling(i + 1); got != w*time.Second {
			t.Errorf("after %d failures: %v, want %v", i+1, got, w*time.Second)
		}
	}
}

func TestCeilingAtItsEdges(t *testing.T) {
	second := backoff.Policy{Base: time.Second, Cap: time.Hour}
	for _, c := range []struct {
		name     string
		policy   backoff.Policy
		failures int
		want     time.Duration
	}{
		{"none yet", second, 0, time.Second},
		{"negative", second, math.MinInt, time.Second},
		{"very many", second, math.MaxInt, time.Hour},
		{"base above the cap", backoff.Policy{Base: time.Hour, Cap: time.Second}, 1, time.Second},
		{"no base", backoff.Policy{Cap: time.Hour}, 100, 0},
		{"zero value", backoff.Policy{}, 5, 0},
		{"the largest cap", backoff.Policy{Base: 1, Cap: math.MaxInt64}, 63, 1 << 62},
		{"beyond the largest cap", backoff.Policy{Base: 1, Cap: math.MaxInt64}, 64, math.MaxInt64},
	} {
		if got := c.policy.Ceiling(c.failures); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestNoNumberOfFailuresOverflows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := backoff.Policy{
			Base: time.Duration(rapid.Int64Min(0).Draw(t, "base")),
			Cap:  time.Duration(rapid.Int64Min(0).Draw(t, "cap")),
		}
		n := rapid.Int().Draw(t, "failures")
		ceiling := p.Ceiling(n)
		if ceiling < 0 || ceiling > p.Cap {
			t.Fatalf("Ceiling(%d) = %v, beyond %v", n, ceiling, p.Cap)
		}
		if n < math.MaxInt && p.Ceiling(n+1) < ceiling {
			t.Fatalf("Ceiling(%d) = %v, less than before: %v", n+1, p.Ceiling(n+1), ceiling)
		}
		r := rapid.Float64Range(0, math.Nextafter(1, 0)).Draw(t, "rnd")
		if d := p.Delay(n, func() float64 { return r }); d < 0 || d > ceiling {
			t.Fatalf("Delay(%d) = %v, outside 0 to %v", n, d, ceiling)
		}
	})
}

func TestDelayIsSpreadOverTheWholeCeiling(t *testing.T) {
	p := backoff.Policy{Base: time.Second, Cap: time.Minute}
	rnd := rand.New(rand.NewPCG(1, 2))
	var quarters [4]int
	for range 4000 {
		d := p.Delay(3, rnd.Float64) // up to 4 s
		quarters[d/time.Second]++
	}
	for i, n := range quarters {
		if n < 900 || n > 1100 {
			t.Errorf("%d of 4000 delays in quarter %d, want about 1000", n, i+1)
		}
	}
}
