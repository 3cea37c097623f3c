// Package progress draws what takes long on a terminal: backfills, retries, drains and
// recoveries, each as a bar.
//
//	events, cancel := r.Subscribe(progress.Kinds)
//	defer cancel()
//	go progress.Draw(os.Stderr, events)
//
// It is a package of its own so that only programs which draw have what draws.
package progress

import (
	"io"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/s3db-go/replicator"
)

// Kinds are the events that Draw knows.
const Kinds = replicator.BackfillProgress | replicator.RetryProgress | replicator.DrainProgress | replicator.RecoveryProgress

// subject is what a bar is about.
type subject struct {
	kind                  replicator.Kind
	destination, resource string
}

// Draw draws until the channel is closed: a bar where it is known how much there is, a
// count where not. Events of other kinds are passed over. What w can't take is lost.
func Draw(w io.Writer, events <-chan replicator.Event) {
	bars := map[subject]*progressbar.ProgressBar{}
	for e := range events {
		if e.Kind&Kinds == 0 {
			continue
		}
		of := subject{e.Kind, e.Destination, e.Resource}
		bar := bars[of]
		if bar == nil {
			bar = newBar(w, e)
			bars[of] = bar
		}
		step(bar, e)
		if e.Done || e.Err != nil && e.Kind == replicator.RetryProgress {
			_ = bar.Finish()
			_, _ = io.WriteString(w, "\n")
			delete(bars, of)
		}
	}
}

// newBar makes the bar for the first event of a subject.
func newBar(w io.Writer, e replicator.Event) *progressbar.ProgressBar {
	most := int64(-1) // not known
	if e.Kind == replicator.DrainProgress {
		most = int64(max(e.Waiting, 1))
	}
	return progressbar.NewOptions64(most, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(describe(e)),
		progressbar.OptionShowCount(), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionSetWidth(30),
		progressbar.OptionSetSpinnerChangeInterval(0)) // else it starts a goroutine that outlives what is not finished
}

// step brings a bar to where an event says that it is.
func step(bar *progressbar.ProgressBar, e replicator.Event) {
	switch e.Kind {
	case replicator.BackfillProgress:
		_ = bar.Set64(int64(e.Read))
	case replicator.RetryProgress:
		_ = bar.Set64(int64(e.Sent))
	case replicator.DrainProgress:
		if e.Waiting > uint64(bar.GetMax64()) {
			bar.ChangeMax64(int64(e.Waiting)) // more is written meanwhile
		}
		_ = bar.Set64(bar.GetMax64() - int64(e.Waiting))
	case replicator.RecoveryProgress:
		_ = bar.Add(1)
	}
	bar.Describe(describe(e)) // which draws also what Set64 just left out
}

func describe(e replicator.Event) string {
	switch e.Kind {
	case replicator.BackfillProgress:
		return "backfill of " + e.Destination + ": " + e.Resource
	case replicator.RetryProgress:
		return "retry " + e.Destination
	case replicator.DrainProgress:
		return "draining " + e.Destination
	}
	return "starting: " + e.Reason
}
