package main

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/examples/internal/local"
	"github.com/s3db-go/replicator/store"
)

// shop is a store whose changes go to four destinations.
type shop struct {
	db         *store.DB
	replicator *replicator.Replicator
	logs       *store.Resource
	end        func()
	watched    sync.WaitGroup
}

type settings struct {
	dir                     string
	sinks                   sinks
	giveUpAfter, retryEvery time.Duration
	alert                   func(title string)
}

func open(ctx context.Context, o settings) (*shop, error) {
	db, err := store.Open(ctx, local.URL(o.dir, "db"))
	if err != nil {
		return nil, err
	}
	for _, definition := range []store.Definition{
		{Name: "users", Attributes: store.Attributes{"name": "string", "email": "string"}},
		{Name: "orders", Attributes: store.Attributes{"total": "string", "status": "string"}, Timestamps: true},
		{Name: "products", Attributes: store.Attributes{"title": "string"}},
	} {
		if _, err := db.CreateResource(ctx, definition); err != nil {
			return nil, errors.Join(err, db.Close())
		}
	}
	s := &shop{db: db, logs: db.Resource("plg_replicator_logs")}
	s.replicator, err = replicator.New(db, replicator.Options{
		Dir:              filepath.Join(o.dir, "replicator"),
		MaxRetries:       3,
		Concurrency:      10,
		GiveUpAfter:      o.giveUpAfter,
		RetryFailedEvery: o.retryEvery, // the scheduled recovery job
		RetryFailedMax:   3,
		Log:              replicator.LogOptions{Resource: s.logs.Name()},
		Destinations:     o.sinks.destinations(),
	})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	events, end := s.replicator.Subscribe(replicator.Errors)
	s.end = end
	s.watched.Go(func() { watch(events, o.alert) })
	if err := s.replicator.Start(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// order takes in an order.
func (s *shop) order(ctx context.Context, total string) error {
	_, err := s.db.Resource("orders").Insert(ctx, store.Record{"total": total, "status": "new"})
	return err
}

// close delivers for ten seconds; what is left waits in the journal.
func (s *shop) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := s.replicator.Stop(ctx)
	s.end()
	s.watched.Wait()
	return errors.Join(err, s.db.Close())
}
