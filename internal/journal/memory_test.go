package journal_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/journal"
	"github.com/s3db-go/replicator/internal/journal/journaltest"
)

func TestMemory(t *testing.T) {
	journaltest.Run(t, func(*testing.T) journaltest.Harness {
		return journaltest.Harness{Forgets: true, Open: func() (journal.Journal, error) {
			return journal.NewMemory(journal.MemoryOptions{}), nil
		}}
	})
}

// A writer waits while the journal is full, until every cursor has moved on, an
// announcement is taken back, it is closed, or it has waited long enough.
func TestMemoryFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := journal.NewMemory(journal.MemoryOptions{MaxBytes: 4000})
		for _, name := range []string{"a", "b"} {
			if err := m.SaveCursor(name, journal.Cursor{}); err != nil {
				t.Fatal(err)
			}
		}
		var writers sync.WaitGroup
		taken := 0
		var tickets []journal.Ticket
		write := func(ctx context.Context) (failed error) {
			writers.Go(func() {
				ticket, err := m.Begin(ctx, []cdc.Change{bulky(fmt.Sprint(taken))})
				if err != nil {
					failed = err
					return
				}
				taken++
				tickets = append(tickets, ticket)
			})
			synctest.Wait()
			return failed
		}
		for range 4 {
			write(t.Context())
		}
		if taken != 3 {
			t.Fatal(taken, "were taken")
		}
		m.Abort(tickets[0], 0)
		synctest.Wait()
		if taken != 4 {
			t.Fatal("taking back an announcement makes no room")
		}
		write(t.Context())
		for _, ticket := range tickets {
			m.Commit(ticket, 0, nil)
		}
		for _, name := range []string{"a", "b"} {
			synctest.Wait()
			if taken != 4 {
				t.Fatal("a write did not wait for", name)
			}
			if err := m.SaveCursor(name, journal.Cursor{Low: 2}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if s := m.Stats(); taken != 5 || s.First != 3 || s.Bytes > 4000 {
			t.Fatalf("%d were taken: %+v", taken, s)
		}
		if _, err := m.Read(1); err == nil || errors.Is(err, journal.ErrCorrupt) {
			t.Error("reading what is forgotten:", err)
		}
		huge := bulky("huge")
		huge.Trace = string(make([]byte, 4000))
		if _, err := m.Begin(t.Context(), []cdc.Change{huge}); !errors.Is(err, cdc.ErrTooLarge) {
			t.Error("more than all:", err)
		}
		write(t.Context())
		ctx, cancel := context.WithCancel(t.Context())
		var gaveUp error
		writers.Go(func() { gaveUp = m.Append(ctx, []cdc.Change{bulky("x"), bulky("y")}) })
		synctest.Wait()
		cancel()
		synctest.Wait()
		if !errors.Is(gaveUp, context.Canceled) {
			t.Error("a context that ended:", gaveUp)
		}
		var stopped error
		writers.Go(func() { stopped = m.Append(t.Context(), []cdc.Change{bulky("x"), bulky("y")}) })
		synctest.Wait()
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		writers.Wait()
		if !errors.Is(stopped, cdc.ErrStopped) {
			t.Error("Close:", stopped)
		}
	})
}
