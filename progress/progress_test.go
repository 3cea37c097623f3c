package progress_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/progress"
)

func TestBarsSayHowFarItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		events := make(chan replicator.Event)
		drawn := make(chan struct{})
		go func() {
			defer close(drawn)
			progress.Draw(&out, events)
		}()
		for _, e := range []replicator.Event{
			{Kind: replicator.RecoveryProgress, Reason: "opening the journal"},
			{Kind: replicator.RecoveryProgress, Reason: "opening the journal", Done: true},
			{Kind: replicator.Replicated, Destination: "nobody draws this"},
			{Kind: replicator.BackfillProgress, Destination: "backup", Resource: "orders", Read: 1500, Sent: 1400},
			{Kind: replicator.DrainProgress, Destination: "analytics", Waiting: 80},
			{Kind: replicator.DrainProgress, Destination: "analytics", Waiting: 20},
			{Kind: replicator.BackfillProgress, Destination: "backup", Resource: "orders", Read: 3000, Sent: 2900, Done: true},
			{Kind: replicator.DrainProgress, Destination: "analytics", Waiting: 0, Done: true},
			{Kind: replicator.RetryProgress, Destination: "events", Sent: 256},
		} {
			events <- e
			time.Sleep(time.Second)
		}
		close(events)
		<-drawn
		text := out.String()
		for _, want := range []string{"starting: opening the journal", "backfill of backup: orders", "1500", "3000", "draining analytics", "75%", "100%", "60/80", "80/80", "retry events", "256"} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not drawn in %q", want, text)
			}
		}
		if strings.Contains(text, "nobody") {
			t.Error("an event of another kind is drawn")
		}
	})
}
