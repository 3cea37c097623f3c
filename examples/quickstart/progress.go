package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/s3db-go/replicator"
)

// A terminal gets a line that changes as smoothly as an eye wants it; a file gets few.
const (
	terminalPause = 100 * time.Millisecond
	filePause     = time.Second
)

// showProgress prints what line gives, again and again, and for the last time when
// stop is called. On a terminal each takes the place of the one before.
func showProgress(out *os.File, line func() string) (stop func()) {
	pause := filePause
	show := func(string) { fmt.Fprintln(out, line()) }
	if info, err := out.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		pause = terminalPause
		width := 0
		show = func(end string) {
			text := line()
			fmt.Fprintf(out, "\r%-*s%s", width, text, end)
			width = len(text) // the next must cover this one
		}
	}
	quit := make(chan struct{})
	var printer sync.WaitGroup
	printer.Go(func() {
		ticker := time.NewTicker(pause)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				show("")
			case <-quit:
				show("\n")
				return
			}
		}
	})
	return func() {
		close(quit)
		printer.Wait()
	}
}

// progressLine tells how far the writers are, and how far behind each destination.
func progressLine(done, total int, stats replicator.Stats) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s of %s writes", thousands(done), thousands(total))
	for _, name := range slices.Sorted(maps.Keys(stats.Destinations)) {
		d := stats.Destinations[name]
		fmt.Fprintf(&b, "; %s: %s waiting, lag %v", name, thousands(int(d.Waiting)), d.Lag.Round(time.Millisecond))
	}
	return b.String()
}

// printTable prints how the deliveries of each destination ended.
func printTable(out io.Writer, stats replicator.Stats) {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "destination\twanted\treplicated\tcoalesced\tskipped\tfailed\tlag\t")
	for _, name := range slices.Sorted(maps.Keys(stats.Destinations)) {
		d := stats.Destinations[name]
		fmt.Fprintf(t, "%s\t", name)
		for _, n := range []uint64{d.Wanted, d.Replicated, d.Coalesced, d.Skipped, d.Failed} {
			fmt.Fprintf(t, "%s\t", thousands(int(n)))
		}
		fmt.Fprintf(t, "%v\t\n", d.Lag.Round(time.Millisecond))
	}
	t.Flush()
}

// thousands writes a number as 1,234,567.
func thousands(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
