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
	"log"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/s3db"
	"github.com/s3db-go/replicator/store"
)

func main() {
	dir, err := os.MkdirTemp("", "migration-")
	if err != nil {
		log.Fatal(err)
	}
	at := func(name string) string { return "file:///" + filepath.ToSlash(filepath.Join(dir, name)) }
	source := cmp.Or(os.Getenv("SOURCE_URL"), at("source"))
	backup := cmp.Or(os.Getenv("BACKUP_URL"), at("backup"))
	err = errors.Join(run(context.Background(), os.Stdout, dir, source, backup), os.RemoveAll(dir))
	if err != nil {
		log.Fatal(err)
	}
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

// run fills the copy, and prints what is in it.
func run(ctx context.Context, out io.Writer, dir, source, backup string) error {
	db, err := store.Open(ctx, source, store.WithPassphrase("of the source"))
	if err != nil {
		return err
	}
	defer db.Close()
	users, err := db.CreateResource(ctx, store.Definition{
		Name: "users",
		Attributes: store.Attributes{
			"name":          "string|required",
			"email":         "string|required",
			"password":      "secret|required", // never replicated
			"role":          "string",
			"apiKey":        "string", // never replicated
			"internalNotes": "string", // never replicated
		},
		Timestamps: true,
	})
	if err != nil {
		return err
	}
	bob := store.Record{
		"id": "bob", "name": "Bob", "email": "bob@example.com", "password": "super-secret", "role": "admin",
		"apiKey": "sk_live_abc123", "internalNotes": "VIP customer - priority support",
	}
	if _, err := users.Upsert(ctx, bob); err != nil { // there before anything is replicated
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
	stopping, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := errors.Join(err, r.Stop(stopping)); err != nil {
		return err
	}
	return show(ctx, out, backup)
}

// work is what happens meanwhile.
func work(ctx context.Context, users *store.Resource) error {
	eve := store.Record{"id": "eve", "name": "Eve", "email": "eve@example.org", "password": "hers", "internalNotes": "left in May"}
	_, inserted := users.Upsert(ctx, eve)
	_, updated := users.Update(ctx, "bob", store.Record{"email": "bob@example.net"})
	return errors.Join(inserted, updated, users.Delete(ctx, "eve"))
}

// show prints the copy's records; it needs no passphrase, since nothing in it is secret.
func show(ctx context.Context, out io.Writer, backup string) error {
	copied, err := store.Open(ctx, backup)
	if err != nil {
		return err
	}
	defer copied.Close()
	for user, err := range copied.Resource("users_backup").List(ctx) {
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s: %s <%s> of %s, admin: %v; fields: %s\n", user["id"], user["name"], user["email"], user["domain"],
			user.Bool("is_admin"), strings.Join(slices.Sorted(maps.Keys(user)), " "))
	}
	return nil
}
