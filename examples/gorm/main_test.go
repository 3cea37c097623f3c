package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var kills = flag.Int("kills", 5, "how many times the writing process is killed")

func TestRun(t *testing.T) {
	var out strings.Builder
	dir := t.TempDir()
	if err := run(t.Context(), &out, dir, backupIn(dir)); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(out.String(), "backup: 320 records, 0 missing, 0 different\n") {
		t.Errorf("it prints\n%s", out.String())
	}
}

func backupIn(dir string) string {
	return "file:///" + filepath.ToSlash(filepath.Join(dir, "backup")) + "?sync=off"
}

// childVariable makes this program the one that is killed: it names its directory.
const childVariable = "GORM_EXAMPLE_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		fmt.Fprintln(os.Stderr, tradeForever(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// tradeForever writes as quickly as it can, and says a byte for each ten users.
func tradeForever(dir string) error {
	s, err := open(context.Background(), dir, backupIn(dir))
	for err == nil {
		if err = s.trade(10); err == nil {
			_, err = os.Stdout.Write([]byte{'.'})
		}
	}
	return err
}

// TestKill kills the process that writes, at any step, over and over. After the next
// start the backup has what is in the database: what was committed, also if nobody was
// left to say so, and nothing of what was not.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	for n := range *kills {
		child := exec.CommandContext(t.Context(), os.Args[0])
		child.Env = append(os.Environ(), childVariable+"="+dir)
		child.Stderr = os.Stderr
		voice, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(voice)
		for range 2 + rand.IntN(5) {
			if _, err := in.ReadByte(); err != nil {
				t.Fatalf("the child ended by itself: %v", err)
			}
		}
		time.AfterFunc(rand.N(5*time.Millisecond), func() { child.Process.Kill() })
		for err == nil {
			_, err = in.ReadByte()
		}
		_ = child.Wait()

		s, err := open(t.Context(), dir, backupIn(dir))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.replicator.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		verdict, err := s.verify(t.Context(), backupIn(dir))
		if err != nil || verdict.Err() != nil || verdict.records == 0 {
			t.Errorf("after kill %d: %v, %v", n+1, verdict, err)
		}
		t.Logf("after kill %d: %v", n+1, verdict)
		if err := s.stop(t.Context()); err != nil {
			t.Error(err)
		}
		if err := s.close(); err != nil {
			t.Error(err)
		}
	}
}
