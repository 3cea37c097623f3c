package store_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/s3db-go/replicator/internal/disk/faultfs"
	"github.com/s3db-go/replicator/store"
)

// crashCase is a write, what it finds, and what it leaves.
type crashCase struct {
	name     string
	old, new store.Record
	write    func(*testing.T, *store.Resource, store.Record) error
}

func crashCases() []crashCase {
	rec := func(s string) store.Record { return store.Record{"id": "x", "s": s} }
	put := func(t *testing.T, r *store.Resource, rec store.Record) error { return r.Put(t.Context(), rec) }
	remove := func(t *testing.T, r *store.Resource, _ store.Record) error { return r.Delete(t.Context(), "x") }
	small, other := rec("old"), rec("new")
	large, larger := rec(strings.Repeat("old", 3000)), rec(strings.Repeat("new", 4000)) // several pages, in the body
	return []crashCase{
		{"insert small", nil, small, put},
		{"insert large", nil, large, put},
		{"small to small", small, other, put},
		{"small to large", small, larger, put},
		{"large to small", large, other, put},
		{"large to large", large, larger, put},
		{"delete small", small, nil, remove},
		{"delete large", large, nil, remove},
	}
}

// prepare gives a file system with the old record in it, and a store on it.
func (c crashCase) prepare(t *testing.T) (*faultfs.FS, *store.DB, *keeper) {
	t.Helper()
	fsys := faultfs.New()
	db, err := store.OpenFS(t.Context(), fsys, false, "")
	if err != nil {
		t.Fatal(err)
	}
	r := create(t, db, "r", store.Attributes{"s": "string"})
	if c.old != nil {
		if err := r.Put(t.Context(), c.old); err != nil {
			t.Fatal(err)
		}
	}
	recorder := &keeper{}
	if _, err := db.Capture(recorder); err != nil {
		t.Fatal(err)
	}
	return fsys, db, recorder
}

// state gives what a store finds: the record, nil if there is none.
func state(t *testing.T, db *store.DB) store.Record {
	t.Helper()
	rec, ok, err := db.Read(t.Context(), "r", "x")
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	if ok != (rec != nil) {
		t.Fatalf("Read gives %v and %v", rec, ok)
	}
	n, err := db.Resource("r").Count(t.Context())
	if err != nil || (n == 1) != ok {
		t.Fatalf("Count is %d (%v), the record is %v", n, err, rec)
	}
	return rec
}

// judge checks a state against what the writer was told.
func (c crashCase) judge(t *testing.T, when string, now store.Record, err error, end string) {
	t.Helper()
	isOld, isNew := now.Equal(c.old), now.Equal(c.new)
	switch {
	case !isOld && !isNew:
		t.Errorf("%s: neither the old nor the new record: %v", when, now)
	case err == nil && !isNew:
		t.Errorf("%s: the write succeeded, the record is the old one", when)
	case end == "abort" && !isOld:
		t.Errorf("%s: aborted, the record is the new one", when)
	case (err == nil) != (end == "commit"):
		t.Errorf("%s: the write gave %v, the announcement ended in %s", when, err, end)
	}
}

// TestCrashLeavesOldOrNew cuts the power at every operation of a write, and keeps
// various parts of what was not flushed.
func TestCrashLeavesOldOrNew(t *testing.T) {
	for _, c := range crashCases() {
		t.Run(c.name, func(t *testing.T) {
			points := 0
			for n := 1; ; n++ {
				fsys, db, recorder := c.prepare(t)
				fsys.CrashAt(n)
				err := c.write(t, db.Resource("r"), c.new)
				if !fsys.Crashed() {
					break
				}
				points++
				end := ""
				if len(recorder.ends) > 0 {
					end = recorder.ends[0]
				} else if err == nil {
					t.Fatalf("operation %d: not announced", n)
				}
				for seed := range uint64(8) {
					when := fmt.Sprintf("operation %d, seed %d", n, seed)
					next, openErr := store.OpenFS(t.Context(), fsys.Crash(seed), false, "")
					if openErr != nil {
						t.Fatalf("%s: open: %v", when, openErr)
					}
					c.judge(t, when, state(t, next), err, orCommit(end, err))
					if err := next.Resource("r").Put(t.Context(), store.Record{"id": "x", "s": "after"}); err != nil {
						t.Errorf("%s: write afterwards: %v", when, err)
					}
					if now := state(t, next); now.String("s") != "after" {
						t.Errorf("%s: write afterwards left %v", when, now)
					}
				}
			}
			if points < 3 {
				t.Errorf("only %d operations", points)
			}
		})
	}
}

// orCommit is the end of a write that failed before it was announced.
func orCommit(end string, err error) string {
	if end == "" && err != nil {
		return "abort"
	}
	return end
}

// TestFailureTellsTheTruth lets every operation of a write fail: what the writer
// and the recorder are told fits what is then read.
func TestFailureTellsTheTruth(t *testing.T) {
	ends := map[string]int{}
	for _, c := range crashCases() {
		t.Run(c.name, func(t *testing.T) {
			for n := 1; ; n++ {
				fsys, db, recorder := c.prepare(t)
				before := fsys.Ops()
				fsys.Fail(n, n)
				err := c.write(t, db.Resource("r"), c.new)
				if fsys.Ops()-before < n {
					break
				}
				fsys.Fail(0, 0)
				end := ""
				if len(recorder.ends) > 0 {
					end = recorder.ends[0]
				}
				ends[end]++
				when := fmt.Sprintf("operation %d", n)
				now := state(t, db)
				c.judge(t, when, now, err, orCommit(end, err))
				// And what was certain, or was read, stays so when the power goes.
				wantAfterPowerLoss(t, when, fsys, now)
			}
		})
	}
	if ends["abort"] == 0 || ends["doubt"] == 0 {
		t.Errorf("ends %v: want some that were certain and some that were not", ends)
	}
}

// wantAfterPowerLoss cuts the power, which takes all that was not flushed, and expects
// the record to be what Read has shown before.
func wantAfterPowerLoss(t *testing.T, when string, fsys *faultfs.FS, read store.Record) {
	t.Helper()
	db, err := store.OpenFS(t.Context(), fsys.Crash(0), false, "")
	if err != nil {
		t.Fatalf("%s, after a loss of power: open: %v", when, err)
	}
	if now := state(t, db); !now.Equal(read) {
		t.Errorf("%s: Read gave %.40v, a loss of power made it %.40v", when, read, now)
	}
}

// TestReadOfAKilledProcessSurvivesPowerLoss kills a writer at every operation. What
// the next process reads, and by which it judges how the write ended, no loss of
// power takes back.
func TestReadOfAKilledProcessSurvivesPowerLoss(t *testing.T) {
	const forEver = 1 << 20
	for _, c := range crashCases() {
		t.Run(c.name, func(t *testing.T) {
			seen := map[bool]int{} // by whether the write was seen as applied
			for n := 1; ; n++ {
				fsys, db, _ := c.prepare(t)
				fsys.Fail(n, forEver)
				err := c.write(t, db.Resource("r"), c.new)
				fsys.Fail(0, 0)
				if err == nil {
					break
				}
				next, err := store.OpenFS(t.Context(), fsys, false, "")
				if err != nil {
					t.Fatal(err)
				}
				now := state(t, next)
				seen[now.Equal(c.new)]++
				wantAfterPowerLoss(t, fmt.Sprintf("killed at operation %d", n), fsys, now)
			}
			if seen[true] == 0 || seen[false] == 0 {
				t.Errorf("seen as applied or not: %v; want both", seen)
			}
		})
	}
}

// TestReadTellsWhatItCannotMakeSure lets every operation of Read fail.
func TestReadTellsWhatItCannotMakeSure(t *testing.T) {
	fsys, db, _ := crashCases()[2].prepare(t)
	points := 0
	for n := 1; ; n++ {
		before := fsys.Ops()
		fsys.Fail(n, n)
		rec, ok, err := db.Read(t.Context(), "r", "x")
		if fsys.Ops()-before < n {
			break
		}
		points++
		if err == nil || ok || rec != nil {
			t.Errorf("operation %d failed, and Read gives %v, %v, %v", n, rec, ok, err)
		}
	}
	if points < 2 {
		t.Errorf("only %d operations: nothing is flushed", points)
	}
}

// TestDefinitionOfAKilledProcessSurvivesPowerLoss: a definition that a killed process
// left is as good as one that CreateResource returned from, once the next process
// has been told that it is there.
func TestDefinitionOfAKilledProcessSurvivesPowerLoss(t *testing.T) {
	const forEver = 1 << 20
	def := store.Definition{Name: "r", Attributes: store.Attributes{"s": "string", "more": "number"}}
	for n := 1; ; n++ {
		fsys, db, _ := crashCase{}.prepare(t)
		fsys.Fail(n, forEver)
		_, err := db.CreateResource(t.Context(), def)
		fsys.Fail(0, 0)
		if err == nil {
			return
		}
		next, err := store.OpenFS(t.Context(), fsys, false, "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := next.CreateResource(t.Context(), def); err != nil {
			t.Fatal(err)
		}
		last, err := store.OpenFS(t.Context(), fsys.Crash(0), false, "")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := last.Resource("r").Definition(); err != nil || got.Attributes["more"] != "number" {
			t.Errorf("killed at operation %d, created again, after a loss of power: %v, %v", n, got, err)
		}
	}
}

// TestCatalogueSurvivesCrash: a definition is there as a whole or not at all.
func TestCatalogueSurvivesCrash(t *testing.T) {
	for n := 1; ; n++ {
		fsys, db, _ := crashCase{}.prepare(t)
		fsys.CrashAt(n)
		_, err := db.CreateResource(t.Context(), store.Definition{Name: "r", Attributes: store.Attributes{"s": "string", "more": "number"}})
		if !fsys.Crashed() {
			return
		}
		for seed := range uint64(8) {
			next, openErr := store.OpenFS(t.Context(), fsys.Crash(seed), false, "")
			if openErr != nil {
				t.Fatalf("operation %d, seed %d: %v", n, seed, openErr)
			}
			def, defErr := next.Resource("r").Definition()
			if defErr != nil || def.Attributes["s"] != "string" || err == nil && def.Attributes["more"] != "number" {
				t.Errorf("operation %d, seed %d: CreateResource gave %v, then the definition is %v (%v)", n, seed, err, def, defErr)
			}
		}
	}
}
