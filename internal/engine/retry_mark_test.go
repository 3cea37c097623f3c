package engine_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/engine"
	"github.com/s3db-go/replicator/internal/journal"
	"github.com/s3db-go/replicator/internal/ledger"
)

// unsure is a ledger whose first amendments are made, and told to have failed.
type unsure struct {
	engine.Ledger
	lies int
}

func (u *unsure) Amend(rows []ledger.Row, change func(*ledger.Row)) ([]ledger.Row, error) {
	amended, err := u.Ledger.Amend(rows, change)
	if u.lies > 0 && err == nil {
		u.lies--
		return nil, errBroken
	}
	return amended, err
}

// busy is a journal that refuses what is appended first.
type busy struct {
	engine.Journal
	refusals int
}

func (b *busy) AppendTo(ctx context.Context, to string, changes []cdc.Change, w *journal.Watch) (int, error) {
	if b.refusals > 0 {
		b.refusals--
		return 0, cdc.ErrJournalFull
	}
	return b.Journal.AppendTo(ctx, to, changes, w)
}

// Rows that a Retry marked, and does not know it, or can't take back, are not left as if
// they were on their way for ever: without a Start they go.
func TestMarksOfARetryThatFailedAreTakenUp(t *testing.T) {
	for name, fail := range map[string]func(*engine.Config){
		"marked, and told to be not": func(cfg *engine.Config) { cfg.Ledger = &unsure{cfg.Ledger, 1} },
		"not taken back": func(cfg *engine.Config) {
			cfg.Ledger, cfg.Journal = &once{Ledger: cfg.Ledger}, &busy{cfg.Journal, 1}
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newPicky(cdc.Limits{Events: true, Items: 1}, everything)
			s := newSite(t, d, fail)
			s.write(cdc.Updated, "a", 1)
			s.drain()
			d.mend()
			settled := make(chan struct{}, 1)
			s.mu.Lock()
			s.watch = func(n engine.Notice) {
				if n.Kind == engine.NoteSettled {
					settled <- struct{}{}
				}
			}
			s.mu.Unlock()
			for rows := range s.ledger.Failures(ledger.Query{}, 10) {
				if n, err := s.engine.Retry(t.Context(), rows); n != 0 || !errors.Is(err, errBroken) {
					t.Fatalf("%d were put back, and %v", n, err)
				}
			}
			select {
			case <-settled:
			case <-time.After(20 * time.Second):
				t.Fatal("it is marked, and never goes")
			}
			s.stop()
			s.expect("a", "1 replicated")
		})
	}
}
