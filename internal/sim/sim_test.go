package sim_test

import (
	"bytes"
	"flag"
	"strings"
	"testing"

	"github.com/s3db-go/replicator/internal/sim"
)

var (
	seeds = flag.Uint64("seeds", 200, "how many worlds to run")
	seed  = flag.Uint64("seed", 0, "the one world to run, with its trace")
)

func TestWorlds(t *testing.T) {
	if *seed != 0 {
		report(t, *seed)
		return
	}
	for s := range *seeds {
		if sim.Run(s+1, nil) != nil {
			report(t, s+1)
			return
		}
	}
}

// report runs a world once more and shows its end.
func report(t *testing.T, seed uint64) {
	var trace bytes.Buffer
	err := sim.Run(seed, &trace)
	if err == nil {
		return
	}
	lines := strings.Split(strings.TrimSpace(trace.String()), "\n")
	const shown = 60
	t.Fatalf("%v\nthe last events (repeat with -seed %d):\n%s", err, seed, strings.Join(lines[max(0, len(lines)-shown):], "\n"))
}
