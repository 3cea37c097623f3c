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
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/s3db"
	"github.com/s3db-go/replicator/examples/internal/compare"
	"github.com/s3db-go/replicator/store"
)

func main() {
	dir, err := os.MkdirTemp("", "restore-")
	if err != nil {
		log.Fatal(err)
	}
	local := filepath.Join(dir, "source")
	wipe := wipeRecords
	source := os.Getenv("SOURCE_URL")
	if source == "" {
		source = "file:///" + filepath.ToSlash(local)
		wipe = func(context.Context, place) error { return os.RemoveAll(local) }
	}
	backup := cmp.Or(os.Getenv("BACKUP_URL"), "file:///"+filepath.ToSlash(filepath.Join(dir, "backup")))
	err = run(context.Background(), os.Stdout, dir, place{source, "of the source"}, place{backup, "of the backup"}, wipe)
	if err = errors.Join(err, os.RemoveAll(dir)); err != nil {
		log.Fatal(err)
	}
}

// place is where a store is, and the passphrase of its secrets.
type place struct{ url, passphrase string }

func (p place) open(ctx context.Context) (*store.DB, error) {
	return store.Open(ctx, p.url, store.WithPassphrase(p.passphrase))
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
	stopping, cancel := context.WithTimeout(ctx, 10*time.Second)
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

// work is the application: it defines what it needs, writes new users and orders, and
// changes and removes some of the earlier ones.
func work(ctx context.Context, db *store.DB, first, end int) error {
	users, err := db.CreateResource(ctx, store.Definition{
		Name:       "users",
		Attributes: store.Attributes{"name": "string|required", "password": "secret|required", "visits": "number|integer"},
		Timestamps: true,
	})
	if err != nil {
		return err
	}
	orders, err := db.CreateResource(ctx, store.Definition{
		Name:       "orders",
		Attributes: store.Attributes{"userId": "string|required", "total": "money", "lines": "array|items:string"},
		Behavior:   "body-overflow",
		Partitions: map[string]store.Partition{"byUser": {"userId": "string"}},
	})
	if err != nil {
		return err
	}
	name := func(i int) string { return fmt.Sprintf("u%04d", i) }
	for i := first; i < end; i++ {
		_, err := users.Insert(ctx, store.Record{"id": name(i), "name": fmt.Sprint("User ", i), "password": fmt.Sprint("secret ", i), "visits": 0})
		if err == nil {
			lines := make([]string, i%120) // some orders are long
			for j := range lines {
				lines[j] = fmt.Sprintf("article number %d", j)
			}
			_, err = orders.Insert(ctx, store.Record{"id": "o" + name(i), "userId": name(i), "total": float64(i) + 0.99, "lines": lines})
		}
		switch earlier := name(i / 2); {
		case err != nil:
		case i%5 == 0 && i >= 2:
			_, err = orders.Upsert(ctx, store.Record{"id": "o" + earlier, "userId": earlier, "total": 0})
		case i%11 == 0 && i >= 2:
			err = orders.Delete(ctx, "o"+name(i))
		case i%3 == 0 && i >= 2:
			_, err = users.Update(ctx, earlier, store.Record{"visits": i})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// wipeRecords deletes all records of the resources.
func wipeRecords(ctx context.Context, p place) error {
	db, err := p.open(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	for _, name := range []string{"users", "orders"} {
		var ids []string
		for record, err := range db.Resource(name).List(ctx) {
			if err != nil {
				return err
			}
			ids = append(ids, record.String("id"))
		}
		if err := db.Resource(name).DeleteMany(ctx, ids...); err != nil {
			return err
		}
	}
	return nil
}
