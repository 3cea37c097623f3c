package engine_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/s3db-go/replicator/internal/journal"
)

// A process that dies soon after every start still gets on: whenever it dies, the cursor
// has half of what was delivered. Later the saves are rare, as each is two fsyncs.
func TestCursorIsSavedSoonAfterStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, &driver{}, nil)
		defer w.stop()
		saved := func() (journal.Cursor, int) {
			w.journal.mu.Lock()
			defer w.journal.mu.Unlock()
			return w.journal.cursors["dest"], w.journal.saves
		}
		const soon = 10 // changes that may be written, one a millisecond, before the second save
		for n := range uint64(10_000) {
			w.journal.update(fmt.Sprint("r", n))
			time.Sleep(time.Millisecond)
			synctest.Wait()
			if c, _ := saved(); c.Low+soon < n/2 {
				t.Fatalf("after %d ms the cursor stands at %d", n, c.Low)
			}
		}
		if c, saves := saved(); saves > 20 || c.Low < 8900 {
			t.Errorf("after 10 s the cursor stands at %d, and was saved %d times", c.Low, saves)
		}
	})
}
