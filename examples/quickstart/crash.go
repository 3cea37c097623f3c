package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"time"
)

// The variables that make a process the child that is killed, and tell it where the
// CRM is, which lives in the parent.
const (
	urlVariable    = "QUICKSTART_CRM_URL"
	secretVariable = "QUICKSTART_CRM_SECRET"
)

func parentsCRM() (endpoint, bool) {
	crm := endpoint{os.Getenv(urlVariable), os.Getenv(secretVariable)}
	return crm, crm.url != ""
}

// writeUntilKilled is the child. After each write that the store acknowledged it tells
// the parent the number of the writer, in one byte, of which a kill can't leave half.
func writeUntilKilled(ctx context.Context, dir string, crm endpoint, work workload) error {
	shop, err := openShop(ctx, dir, crm)
	if err != nil {
		return err
	}
	return work.do(ctx, shop.db, counts{}, func(writer int) { os.Stdout.Write([]byte{byte(writer)}) })
}

// crash has the work begun by a child, kills it somewhere in the middle half of its
// writes, and gives what is done then. What the child acknowledged must be there.
func crash(ctx context.Context, dir string, o options, crm endpoint, work workload) (done counts, err error) {
	total := work.total()
	acknowledged, err := killed(ctx, dir, o, crm, total/4+rand.IntN(max(1, total/2)))
	if err != nil {
		return done, err
	}
	if acknowledged.total() == total {
		return done, errors.New("the child was done before it could be killed; try a larger -n")
	}
	inShop, err := readStore(ctx, dir, "shop")
	if err != nil {
		return done, err
	}
	done = work.resume(acknowledged, inShop)
	shop := compare(work.contents(done), withoutTimestamps(inShop))
	fmt.Printf("killed the writing process after %s acknowledged writes; on disk: %s, and %d that it had no time to acknowledge\n",
		thousands(acknowledged.total()), shop.ofWrites(acknowledged.total()), done.total()-acknowledged.total())
	if err := report(os.Stdout, shop.findings); err != nil {
		return done, err
	}
	fmt.Printf("restarted on the same directories, for the other %s writes\n", thousands(total-done.total()))
	return done, nil
}

// killed starts the child and kills it when it has acknowledged that many writes. It
// gives all that it acknowledged, also what it said while it was being killed.
func killed(ctx context.Context, dir string, o options, crm endpoint, after int) (counts, error) {
	program, err := os.Executable()
	if err != nil {
		return counts{}, err
	}
	child := exec.CommandContext(ctx, program, "-n", strconv.Itoa(o.records), "-dir", dir)
	child.Env = append(os.Environ(), urlVariable+"="+crm.url, secretVariable+"="+crm.secret)
	child.Stderr = os.Stderr
	voice, err := child.StdoutPipe()
	if err != nil {
		return counts{}, err
	}
	if err := child.Start(); err != nil {
		return counts{}, err
	}
	var acknowledged tally
	stop := showProgress(os.Stdout, func() string {
		return fmt.Sprintf("process %d: %s writes", child.Process.Pid, thousands(acknowledged.counts().total()))
	})
	said := 0
	for in := bufio.NewReader(voice); ; said++ {
		writer, err := in.ReadByte()
		if err != nil {
			break // the child is dead
		}
		acknowledged.add(int(writer))
		if said == after {
			// Other writes are under way; the pause lets the end meet them at any step.
			time.AfterFunc(rand.N(5*time.Millisecond), func() { child.Process.Kill() })
		}
	}
	stop()
	if err := child.Wait(); said <= after {
		return counts{}, fmt.Errorf("the child ended by itself: %w", err)
	}
	return acknowledged.counts(), nil
}
