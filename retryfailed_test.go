package replicator_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/s3db-go/replicator"
)

// Everything was given up in a long outage, and nothing is written any more: the recovery
// job finds out by itself that the destination is back, and has spent no tries on that.
func TestRetryFailedFindsThatADestinationIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := newShelf(), newSwitched()
		r := start(t, s, replicator.Options{GiveUpAfter: 10 * time.Second, RetryFailedEvery: time.Minute, Destinations: to(d, "r")})
		d.answer(replicator.Unavailable(errors.New("connection refused")))
		putN(t, s, "r", 8)
		flush(t, r)
		time.Sleep(3 * time.Hour)
		if n := logCount(t, r, replicator.Query{Status: replicator.StatusFailed, RetryCountBelow: 1}); n != 8 {
			t.Errorf("after three hours %d rows have spent no try, want 8", n)
		}
		d.answer(nil)
		time.Sleep(5 * time.Minute)
		flush(t, r)
		if n := logCount(t, r, replicator.Query{Status: replicator.StatusReplicated}); n != 8 {
			t.Errorf("%d arrived, want 8: %s", n, describe(r))
		}
		halt(t, r)
	})
}
