package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/s3db-go/replicator/internal/testbed"
	"github.com/s3db-go/replicator/store"
)

const catalogueLock = "plugin=s3db-core/locks/namespace=metadata/s3db-metadata.json"

// TestNoDefinitionIsLost: many define resources at the same time, each by a store of
// its own, some the same ones.
func TestNoDefinitionIsLost(t *testing.T) {
	connection := testbed.S3(t)
	var all sync.WaitGroup
	var want []string
	for i := range 6 {
		db := open(t, connection)
		want = append(want, fmt.Sprintf("own%d-0", i), fmt.Sprintf("own%d-1", i))
		all.Go(func() {
			for j := range 2 {
				name := fmt.Sprintf("own%d-%d", i, j)
				if _, err := db.CreateResource(t.Context(), store.Definition{Name: name, Attributes: store.Attributes{"s": "string"}}); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				_, err := db.ChangeResource(t.Context(), "shared", func(there store.Definition) store.Definition {
					attributes := store.Attributes{name: "string"}
					maps.Copy(attributes, there.Attributes)
					there.Attributes = attributes
					return there
				})
				if err != nil {
					t.Errorf("shared: %v", err)
				}
			}
		})
	}
	all.Wait()
	db := open(t, connection)
	if got := db.Resources(); !slices.Equal(got, append(want, "shared")) {
		t.Errorf("resources are %v, want %v", got, want)
	}
	def, err := db.Resource("shared").Definition()
	for _, name := range want {
		if err != nil || def.Attributes[name] == nil {
			t.Errorf("the shared resource lacks %s: %v, %v", name, def.Attributes, err)
		}
	}
	if _, _, err := store.GetRaw(t.Context(), db, catalogueLock); err == nil {
		t.Error("the lock is still there")
	}
}

func putLock(t *testing.T, db *store.DB, holder string, expires time.Time) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"lockId": "lock-" + holder, "holderId": holder, "acquiredAt": 1, "expiresAt": expires.UnixMilli()})
	if err == nil {
		err = store.PutRaw(t.Context(), db, catalogueLock, nil, string(body), "application/json")
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestLockOfAnother is waited for, and taken over once it has run out.
func TestLockOfAnother(t *testing.T) {
	connection := testbed.S3(t)
	db := open(t, connection)
	create(t, db, "there", nil)

	putLock(t, db, "other", time.Now().Add(time.Hour))
	create(t, db, "there", nil) // nothing to change needs no lock
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := db.CreateResource(ctx, store.Definition{Name: "new"})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("CreateResource under another's lock gave %v", err)
	}
	if _, _, err := store.GetRaw(t.Context(), db, catalogueLock); err != nil {
		t.Errorf("the other's lock is gone: %v", err)
	}

	for _, left := range []string{"left behind", "damaged"} {
		putLock(t, db, left, time.Now().Add(-time.Millisecond))
		if left == "damaged" {
			if err := store.PutRaw(t.Context(), db, catalogueLock, nil, "{", ""); err != nil {
				t.Fatal(err)
			}
		}
		create(t, db, strings.ReplaceAll(left, " ", "-"), nil)
	}
	if got := open(t, connection).Resources(); !slices.Equal(got, []string{"damaged", "left-behind", "there"}) {
		t.Errorf("resources are %v", got)
	}
}

// TestLockIsHeldWhileTheCatalogueIsWritten, and gone when it was, also if the writes of
// the lock itself get no answer.
func TestLockIsHeldWhileTheCatalogueIsWritten(t *testing.T) {
	bucket, err := url.Parse(testbed.S3(t))
	if err != nil {
		t.Fatal(err)
	}
	direct := open(t, bucket.String())
	proxy := testbed.NewWebProxy(t, bucket.Host)
	bucket.Host = proxy.Addr()
	db := open(t, bucket.String())
	lost, held := true, false
	proxy.Judge(func(r *http.Request) testbed.WebFault {
		switch name := path.Base(r.URL.Path); {
		case r.Method == http.MethodPut && name == "s3db.json":
			body := struct{ LockID string }{}
			_, text, err := store.GetRaw(context.Background(), direct, catalogueLock)
			held = err == nil && json.Unmarshal(text, &body) == nil && body.LockID != ""
		case r.Method == http.MethodPut && name == path.Base(catalogueLock) && lost:
			lost = false
			return testbed.WebFault{ResetAfter: true}
		}
		return testbed.WebFault{}
	})
	create(t, db, "r", nil)
	if !held || lost {
		t.Errorf("the lock was held: %v; its answer was lost: %v", held, !lost)
	}
	if _, _, err := store.GetRaw(t.Context(), direct, catalogueLock); err == nil {
		t.Error("the lock is still there")
	}
}

// TestLockThatRanOut while it was held is another's by then, and stays.
func TestLockThatRanOut(t *testing.T) {
	bucket, err := url.Parse(testbed.S3(t))
	if err != nil {
		t.Fatal(err)
	}
	direct := open(t, bucket.String())
	proxy := testbed.NewWebProxy(t, bucket.Host)
	bucket.Host = proxy.Addr()
	db := open(t, bucket.String())
	proxy.Judge(func(r *http.Request) testbed.WebFault {
		if r.Method == http.MethodPut && path.Base(r.URL.Path) == "s3db.json" {
			if err := store.PutRaw(context.Background(), direct, catalogueLock, nil, `{"lockId":"theirs"}`, "application/json"); err != nil {
				t.Error(err)
			}
		}
		return testbed.WebFault{}
	})
	create(t, db, "r", nil)
	if _, body, err := store.GetRaw(t.Context(), direct, catalogueLock); err != nil || !strings.Contains(string(body), "theirs") {
		t.Errorf("the other's lock is %s, %v", body, err)
	}
}

// TestCatalogueWrittenWithoutALock: one who does not know the lock is noticed too.
func TestCatalogueWrittenWithoutALock(t *testing.T) {
	bucket, err := url.Parse(testbed.S3(t))
	if err != nil {
		t.Fatal(err)
	}
	direct := open(t, bucket.String())
	create(t, direct, "there", nil)
	proxy := testbed.NewWebProxy(t, bucket.Host)
	bucket.Host = proxy.Addr()
	db := open(t, bucket.String())
	_, catalogue, err := store.GetRaw(t.Context(), direct, "s3db.json")
	if err != nil {
		t.Fatal(err)
	}
	proxy.Judge(func(r *http.Request) testbed.WebFault {
		if r.Method == http.MethodPut && path.Base(r.URL.Path) == "s3db.json" {
			theirs := strings.Replace(string(catalogue), `"there"`, `"theirs"`, 1)
			if err := store.PutRaw(context.Background(), direct, "s3db.json", nil, theirs, "application/json"); err != nil {
				t.Error(err)
			}
		}
		return testbed.WebFault{}
	})
	if _, err := db.CreateResource(t.Context(), store.Definition{Name: "ours"}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("CreateResource gave %v", err)
	}
	proxy.Judge(func(*http.Request) testbed.WebFault { return testbed.WebFault{} })
	create(t, db, "ours", nil)
	if got := open(t, bucket.String()).Resources(); !slices.Equal(got, []string{"ours", "theirs"}) {
		t.Errorf("resources are %v", got)
	}
}
