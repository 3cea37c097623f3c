package keylock_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/keylock"
)

func key(id int) cdc.Key { return cdc.Key{Resource: "r", RecordID: strconv.Itoa(id)} }

func TestOneHolderPerKey(t *testing.T) {
	var set keylock.Set
	var held [4]int // guarded by the locks under test, which -race watches
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 300 {
				a := (worker + i) % len(held)
				b := (a + 1 + i%3) % len(held) // in any order: they are sorted
				release, err := set.Lock(t.Context(), key(a), key(b))
				if err != nil {
					t.Error(err)
					return
				}
				held[a]++
				held[b]++
				release()
			}
		})
	}
	wg.Wait()
	total := 0
	for _, n := range held {
		total += n
	}
	if total != 8*300*2 {
		t.Errorf("counted %d, want %d", total, 8*300*2)
	}
}

func TestKeysDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var set keylock.Set
		release, err := set.Lock(t.Context(), key(1))
		if err != nil {
			t.Fatal(err)
		}
		set.With(key(2), func() {}) // would deadlock, and the test with it, if 2 waited for 1
		got := false
		go set.With(key(1), func() { got = true })
		synctest.Wait()
		if got {
			t.Error("two hold one key")
		}
		release()
		synctest.Wait()
		if !got {
			t.Error("the waiter was not let in")
		}
	})
}

// TestWhoGivesUpTakesNobodysTurn: one stops waiting at the moment at which the lock is
// given on, and whoever it was promised to, all who go on waiting get it.
func TestWhoGivesUpTakesNobodysTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var set keylock.Set
		for round := range 300 {
			release, err := set.Lock(t.Context(), key(1))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				if release, err := set.Lock(ctx, key(1)); err == nil {
					release()
				}
			}()
			for range round % 3 {
				go set.With(key(1), func() {})
			}
			synctest.Wait()
			cancel()
			release() // most often before the other can tell that it is gone
			synctest.Wait()
			got := false
			go set.With(key(1), func() { got = true })
			synctest.Wait()
			if !got {
				t.Fatal("the lock is held by nobody, and nobody gets it")
			}
		}
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var set keylock.Set
		release, err := set.Lock(t.Context(), key(2))
		if err != nil {
			t.Fatal(err)
		}
		gone := errors.New("gone home")
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() { synctest.Wait(); cancel(gone) }()
		if _, err := set.Lock(ctx, key(1), key(2)); !errors.Is(err, gone) {
			t.Errorf("the error is %v, want the context's cause", err)
		}
		// What was taken before the wait ended is free again.
		set.With(key(1), func() {})
		release()
		set.With(key(2), func() {})
	})
}
