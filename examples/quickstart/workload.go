package main

import (
	"context"
	"fmt"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/store"
)

// defaultRecords make a run of five to ten seconds on a small machine, whose time is
// that of its disk.
const defaultRecords = 2000

// writers is how many write at the same time. The journal makes their writes durable
// in groups, so that more of them cost each little.
const writers = 16

// write is one write of one record.
type write struct {
	op       replicator.Op
	resource string
	id       string
	data     replicator.Record // what the store is given: of an update the fields that change
	after    replicator.Record // the record as it is then; of a delete as it last was
}

func (w write) key() key { return key{w.resource, w.id} }

// apply does the write.
func (w write) apply(ctx context.Context, db *store.DB) (err error) {
	resource := db.Resource(w.resource)
	switch w.op {
	case replicator.Inserted:
		_, err = resource.Insert(ctx, w.data)
	case replicator.Updated:
		_, err = resource.Update(ctx, w.id, w.data)
	case replicator.Deleted:
		err = resource.Delete(ctx, w.id)
	}
	return err
}

// appliedIn reports whether what the store holds shows the write, given that those
// before it were applied.
func (w write) appliedIn(present contents) bool {
	record, found := present[w.key()]
	if w.op == replicator.Deleted || !found {
		return w.op == replicator.Deleted && !found
	}
	return record.Int("revision") >= w.after.Int("revision")
}

// workload is what each writer does, in this order. No two write the same record.
type workload [writers][]write

// newWorkload plans the lives of n records, a quarter of them customers and the
// others their orders. Equal numbers give equal plans, in whatever process.
func newWorkload(n int) (workload, error) {
	c, err := newCatalog(uint64(n))
	if err != nil {
		return workload{}, err
	}
	var lives [writers][]life
	customers := max(1, n/4)
	for i := range customers {
		w := i % writers
		lives[w] = append(lives[w], c.customerLife(i))
	}
	for i := range n - customers {
		customer := c.rng.IntN(customers)
		w := customer % writers
		lives[w] = append(lives[w], c.orderLife(i, fmt.Sprintf("c-%05d", customer)))
	}
	var work workload
	for w := range work {
		work[w] = c.interleave(lives[w])
	}
	return work, nil
}

// total is the number of writes.
func (w workload) total() (n int) {
	for _, script := range w {
		n += len(script)
	}
	return n
}

// do lets every writer write what it has not done yet, and tells of each write when
// the store has acknowledged it.
func (w workload) do(ctx context.Context, db *store.DB, done counts, acknowledged func(writer int)) error {
	g, ctx := errgroup.WithContext(ctx)
	for writer, script := range w {
		g.Go(func() error {
			for _, next := range script[done[writer]:] {
				if err := next.apply(ctx, db); err != nil {
					return err
				}
				acknowledged(writer)
			}
			return nil
		})
	}
	return g.Wait()
}

// resume gives what is done by a process that was killed: what it acknowledged, and
// of each writer perhaps one more write, which was applied but not acknowledged yet.
func (w workload) resume(acknowledged counts, present contents) (done counts) {
	for writer, script := range w {
		done[writer] = acknowledged[writer]
		if next := done[writer]; next < len(script) && script[next].appliedIn(present) {
			done[writer]++
		}
	}
	return done
}

// contents are what the shop must hold after these writes.
func (w workload) contents(done counts) contents {
	held := contents{}
	for writer, script := range w {
		for _, write := range script[:done[writer]] {
			held[write.key()] = write.after
			if write.op == replicator.Deleted {
				delete(held, write.key())
			}
		}
	}
	return held
}

// counts are the numbers of writes of each writer.
type counts [writers]int

// tally counts the writes that were acknowledged. Safe for concurrent use.
type tally [writers]atomic.Int64

func tallyFrom(done counts) *tally {
	var t tally
	for writer, n := range done {
		t[writer].Store(int64(n))
	}
	return &t
}

func (t *tally) add(writer int) { t[writer].Add(1) }

func (t *tally) counts() (c counts) {
	for writer := range t {
		c[writer] = int(t[writer].Load())
	}
	return c
}

func (c counts) total() (n int) {
	for _, each := range c {
		n += each
	}
	return n
}
