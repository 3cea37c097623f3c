package s3db_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/drivertest"
	"github.com/s3db-go/replicator/drivers/s3db"
	"github.com/s3db-go/replicator/store"
)

const passphrase = "canary-of-a-credential"

// fileURL is the connection string of a directory.
func fileURL(dir string) string {
	return "file:///" + strings.TrimPrefix(filepath.ToSlash(dir), "/")
}

func openStore(t *testing.T, connectionString string) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), connectionString, store.WithPassphrase(passphrase))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func openDriver(t *testing.T, opts s3db.Options) *s3db.Driver {
	t.Helper()
	d := s3db.New(opts)
	if err := errors.Join(d.Validate(), d.Open(t.Context())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// records reads all of a resource back; one that was never created is empty.
func records(t *testing.T, db *store.DB, resource string) []cdc.Record {
	t.Helper()
	var out []cdc.Record
	for r, err := range db.Resource(resource).List(t.Context()) {
		if errors.Is(err, store.ErrNoResource) {
			return nil
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

func harness() drivertest.Harness {
	return drivertest.Harness{
		Want: want,
		Bad: func(r cdc.Record) {
			r["age"] = r["name"]
			r["_bad"] = r["name"]
		},
		Secret: passphrase,
		Invalid: []drivertest.Invalid{
			{Driver: s3db.New(s3db.Options{}), Fields: []string{"ConnectionString"}},
			{
				Driver: s3db.New(s3db.Options{ConnectionString: "memory://?passphrase=" + passphrase, Passphrase: passphrase, Store: new(store.DB)}),
				Fields: []string{"ConnectionString", "Passphrase", "Store"},
			},
		},
	}
}

// want is what the format makes of the values that it lacks.
func want(v any) any {
	switch v := v.(type) {
	case cdc.Decimal:
		return v.String()
	case []byte:
		return base64.StdEncoding.EncodeToString(v)
	case time.Time:
		return time.UnixMilli(v.UnixMilli()).UTC()
	}
	return v
}

func TestContractOnMemory(t *testing.T) {
	drivertest.Run(t, func(t *testing.T) drivertest.Harness {
		db := openStore(t, "memory://backup")
		h := harness()
		h.Driver = s3db.New(s3db.Options{Store: db})
		h.Records = func(t *testing.T, target string) []cdc.Record { return records(t, db, target) }
		return h
	})
}

func TestContractOnFiles(t *testing.T) {
	drivertest.Run(t, func(t *testing.T) drivertest.Harness {
		dir := t.TempDir()
		h := harness()
		h.Driver = s3db.New(s3db.Options{ConnectionString: fileURL(dir), Passphrase: passphrase})
		h.Records = func(t *testing.T, target string) []cdc.Record {
			return records(t, openStore(t, fileURL(dir)), target)
		}
		h.Break = func() func() {
			// A file where the directory of the records was, and a directory in place of
			// the definitions.
			people, definitions := filepath.Join(dir, "resource=people"), filepath.Join(dir, "s3db.json.meta.json")
			err := errors.Join(os.Rename(people, people+"~"), os.WriteFile(people, nil, 0o600),
				os.Rename(definitions, definitions+"~"), os.Mkdir(definitions, 0o700))
			if err != nil {
				t.Fatal(err)
			}
			return func() {
				err := errors.Join(os.Remove(people), os.Rename(people+"~", people),
					os.Remove(definitions), os.Rename(definitions+"~", definitions))
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		return h
	})
}

// deliver applies one delivery and gives its error.
func deliver(ctx context.Context, d *s3db.Driver, delivery cdc.Delivery) error {
	err := d.Apply(ctx, []cdc.Delivery{delivery})
	if answer, ok := errors.AsType[*cdc.BatchError](err); ok {
		return answer.Errs[0]
	}
	return err
}

func insert(key, record cdc.Record) cdc.Delivery {
	return cdc.Delivery{
		Change: cdc.Change{Op: cdc.Inserted, Resource: "users", RecordID: "u1"},
		Target: "users", Key: key, Record: record,
	}
}

func TestOpenErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	later := t.TempDir()
	err := errors.Join(
		os.WriteFile(file, nil, 0o600),
		os.WriteFile(filepath.Join(later, "s3db.json.meta.json"), []byte("{"), 0o600),
	)
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []string{"nonsense", "ftp://host/" + passphrase, fileURL(later), "file:///x?passphrase=" + passphrase + "&what=1"} {
		err := s3db.New(s3db.Options{ConnectionString: wrong}).Open(t.Context())
		if err == nil || cdc.FaultOf(err) != cdc.RecordFault || strings.Contains(err.Error(), passphrase) {
			t.Errorf("Open of %q gives a %s error: %v", wrong, cdc.FaultOf(err), err)
		}
	}
	err = s3db.New(s3db.Options{ConnectionString: fileURL(filepath.Join(file, "below"))}).Open(t.Context())
	if err == nil {
		t.Error("Open below a file gives nil")
	}
	d := s3db.New(s3db.Options{ConnectionString: "memory://"})
	if err := deliver(t.Context(), d, insert(cdc.Record{"id": "a"}, cdc.Record{"id": "a"})); cdc.FaultOf(err) != cdc.DestinationFault {
		t.Errorf("Apply before Open gives a %s error: %v", cdc.FaultOf(err), err)
	}
}

// TestTheCallersStoreStaysOpen after Close.
func TestTheCallersStoreStaysOpen(t *testing.T) {
	db := openStore(t, "memory://backup")
	d := openDriver(t, s3db.Options{Store: db})
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := db.CreateResource(t.Context(), store.Definition{Name: "mine"}); err != nil {
		t.Errorf("the store was closed: %v", err)
	}
}

func Example() {
	ctx := context.Background()
	backup, err := store.Open(ctx, "memory://backup")
	if err != nil {
		panic(err)
	}
	defer backup.Close()
	d := s3db.New(s3db.Options{Store: backup})
	if err := d.Open(ctx); err != nil {
		panic(err)
	}
	err = d.Apply(ctx, []cdc.Delivery{{
		Change: cdc.Change{Op: cdc.Inserted, Resource: "users", RecordID: "u1"},
		Target: "users",
		Key:    cdc.Record{"id": "u1"},
		Record: cdc.Record{"id": "u1", "name": "Alice", "visits": int64(3)},
	}})
	fmt.Println(err)
	alice, err := backup.Resource("users").Get(ctx, "u1")
	fmt.Println(alice.String("name"), alice.Int("visits"), err)
	// Output:
	// <nil>
	// Alice 3 <nil>
}
