// Backup keeps a live copy of a store in another one: every insert, update and delete
// follows by itself. It works on two directories, or on what the environment names, in
// two regions if you like:
//
//	go run ./examples/backup
//	SOURCE_URL=s3://KEY:SECRET@production BACKUP_URL=s3://KEY:SECRET@backup go run ./examples/backup
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/s3db"
	"github.com/s3db-go/replicator/examples/internal/compare"
	"github.com/s3db-go/replicator/examples/internal/local"
	"github.com/s3db-go/replicator/store"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := demonstrate(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "backup:", err)
		os.Exit(1)
	}
}

func demonstrate(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "backup-") // a program of yours keeps its journal
	if err != nil {
		return err
	}
	source := cmp.Or(os.Getenv("SOURCE_URL"), local.URL(dir, "source"))
	backup := cmp.Or(os.Getenv("BACKUP_URL"), local.URL(dir, "backup"))
	return errors.Join(run(ctx, os.Stdout, dir, source, backup), os.RemoveAll(dir))
}

// run writes to the source, and shows that the backup has it all.
func run(ctx context.Context, out io.Writer, dir, source, backup string) (err error) {
	db, err := store.Open(ctx, source, store.WithPassphrase("of the source"))
	if err != nil {
		return err
	}
	defer db.Close()

	r, err := replicator.New(db, replicator.Options{
		Dir: filepath.Join(dir, "replicator"), // the journal; must outlive the process
		Destinations: []replicator.Destination{{
			Name:   "backup",
			Driver: s3db.New(s3db.Options{ConnectionString: backup, Passphrase: "of the backup"}),
			Routes: replicator.Routes("users", "orders"), // what to replicate
		}},
	})
	if err != nil {
		return err
	}
	if err := r.Start(ctx); err != nil {
		return err
	}
	err = errors.Join(work(ctx, db), r.Flush(ctx))
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := errors.Join(err, r.Stop(stopping)); err != nil {
		return err
	}

	copied, err := store.Open(ctx, backup, store.WithPassphrase("of the backup"))
	if err != nil {
		return err
	}
	defer copied.Close()
	verdict, err := compare.Stores(ctx, db, copied, "users", "orders")
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "backup:", verdict)
	return verdict.Err()
}
