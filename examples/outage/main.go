// Outage writes to a store that four destinations follow, takes one of them away for a
// while, and draws how far each lags behind, by the replicator's own Stats:
//
//	go run ./examples/outage -o outage.svg            # the destination is dead for 30 s
//	go run ./examples/outage -dead 5s -o outage.svg
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/s3db"
	"github.com/s3db-go/replicator/drivers/webhook"
	"github.com/s3db-go/replicator/store"
)

func main() {
	dead := flag.Duration("dead", 30*time.Second, "how long the destination is away")
	out := flag.String("o", "outage.svg", "where the picture goes")
	flag.Parse()
	if err := record(context.Background(), *dead, *out); err != nil {
		fmt.Fprintln(os.Stderr, "outage:", err)
		os.Exit(1)
	}
}

func record(ctx context.Context, dead time.Duration, out string) error {
	dir, err := os.MkdirTemp("", "outage-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	r, err := run(ctx, dir, dead)
	if err != nil {
		return err
	}
	for _, name := range r.names {
		fmt.Printf("%-10s lagged behind by at most %v\n", name, r.worst(name).Round(time.Millisecond))
	}
	fmt.Printf("%d orders; after the outage %s had caught up within %v\n", r.orders, victim, r.caughtUp.Round(10*time.Millisecond))
	return os.WriteFile(out, r.draw(), 0o644)
}

// victim is the destination that is taken away.
const victim = "crm"

const (
	// writeEvery paces the orders, sampleEvery the looks at Stats.
	writeEvery  = 10 * time.Millisecond
	sampleEvery = 100 * time.Millisecond
)

// recording is what was seen of a run.
type recording struct {
	names      []string // of the destinations
	samples    []sample
	from, to   time.Duration // of the outage, since the begin
	caughtUp   time.Duration // how long after it
	orders     int
	replicated map[string]uint64
}

// sample is one look at Stats.
type sample struct {
	at  time.Duration // since the begin
	lag map[string]time.Duration
}

func (r *recording) worst(name string) (most time.Duration) {
	for _, s := range r.samples {
		most = max(most, s.lag[name])
	}
	return most
}

// run writes orders, and takes the victim away for so long.
func run(ctx context.Context, dir string, dead time.Duration) (rec *recording, err error) {
	at := func(name string) string { return "file:///" + filepath.ToSlash(filepath.Join(dir, name)) + "?sync=off" }
	db, err := store.Open(ctx, at("db"))
	if err != nil {
		return nil, err
	}
	defer db.Close()
	orders, err := db.CreateResource(ctx, store.Definition{Name: "orders", Attributes: store.Attributes{"total": "number"}})
	if err != nil {
		return nil, err
	}
	healthy, ill := &receiver{}, &receiver{}
	for _, server := range []*receiver{healthy, ill} {
		if err := server.start(); err != nil {
			return nil, err
		}
		defer server.stop()
	}
	routes := replicator.Routes("orders")
	rec = &recording{names: []string{"backup", "archive", "search", victim}, replicated: map[string]uint64{}}
	r, err := replicator.New(db, replicator.Options{
		Dir: filepath.Join(dir, "replicator"),
		Destinations: []replicator.Destination{
			{Name: "backup", Driver: s3db.New(s3db.Options{ConnectionString: at("backup")}), Routes: routes},
			{Name: "archive", Driver: s3db.New(s3db.Options{ConnectionString: at("archive")}), Routes: routes},
			{Name: "search", Driver: webhook.New(webhook.Options{URL: healthy.url(), BatchSize: 100}), Routes: routes},
			{Name: victim, Driver: webhook.New(webhook.Options{URL: ill.url(), BatchSize: 100}), Routes: routes},
		},
	})
	if err != nil {
		return nil, err
	}
	if err := r.Start(ctx); err != nil {
		return nil, err
	}
	defer func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		err = errors.Join(err, r.Stop(stopping))
	}()

	begin := time.Now()
	calm := max(dead/6, time.Second) // before and after
	rec.from, rec.to = calm, calm+dead
	write, look := time.NewTicker(writeEvery), time.NewTicker(sampleEvery)
	defer write.Stop()
	defer look.Stop()
	away, back := time.After(rec.from), time.After(rec.to)
	var returned time.Time
	for over := false; !over; {
		select {
		case <-write.C:
			if _, err := orders.Insert(ctx, store.Record{"total": 100}); err != nil {
				return nil, err
			}
			rec.orders++
		case <-look.C:
			now := sample{time.Since(begin), map[string]time.Duration{}}
			for name, s := range r.Stats().Destinations {
				now.lag[name] = s.Lag
			}
			rec.samples = append(rec.samples, now)
			switch {
			case returned.IsZero():
			case rec.caughtUp == 0 && now.lag[victim] < 2*sampleEvery:
				rec.caughtUp = time.Since(returned)
			case rec.caughtUp > 0:
				over = time.Since(returned) > rec.caughtUp+calm
			}
		case <-away:
			ill.stop()
		case <-back:
			if err := ill.start(); err != nil {
				return nil, err
			}
			returned = time.Now()
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	if err := r.Flush(ctx); err != nil {
		return nil, err
	}
	for name, s := range r.Stats().Destinations {
		rec.replicated[name] = s.Replicated
	}
	return rec, nil
}

// receiver is a server of webhooks that can go away and come back at its address.
type receiver struct {
	addr   string // "" before the first start
	server *http.Server
}

func (r *receiver) start() error {
	listener, err := net.Listen("tcp", cmp.Or(r.addr, "127.0.0.1:0"))
	if err != nil {
		return err
	}
	r.addr = listener.Addr().String()
	r.server = &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
	})}
	go r.server.Serve(listener)
	return nil
}

func (r *receiver) stop() { r.server.Close() }

func (r *receiver) url() string { return "http://" + r.addr }
