package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/s3db-go/replicator"
)

// options are the command line.
type options struct {
	records int
	crash   bool
	dir     string
}

// closing bounds how long the last deliveries may take when the program ends early;
// what is left then waits in the journal.
const closing = 10 * time.Second

// run is the program: write, read back, compare.
func run(ctx context.Context, o options) error {
	if o.records < 1 {
		return fmt.Errorf("-n is %d; the shop needs at least one record", o.records)
	}
	work, err := newWorkload(o.records)
	if err != nil {
		return err
	}
	if crm, ok := parentsCRM(); ok {
		return writeUntilKilled(ctx, o.dir, crm, work)
	}
	dir, remove, err := workingDirectory(o.dir)
	if err != nil {
		return err
	}
	crm, err := startCRM()
	if err != nil {
		return errors.Join(err, remove())
	}
	err = errors.Join(demonstrate(ctx, dir, o, crm, work), crm.close())
	if err != nil && ctx.Err() == nil {
		fmt.Println("everything is kept in", dir)
		return err
	}
	return errors.Join(err, remove())
}

// workingDirectory gives an empty directory and what to call to remove it, which
// keeps one that the user named.
func workingDirectory(named string) (dir string, remove func() error, err error) {
	if named == "" {
		dir, err = os.MkdirTemp("", "quickstart-")
		return dir, func() error { return os.RemoveAll(dir) }, err
	}
	if dir, err = filepath.Abs(named); err != nil {
		return "", nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", nil, err
	}
	if len(entries) > 0 {
		return "", nil, fmt.Errorf("%s is not empty", dir)
	}
	return dir, func() error { return nil }, os.MkdirAll(dir, 0o700)
}

func demonstrate(ctx context.Context, dir string, o options, crm *crm, work workload) error {
	fmt.Println(introduction())
	if err := clearAnalytics(ctx); err != nil {
		return err
	}
	start := time.Now()
	fmt.Printf("%d writers do %s writes on %s customers and orders\n", writers, thousands(work.total()), thousands(o.records))
	var done counts
	if o.crash {
		var err error
		if done, err = crash(ctx, dir, o, crm.endpoint, work); err != nil {
			return err
		}
	}
	done, stats, err := replicate(ctx, dir, crm.endpoint, work, done)
	if err != nil {
		return err
	}
	if o.crash {
		fmt.Println("since the restart:")
	}
	printTable(os.Stdout, stats)
	err = verify(ctx, os.Stdout, dir, crm, work, done)
	fmt.Printf("took %.1f s\n", time.Since(start).Seconds())
	return err
}

// replicate does what is left of the work in this process, waits until all of it is
// settled, and gives what is done and how the destinations stand.
func replicate(ctx context.Context, dir string, crm endpoint, work workload, done counts) (counts, replicator.Stats, error) {
	shop, err := openShop(ctx, dir, crm)
	if err != nil {
		return done, replicator.Stats{}, err
	}
	acknowledged := tallyFrom(done)
	stop := showProgress(os.Stdout, func() string {
		return progressLine(acknowledged.counts().total(), work.total(), shop.replicator.Stats())
	})
	err = work.do(ctx, shop.db, done, acknowledged.add)
	if err == nil {
		err = shop.replicator.Flush(ctx)
	}
	stop()
	stats := shop.replicator.Stats()

	// After an interrupt ctx is over, and closing must not be.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closing)
	defer cancel()
	return acknowledged.counts(), stats, errors.Join(err, shop.close(ctx))
}
