// Production keeps two backups in different places, feeds the dashboards and tells other
// services, with a health check by destination, an alert for each destination that fails
// often, and a job that sends again what was given up.
//
//	BACKUP_URL=s3://KEY:SECRET@us-east-1-backup RECOVERY_URL=s3://KEY:SECRET@eu-west-1-backup \
//	GCP_PROJECT=my-project SQS_QUEUE_URL=https://sqs.us-east-1.amazonaws.com/123456789012/orders.fifo \
//	go run ./examples/production
//	curl -i localhost:8080/health/replication     # by hand, from the log's copy in the store
//	curl -i localhost:8080/health                 # the library's
//
// What no variable names stays on this machine: the backups in directories, the rest in
// memory.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := serve(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "production:", err)
		os.Exit(1)
	}
}

// serve writes an order a second, and answers for their replication, until ctx ends;
// then it tells what became of them.
func serve(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "production-") // a program of yours keeps its journal
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := open(ctx, settings{
		dir: dir, sinks: named(dir), giveUpAfter: time.Hour, retryEvery: time.Minute,
		alert: func(title string) { slog.Error(title) },
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()

	server := &http.Server{Addr: "localhost:8080", Handler: s.handler(), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	defer func() { err = errors.Join(err, server.Close()) }()
	for second := time.NewTicker(time.Second); ; {
		select {
		case <-second.C:
			if err := s.order(ctx, "99.50"); err != nil {
				return err
			}
		case err := <-failed:
			return err
		case <-ctx.Done():
			return s.report(context.WithoutCancel(ctx), os.Stdout)
		}
	}
}
