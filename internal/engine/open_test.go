package engine_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/engine"
)

// shaped is a driver that opens, closes and syncs schemas, as well as it is let.
type shaped struct {
	driver
	mu      sync.Mutex
	openErr error
	syncErr error
	syncs   []int // versions
	closed  int
}

func (s *shaped) set(openErr, syncErr error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.openErr, s.syncErr = openErr, syncErr
}

func (s *shaped) Open(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.openErr
}

func (s *shaped) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed++
	return nil
}

func (s *shaped) SyncSchema(_ context.Context, _ string, schema cdc.Schema) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.syncErr == nil {
		s.syncs = append(s.syncs, schema.Version)
	}
	return s.syncErr
}

func TestWhatIsCertainlyWrongFailsStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &shaped{openErr: cdc.Permanent(errBroken)}
		w := prepare(t, d, nil)
		if err := w.engine.Start(t.Context()); err == nil || err.Error() != "dest: broken" {
			t.Errorf("Start: %v", err)
		}
		w.stop()
		if _, ok := w.journal.Cursor("dest"); ok || d.closed != 0 {
			t.Error("Start left something behind")
		}
	})
}

func TestADestinationThatDoesNotAnswerHealsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &shaped{openErr: cdc.Unavailable(errBroken)}
		w := start(t, d, nil)
		w.journal.update("a")
		time.Sleep(time.Hour)
		if s := w.engine.Stats(); !s.Breaker.Open || s.Loaded != 1 || s.Attempts != 0 || s.Lag != time.Hour {
			t.Errorf("while it does not answer: %+v", s)
		}
		d.set(nil, nil)
		w.drain()
		w.stop()
		w.expect(1, 0, 0, 0)
		if d.closed != 1 {
			t.Errorf("closed %d times", d.closed)
		}
	})
}

func TestTheSchemaComesBeforeTheDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &shaped{}
		version := 1
		w := start(t, d, func(c *engine.Config) {
			c.Schema = func(resource string, rule, _ int) (cdc.Schema, bool, error) {
				return cdc.Schema{Resource: resource, Version: version}, true, nil
			}
		})
		d.set(nil, errBroken)
		w.journal.update("a")
		time.Sleep(time.Minute)
		if len(d.seen("")) != 0 || len(d.syncs) != 0 {
			t.Error("delivered without a schema")
		}
		d.set(nil, nil)
		w.drain()
		w.journal.update("b")
		w.drain()
		if !slices.Equal(d.syncs, []int{1}) || len(d.seen("")) != 2 {
			t.Errorf("syncs %v, deliveries %v", d.syncs, d.seen(""))
		}
		// A newer version is refused for good: its deliveries fail, and nothing hangs.
		version = 2
		d.set(nil, cdc.Permanent(errBroken))
		w.journal.schema = 2
		w.journal.update("c")
		w.drain()
		w.expect(2, 0, 0, 1)
		// Half a minute later the target is asked again.
		d.set(nil, nil)
		time.Sleep(time.Minute)
		w.journal.update("c")
		w.drain()
		w.stop()
		w.expect(3, 0, 0, 1)
		if !slices.Equal(d.syncs, []int{1, 2}) {
			t.Errorf("syncs %v", d.syncs)
		}
	})
}
