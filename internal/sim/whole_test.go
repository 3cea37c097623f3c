package sim_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/s3db-go/replicator/internal/sim/whole"
)

// TestWholeWorlds runs the worlds of the whole library. It stops at the first that
// fails, looks for a smaller one that fails too, and shows its end.
func TestWholeWorlds(t *testing.T) {
	t.Parallel()
	first, last := *from, *seeds
	if *seed != 0 {
		first, last = *seed, *seed
	}
	for s := first; s <= last; s++ {
		c := whole.Make(s)
		var live io.Writer
		if *trace {
			live = os.Stderr
		}
		if *tell {
			fmt.Println("world", s)
		}
		if err := runWhole(t, c, live); err != nil {
			c, err = smallest(t, c, err)
			var events bytes.Buffer
			runWhole(t, c, &events)
			lines := strings.Split(strings.TrimSpace(events.String()), "\n")
			t.Fatalf("seed %d: %v\nin the smallest world that fails: %v\nits last events:\n%s", s, err, c, strings.Join(lines[max(0, len(lines)-*shown):], "\n"))
		}
	}
}

// runWhole runs a world, which may hang without virtual time going on.
func runWhole(t *testing.T, c whole.Config, trace io.Writer) error {
	watch := time.AfterFunc(5*time.Minute, func() { panic("the world hangs: " + c.String()) })
	defer watch.Stop()
	return whole.Run(t, c, trace)
}

// smallest takes away from a world as long as it fails.
func smallest(t *testing.T, c whole.Config, err error) (whole.Config, error) {
	const most = 300 // worlds, so that it ends soon
	for runs := 0; runs < most; {
		before := runs
		for _, s := range c.Smaller() {
			if runs++; runs >= most {
				break
			}
			if worse := runWhole(t, s, nil); worse != nil {
				c, err, before = s, worse, -1
				break
			}
		}
		if before >= 0 {
			break
		}
	}
	return c, err
}
