// Restore loses a store and gets it back. While an application works, its store is
// replicated to a backup; then the store is wiped. The application goes on working, on
// the backup, and everything it left there and does there now is failed back to where
// the store was. It works on two directories, or on what the environment names, where it
// deletes the records of the resources users and orders:
//
//	go run ./examples/restore
//	SOURCE_URL=s3://KEY:SECRET@production BACKUP_URL=s3://KEY:SECRET@backup go run ./examples/restore
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
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := demonstrate(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "restore:", err)
		os.Exit(1)
	}
}

func demonstrate(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "restore-") // a program of yours keeps its journal
	if err != nil {
		return err
	}
	wipe := wipeRecords
	source := os.Getenv("SOURCE_URL")
	if source == "" {
		source = local.URL(dir, "source")
		wipe = func(context.Context, place) error { return os.RemoveAll(filepath.Join(dir, "source")) }
	}
	backup := cmp.Or(os.Getenv("BACKUP_URL"), local.URL(dir, "backup"))
	err = run(ctx, os.Stdout, dir, place{source, "of the source"}, place{backup, "of the backup"}, wipe)
	return errors.Join(err, os.RemoveAll(dir))
}

// run is the whole story.
func run(ctx context.Context, out io.Writer, dir string, source, backup place, wipe func(context.Context, place) error) error {
	verdict, err := replicate(ctx, filepath.Join(dir, "there"), source, backup, false, 0, 60)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "backup:", verdict)
	if err := wipe(ctx, source); err != nil {
		return err
	}
	fmt.Fprintln(out, "the source is lost; going on with the backup")

	// The same program, with the places swapped. A backfill sends what is there.
	verdict, err = replicate(ctx, filepath.Join(dir, "back"), backup, source, true, 60, 90)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "restored:", verdict)
	return nil
}

// replicate lets the application work on one store while it is replicated to another,
// and compares the two.
func replicate(ctx context.Context, dir string, from, to place, backfill bool, first, end int) (v compare.Verdict, err error) {
	db, err := from.open(ctx)
	if err != nil {
		return v, err
	}
	defer db.Close()
	r, err := replicator.New(db, replicator.Options{
		Dir: dir, // the journal; must outlive the process
		Destinations: []replicator.Destination{{
			Name:        "copy",
			Driver:      s3db.New(s3db.Options{ConnectionString: to.url, Passphrase: to.passphrase}),
			Routes:      replicator.Routes("users", "orders"),
			InitialSync: backfill,
		}},
	})
	if err != nil {
		return v, err
	}
	if err := r.Start(ctx); err != nil {
		return v, err
	}
	err = errors.Join(work(ctx, db, first, end), r.Flush(ctx))
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := errors.Join(err, r.Stop(stopping)); err != nil {
		return v, err
	}
	copied, err := to.open(ctx)
	if err != nil {
		return v, err
	}
	defer copied.Close()
	if v, err = compare.Stores(ctx, db, copied, "users", "orders"); err != nil {
		return v, err
	}
	return v, v.Err()
}
