package progress_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/progress"
)

// In a program the events are those of r.Subscribe(progress.Kinds), and w is os.Stderr.
func ExampleDraw() {
	events := make(chan replicator.Event, 2)
	events <- replicator.Event{Kind: replicator.BackfillProgress, Time: time.Now(), Destination: "copy", Resource: "orders", Read: 1000, Sent: 1000}
	events <- replicator.Event{Kind: replicator.BackfillProgress, Time: time.Now(), Destination: "copy", Resource: "orders", Read: 1500, Sent: 1500, Done: true}
	close(events)
	var terminal strings.Builder
	progress.Draw(&terminal, events)
	fmt.Println(strings.Contains(terminal.String(), "orders"))
	// Output: true
}
