// Migration fills another store with a cleaned copy of this one: what is there already
// comes first, what changes follows. Of users only what is public goes along, with a few
// fields that are made of the others; deletes don't. It works on two directories, or on
// what the environment names:
//
//	go run ./examples/migration
//	SOURCE_URL=s3://KEY:SECRET@production BACKUP_URL=s3://KEY:SECRET@public go run ./examples/migration
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
	"strings"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/s3db"
	"github.com/s3db-go/replicator/examples/internal/local"
	"github.com/s3db-go/replicator/store"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := demonstrate(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "migration:", err)
		os.Exit(1)
	}
}

func demonstrate(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "migration-") // a program of yours keeps its journal
	if err != nil {
		return err
	}
	source := cmp.Or(os.Getenv("SOURCE_URL"), local.URL(dir, "source"))
	backup := cmp.Or(os.Getenv("BACKUP_URL"), local.URL(dir, "backup"))
	return errors.Join(run(ctx, os.Stdout, dir, source, backup), os.RemoveAll(dir))
}

// public gives what of a user may leave.
func public(c replicator.Change) (replicator.Record, error) {
	// Keep only public data: no password, apiKey, internalNotes.
	user := c.Data.Pick("id", "name", "email", "createdAt")
	// Add computed fields.
	_, user["domain"], _ = strings.Cut(c.Data.String("email"), "@")
	user["created_date"] = c.Data.Time("createdAt").Format(time.DateOnly)
	user["is_admin"] = c.Data.String("role") == "admin"
	return user, nil
}

// run fills the copy, and checks what is in it.
func run(ctx context.Context, out io.Writer, dir, source, backup string) error {
	db, err := store.Open(ctx, source, store.WithPassphrase("of the source"))
	if err != nil {
		return err
	}
	defer db.Close()
	users, err := fill(ctx, db) // there before anything is replicated
	if err != nil {
		return err
	}
	r, err := replicator.New(db, replicator.Options{
		Dir: filepath.Join(dir, "replicator"), // the journal; must outlive the process
		Destinations: []replicator.Destination{{
			Name:        "public",
			Driver:      s3db.New(s3db.Options{ConnectionString: backup}),
			InitialSync: true,
			Routes: []replicator.Route{{
				From:      "users",
				To:        "users_backup",
				Actions:   replicator.Inserted | replicator.Updated, // no deletes
				Transform: public,
			}},
		}},
	})
	if err != nil {
		return err
	}
	if err := r.Start(ctx); err != nil {
		return err
	}
	err = errors.Join(work(ctx, users), r.Flush(ctx))
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := errors.Join(err, r.Stop(stopping)); err != nil {
		return err
	}
	return check(ctx, out, backup)
}
