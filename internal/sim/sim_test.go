package sim_test

import (
	"bytes"
	"flag"
	"strings"
	"testing"

	"github.com/s3db-go/replicator/internal/sim"
)

var (
	seeds = flag.Uint64("seeds", 200, "the last world to run, and how many if it begins with the first")
	from  = flag.Uint64("first", 1, "the first world to run")
	seed  = flag.Uint64("seed", 0, "the one world to run, with its trace")
	tell  = flag.Bool("progress", false, "tell the seed of each whole world before it runs")
	trace = flag.Bool("events", false, "tell every event of the whole worlds as it happens")
	shown = flag.Int("shown", 60, "how many of the last events of a world that fails to show")
)

func TestWorlds(t *testing.T) {
	t.Parallel()
	if *seed != 0 {
		report(t, *seed)
		return
	}
	for s := *from; s <= *seeds; s++ {
		if sim.Run(s, nil) != nil {
			report(t, s)
			return
		}
	}
}

// report runs a world once more and shows its end.
func report(t *testing.T, seed uint64) {
	var events bytes.Buffer
	err := sim.Run(seed, &events)
	if err == nil {
		return
	}
	lines := strings.Split(strings.TrimSpace(events.String()), "\n")
	t.Fatalf("%v\nthe last events (repeat with -seed %d):\n%s", err, seed, strings.Join(lines[max(0, len(lines)-*shown):], "\n"))
}
