package docs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/memory"
	"github.com/s3db-go/replicator/drivers/webhook"
	"github.com/s3db-go/replicator/store"
)

// The measurements of tuning.md. Each setting stands beside its neighbours in one run:
//
//	go test ./docs -run '^$' -bench Tuning -count 5

const (
	waiting = 4_000                // changes of a drain: some tenths of a second with the slowest setting but one at a time
	answer  = 2 * time.Millisecond // what a call takes at a destination in the same region
)

// tuned is a store in memory with a replicator whose one destination is paused.
func tuned(b *testing.B, o replicator.Options, driver replicator.Driver) (*store.Resource, *replicator.Replicator) {
	b.Helper()
	ctx := b.Context()
	db, err := store.Open(ctx, "memory://tuning")
	if err != nil {
		b.Fatal(err)
	}
	things, err := db.CreateResource(ctx, store.Definition{Name: "things", Attributes: store.Attributes{"name": "string", "n": "number"}})
	if err != nil {
		b.Fatal(err)
	}
	o.Dir = b.TempDir()
	o.Destinations = []replicator.Destination{{Name: "d", Driver: driver, Routes: replicator.Routes("things")}}
	r, err := replicator.New(db, o)
	if err != nil {
		b.Fatal(err)
	}
	if err := r.Start(ctx); err != nil {
		b.Fatal(err)
	}
	if err := r.Pause(ctx, "d"); err != nil {
		b.Fatal(err)
	}
	return things, r
}

// write inserts records from so many writers at a time.
func write(b *testing.B, things *store.Resource, writers, records int) {
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for n := range records / writers {
				if _, err := things.Insert(b.Context(), store.Record{"id": fmt.Sprintf("%d-%d", w, n), "name": "a thing of some length", "n": n}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

func stop(b *testing.B, r *replicator.Replicator) {
	if err := r.Stop(context.WithoutCancel(b.Context())); err != nil {
		b.Fatal(err)
	}
}

// drain measures how quickly waiting changes are delivered.
func drain(b *testing.B, o replicator.Options, driver func() replicator.Driver) {
	var took time.Duration
	for b.Loop() {
		b.StopTimer()
		things, r := tuned(b, o, driver())
		write(b, things, 64, waiting)
		b.StartTimer()
		began := time.Now()
		if err := r.Resume(b.Context(), "d"); err != nil {
			b.Fatal(err)
		}
		if err := r.Flush(b.Context()); err != nil {
			b.Fatal(err)
		}
		took += time.Since(began)
		b.StopTimer()
		stop(b, r)
		b.StartTimer()
	}
	b.ReportMetric(float64(b.N)*waiting/took.Seconds(), "changes/s")
}

// distant is a destination that takes its time for each call, however much is in it.
func distant(items, concurrency int) func() replicator.Driver {
	return func() replicator.Driver {
		return memory.New(memory.Options{Events: true, Items: items, Concurrency: concurrency, Before: func(ctx context.Context, _ []replicator.Delivery) error {
			select {
			case <-time.After(answer):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}})
	}
}

func BenchmarkTuningConcurrency(b *testing.B) {
	for _, n := range []int{1, 2, 8, 32} {
		b.Run(fmt.Sprint(n), func(b *testing.B) { drain(b, replicator.Options{}, distant(10, n)) })
	}
}

func BenchmarkTuningBatch(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) { drain(b, replicator.Options{}, distant(n, 8)) })
	}
}

func BenchmarkTuningWebhookBatch(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body) // a body that breaks off is the driver's to notice
		<-time.After(answer)
	}))
	defer server.Close()
	for _, n := range []int{0, 10, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			drain(b, replicator.Options{}, func() replicator.Driver { return webhook.New(webhook.Options{URL: server.URL, BatchSize: n}) })
		})
	}
}

func BenchmarkTuningLog(b *testing.B) {
	for name, successes := range map[string]bool{"failures": false, "successes": true} {
		b.Run(name, func(b *testing.B) {
			drain(b, replicator.Options{Log: replicator.LogOptions{Successes: successes}}, func() replicator.Driver { return memory.New(memory.Options{}) })
		})
	}
}

func BenchmarkTuningSync(b *testing.B) {
	key := make([]byte, 32)
	for _, setting := range []struct {
		name string
		o    replicator.Options
	}{
		{"always", replicator.Options{}},
		{"always-encrypted", replicator.Options{Encryption: replicator.Encryption{
			KeyID: func() string { return "k" }, Key: func(string) ([]byte, error) { return key, nil },
		}}},
		{"interval", replicator.Options{Sync: replicator.SyncInterval(10 * time.Millisecond)}},
		{"never", replicator.Options{Sync: replicator.SyncNever}},
		{"volatile", replicator.Options{Volatile: true}},
	} {
		for _, writers := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/%d", setting.name, writers), func(b *testing.B) {
				var took time.Duration
				for b.Loop() {
					b.StopTimer()
					things, r := tuned(b, setting.o, memory.New(memory.Options{}))
					b.StartTimer()
					began := time.Now()
					write(b, things, writers, waiting)
					took += time.Since(began)
					b.StopTimer()
					if err := r.Resume(b.Context(), "d"); err != nil {
						b.Fatal(err)
					}
					stop(b, r)
					b.StartTimer()
				}
				b.ReportMetric(float64(b.N)*waiting/took.Seconds(), "writes/s")
			})
		}
	}
}

// BenchmarkTuningJournalBytes tells how many changes wait in a journal of a bound before
// a write is refused.
func BenchmarkTuningJournalBytes(b *testing.B) {
	for _, bound := range []int64{1 << 20, 4 << 20, 16 << 20} {
		b.Run(fmt.Sprintf("%dMiB", bound>>20), func(b *testing.B) {
			fitted := 0
			for b.Loop() {
				things, r := tuned(b, replicator.Options{MaxJournalBytes: bound, Sync: replicator.SyncNever}, memory.New(memory.Options{}))
				fitted = 0
				for {
					_, err := things.Insert(b.Context(), store.Record{"name": "a thing of some length", "n": fitted})
					if errors.Is(err, cdc.ErrJournalFull) {
						break
					}
					if err != nil {
						b.Fatal(err)
					}
					fitted++
				}
				if err := r.Resume(b.Context(), "d"); err != nil {
					b.Fatal(err)
				}
				stop(b, r)
			}
			b.ReportMetric(float64(fitted), "changes")
		})
	}
}
