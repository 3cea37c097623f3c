package s3db_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/s3db"
	"github.com/s3db-go/replicator/store"
)

// A backup of a store in a directory; on a server it is "s3://KEY:SECRET@bucket". What is
// secret is encrypted under the backup's own passphrase.
func ExampleNew() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	backup := "file://" + filepath.ToSlash(filepath.Join(dir, "backup"))
	db, err := store.Open(ctx, "memory://app", store.WithPassphrase("of the store"))
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	r, err := replicator.New(db, replicator.Options{
		Dir: filepath.Join(dir, "replicator"),
		Destinations: []replicator.Destination{{
			Driver: s3db.New(s3db.Options{ConnectionString: backup, Passphrase: "of the backup"}),
			Routes: replicator.Routes("users"),
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := r.Start(ctx); err != nil {
		log.Fatal(err)
	}
	users, err := db.CreateResource(ctx, store.Definition{Name: "users", Attributes: store.Attributes{"name": "string", "pin": "secret"}})
	if err == nil {
		_, err = users.Insert(ctx, store.Record{"id": "u1", "name": "Alice", "pin": "1234"})
	}
	if err := errors.Join(err, r.Stop(ctx)); err != nil { // drains first
		log.Fatal(err)
	}

	copied, err := store.Open(ctx, backup, store.WithPassphrase("of the backup"))
	if err != nil {
		log.Fatal(err)
	}
	defer copied.Close()
	user, err := copied.Resource("users").Get(ctx, "u1")
	fmt.Println(user["name"], user["pin"], err)
	// Output: Alice 1234 <nil>
}
