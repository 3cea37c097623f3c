package testbed

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func TestPostgresKillAndStart(t *testing.T) {
	s := NewPostgresServer(t)
	url := s.URL("postgres", "", "postgres")
	administer(t, url, "CREATE TABLE kept AS SELECT 1 AS n")
	for range 3 {
		if err := s.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var n int
	if err := conn.QueryRow(t.Context(), "SELECT n FROM kept").Scan(&n); err != nil || n != 1 {
		t.Errorf("what was committed before is %d, %v", n, err)
	}
}

// folderEnv makes this program a child that starts a server, tells where, and hangs.
const folderEnv = "TESTBED_CHILD"

func TestPostgresEndsWithAKilledTest(t *testing.T) {
	if os.Getenv(folderEnv) != "" {
		s, err := startPostgres()
		if err != nil {
			t.Fatal(err)
		}
		os.Stdout.WriteString(s.dir + "\n")
		select {}
	}
	if _, err := postgresPrograms(); err != nil {
		Missing(t, "PostgreSQL", howToGetPostgres)
	}
	child := exec.Command(os.Args[0], "-test.run=^TestPostgresEndsWithAKilledTest$")
	child.Env = append(os.Environ(), folderEnv+"=1")
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	lines.Scan()
	dir := lines.Text()
	if _, err := os.Stat(filepath.Join(dir, "data", "postmaster.pid")); err != nil {
		t.Errorf("the child did not start a server: %v", err)
	}
	child.Process.Kill()
	child.Wait()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s is still there", dir)
		}
	}
}
