// Gorm replicates what a program writes through GORM to a database of SQLite, and knows
// nothing of it: users and orders go to a resource store, with every insert, update and
// delete, whole transactions at once, and nothing of what was rolled back. It is a module
// of its own, so that only who wants GORM has it; package gormsource beside it is the
// source.
//
//	cd examples/gorm && go run .
//	BACKUP_URL=s3://KEY:SECRET@backup go run .
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/s3db"
	"github.com/s3db-go/replicator/examples/gorm/gormsource"
	"github.com/s3db-go/replicator/examples/internal/local"
)

func main() {
	dir, err := os.MkdirTemp("", "gorm-")
	if err != nil {
		log.Fatal(err)
	}
	backup := cmp.Or(os.Getenv("BACKUP_URL"), local.URL(dir, "backup"))
	if err := errors.Join(run(context.Background(), os.Stdout, dir, backup), os.RemoveAll(dir)); err != nil {
		log.Fatal(err)
	}
}

// run trades for a while, and shows that the backup has it all.
func run(ctx context.Context, out io.Writer, dir, backup string) error {
	s, err := open(ctx, dir, backup)
	if err != nil {
		return err
	}
	work := errors.Join(s.trade(200), s.replicator.Flush(ctx))
	stats := s.replicator.Stats().Destinations["backup"]
	if err := errors.Join(work, s.stop(ctx)); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d users and orders were written, %d changes replicated\n", s.written, stats.Replicated)
	verdict, err := s.verify(ctx, backup)
	if err != nil {
		return errors.Join(err, s.close())
	}
	fmt.Fprintln(out, "backup:", verdict)
	return errors.Join(verdict.Err(), s.close())
}

// open opens the database, and carries what is written to it to the backup.
func open(ctx context.Context, dir, backup string) (*shop, error) {
	s, err := openShop(dir)
	if err != nil {
		return nil, err
	}
	s.source, err = gormsource.New(s.db, s.reader, &User{}, &Order{})
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	s.replicator, err = replicator.New(s.source, replicator.Options{
		Dir: filepath.Join(dir, "replicator"), // the journal; must outlive the process
		Destinations: []replicator.Destination{{
			Name:        "backup",
			Driver:      s3db.New(s3db.Options{ConnectionString: backup}),
			Routes:      replicator.Routes("users", "orders"),
			InitialSync: true, // what was there before comes along
		}},
	})
	if err == nil {
		err = s.replicator.Start(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// stop delivers for ten seconds; what is left waits in the journal.
func (s *shop) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return s.replicator.Stop(ctx)
}
