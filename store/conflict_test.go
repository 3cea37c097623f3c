package store_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"path"
	"sync"
	"testing"

	"github.com/s3db-go/replicator/internal/testbed"
	"github.com/s3db-go/replicator/store"
)

// TestTwoProcessesOneRecord: each changes an attribute of its own, at the same time,
// over and over. Nothing of either is lost.
func TestTwoProcessesOneRecord(t *testing.T) {
	connection := testbed.S3(t)
	first := open(t, connection)
	create(t, first, "r", store.Attributes{"a": "number|integer", "b": "number|integer"})
	second := open(t, connection)
	if _, err := first.Resource("r").Insert(t.Context(), store.Record{"id": "x"}); err != nil {
		t.Fatal(err)
	}
	recorder := capture(t, second)
	for i := range int64(40) {
		var both sync.WaitGroup
		for field, db := range map[string]*store.DB{"a": first, "b": second} {
			both.Go(func() {
				if _, err := db.Resource("r").Update(t.Context(), "x", store.Record{field: i}); err != nil {
					t.Errorf("update of %s: %v", field, err)
				}
			})
		}
		both.Wait()
		got, err := first.Resource("r").Get(t.Context(), "x")
		if want := (store.Record{"id": "x", "a": i, "b": i}); err != nil || !got.Equal(want) {
			t.Fatalf("after both: %v, %v; want %v", got, err, want)
		}
	}
	// Whoever was second announced twice; what was committed is what was stored.
	commits := 0
	for i, end := range recorder.ends {
		if end == "commit" {
			commits++
		} else if end != "abort" {
			t.Errorf("announcement %d ended in %s", i, end)
		}
	}
	if commits != 40 {
		t.Errorf("%d changes were committed, of 40", commits)
	}
	t.Logf("%d of 40 rounds met", len(recorder.ends)-commits)
}

// TestForeignWriter: what another process does between a read and the write that
// follows is noticed.
func TestForeignWriter(t *testing.T) {
	ctx := context.Background() // the proxy's requests outlive the test's context
	put := func(r *store.Resource, n int) error { return r.Put(ctx, store.Record{"id": "x", "b": int64(n)}) }
	remove := func(r *store.Resource, _ int) error { return r.Delete(ctx, "x") }
	for name, test := range map[string]struct {
		there bool // from the beginning
		write func(*store.Resource) error
		verb  string // of the request that the other forestalls
		times int
		meet  func(r *store.Resource, n int) error
		want  error
		left  store.Record
	}{
		"insert meets insert": {
			write: func(r *store.Resource) error { return second(r.Insert(ctx, store.Record{"id": "x", "a": 5})) },
			verb:  "PUT", times: 1, meet: put, want: store.ErrExists, left: store.Record{"id": "x", "b": int64(1)},
		},
		"upsert meets insert": {
			write: func(r *store.Resource) error { return second(r.Upsert(ctx, store.Record{"id": "x", "a": 5})) },
			verb:  "PUT", times: 1, meet: put, left: store.Record{"id": "x", "a": int64(5), "b": int64(1)},
		},
		"update meets delete": {
			there: true, write: func(r *store.Resource) error { return second(r.Update(ctx, "x", store.Record{"a": 5})) },
			verb: "PUT", times: 1, meet: remove, want: store.ErrNotFound,
		},
		"delete meets update": {
			there: true, write: func(r *store.Resource) error { return r.Delete(ctx, "x") },
			verb: "DELETE", times: 1, meet: put,
		},
		"update meets a writer that never rests": {
			there: true, write: func(r *store.Resource) error { return second(r.Update(ctx, "x", store.Record{"a": 5})) },
			verb: "PUT", times: 1000, meet: put, want: store.ErrConflict, left: store.Record{"id": "x", "b": int64(16)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			bucket, err := url.Parse(testbed.S3(t))
			if err != nil {
				t.Fatal(err)
			}
			direct := open(t, bucket.String())
			theirs := create(t, direct, "r", store.Attributes{"a": "number|integer", "b": "number|integer"})
			if test.there {
				if err := theirs.Put(ctx, store.Record{"id": "x"}); err != nil {
					t.Fatal(err)
				}
			}
			proxy := testbed.NewWebProxy(t, bucket.Host)
			bucket.Host = proxy.Addr()
			db := open(t, bucket.String())
			recorder := capture(t, db)
			n := 0
			proxy.Judge(func(r *http.Request) testbed.WebFault {
				if r.Method == test.verb && path.Base(r.URL.Path) == "id=x" && n < test.times {
					n++
					if err := test.meet(theirs, n); err != nil {
						t.Errorf("the other: %v", err)
					}
				}
				return testbed.WebFault{}
			})

			if err := test.write(db.Resource("r")); !errors.Is(err, test.want) {
				t.Errorf("the write gave %v, want %v", err, test.want)
			}
			if left, _, err := direct.Read(ctx, "r", "x"); err != nil || !left.Equal(test.left) {
				t.Errorf("left is %v, %v; want %v", left, err, test.left)
			}
			// Every try but one that succeeded is called off, and that one is of the
			// record as the other left it.
			for i, end := range recorder.ends {
				last, want := i == len(recorder.ends)-1 && test.want == nil, "abort"
				if last {
					want = "commit"
				}
				if end != want || last && recorder.changes[i].Before.Int("b") != 1 {
					t.Errorf("announcement %d of %d, %v after %v, ended in %s", i, len(recorder.ends), recorder.changes[i], recorder.changes[i].Before, end)
				}
			}
		})
	}
}
