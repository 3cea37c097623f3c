package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/examples/internal/local"
	"github.com/s3db-go/replicator/store"
)

// monitored is a shop whose orders go to one destination, with somebody who watches.
type monitored struct {
	db           *store.DB
	orders, logs *store.Resource
	replicator   *replicator.Replicator
	unsubscribe  func()
	watched      sync.WaitGroup
}

// open starts replication. What the destination has not taken within giveUp while it is
// away is given up, into the log.
func open(ctx context.Context, dir string, driver replicator.Driver, giveUp time.Duration, raise func(alert)) (*monitored, error) {
	db, err := store.Open(ctx, local.URL(dir, "db"))
	if err != nil {
		return nil, err
	}
	m := &monitored{db: db, logs: db.Resource("plg_replicator_logs")}
	if m.orders, err = db.CreateResource(ctx, store.Definition{Name: "orders", Attributes: store.Attributes{"total": "number"}}); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	m.replicator, err = replicator.New(db, replicator.Options{
		Dir:         filepath.Join(dir, "replicator"),
		MaxRetries:  3,
		Timeout:     30 * time.Second,
		GiveUpAfter: giveUp,
		Log:         replicator.LogOptions{Resource: m.logs.Name()}, // a copy for the store's own queries
		Destinations: []replicator.Destination{{
			Name: "analytics", Driver: driver, Routes: replicator.Routes("orders"),
		}},
	})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	events, unsubscribe := m.replicator.Subscribe(replicator.Replicated | replicator.Errors | replicator.BreakerOpened | replicator.BreakerClosed)
	m.unsubscribe = unsubscribe
	m.watched.Go(func() { watch(events, raise) })
	if err := m.replicator.Start(ctx); err != nil {
		return nil, errors.Join(err, m.close())
	}
	return m, nil
}

func (m *monitored) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := m.replicator.Stop(ctx)
	m.unsubscribe()
	m.watched.Wait()
	return errors.Join(err, m.db.Close())
}

// report tells how the destination stands, and fails if an order is in the log as failed,
// or waits for a destination that answers.
func (m *monitored) report(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_ = m.replicator.Flush(ctx) // what waits is told below
	s := m.replicator.Stats().Destinations["analytics"]
	fmt.Fprintf(out, "%d orders replicated, %d waiting, %d failed; %s\n", s.Replicated, s.Waiting, s.Failed, m.replicator.Health().Status)
	if s.Failed > 0 || s.Waiting > 0 && !s.BreakerOpen {
		return fmt.Errorf("%d orders failed, %d wait: %s", s.Failed, s.Waiting, s.Err)
	}
	return nil
}
