package testbed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// postgresURL names the variable with the connection string of a server that tests may
// make databases on, in place of one of their own.
const postgresURL = "POSTGRES_URL"

const howToGetPostgres = "install PostgreSQL 14 or later, so that initdb is on PATH or below /usr/lib/postgresql " +
	"(Debian: apt-get install postgresql); most tests also take a server's connection string in " + postgresURL

// Postgres gives the connection string of a new database, which is dropped when the
// test ends. It is on the server that POSTGRES_URL names, or else on one that is
// started for this process and ends with it.
func Postgres(t testing.TB) string {
	t.Helper()
	server, err := sharedPostgres()
	if errors.Is(err, errNoPostgres) {
		Missing(t, "PostgreSQL", howToGetPostgres)
	}
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("test_%d_%d", os.Getpid(), time.Now().UnixNano())
	administer(t, server, "CREATE DATABASE "+name+" TEMPLATE template0")
	t.Cleanup(func() { administer(t, server, "DROP DATABASE "+name+" WITH (FORCE)") })
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal("testbed: " + postgresURL + " is not a URL")
	}
	u.Path = "/" + name
	return u.String()
}

// administer runs a statement on a server. It outlives the test's context, so that it
// also clears up.
func administer(t testing.TB, server, statement string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, server)
	if err == nil {
		_, err = conn.Exec(ctx, statement)
		conn.Close(ctx)
	}
	if err != nil {
		t.Errorf("testbed: %s: %v", statement, err)
	}
}

// sharedPostgres starts the server of this process, if it is not there yet. Nothing
// stops it: it ends with the process.
var sharedPostgres = sync.OnceValues(func() (string, error) {
	if server := os.Getenv(postgresURL); server != "" {
		return server, nil
	}
	s, err := startPostgres()
	if err != nil {
		return "", err
	}
	return s.URL("postgres", "", "postgres"), nil
})

// PostgresServer is a server with nothing in it, to be killed and started. Users are
// let in without a password, but for the one named app.
type PostgresServer struct {
	dir     string
	control io.WriteCloser // of the supervisor, which ends with it
	ended   <-chan struct{}
}

// NewPostgresServer starts a server of the test's own.
func NewPostgresServer(t testing.TB) *PostgresServer {
	t.Helper()
	s, err := startPostgres()
	if errors.Is(err, errNoPostgres) {
		Missing(t, "PostgreSQL", howToGetPostgres)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.control.Close()
		<-s.ended
	})
	return s
}

// URL gives the connection string for a user and a database. It goes by a socket in
// the file system; see Socket for going through a Proxy.
func (s *PostgresServer) URL(user, password, database string) string {
	u := url.URL{Scheme: "postgres", User: url.User(user), Path: "/" + database, RawQuery: url.Values{"host": {s.dir}}.Encode()}
	if password != "" {
		u.User = url.UserPassword(user, password)
	}
	return u.String()
}

// Socket gives the path of the socket on which the server listens.
func (s *PostgresServer) Socket() string { return filepath.Join(s.dir, ".s.PGSQL.5432") }

// Kill ends the server's main process with SIGKILL; the others notice and end too. It
// returns when nobody is let in any more.
func (s *PostgresServer) Kill() error {
	if err := s.tell("kill"); err != nil {
		return err
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := net.Dial("unix", s.Socket())
		if err != nil {
			return nil
		}
		conn.Close()
		<-tick.C
	}
}

// Start brings up a server that was killed, and returns when it answers.
func (s *PostgresServer) Start(ctx context.Context) error {
	if err := s.tell("start"); err != nil {
		return err
	}
	return s.answers(ctx)
}

func (s *PostgresServer) tell(command string) error {
	_, err := io.WriteString(s.control, command+"\n")
	return err
}

// answers waits until the server lets somebody in.
func (s *PostgresServer) answers(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.URL("postgres", "", "postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-tick.C:
		case <-s.ended:
			return fmt.Errorf("testbed: PostgreSQL's supervisor ended: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("testbed: PostgreSQL does not answer: %w", err)
		}
	}
}

// supervise is the parent of a server. It does what it is told on its input, and when
// that ends, as it also does when the test's process is killed, it takes everything
// down. A server that is started anew has to wait for what is left of the one that was
// killed.
const supervise = `
dir=$1; shift
running= pid=
start() {
	(until "$@" </dev/null >>"$dir/log" 2>&1; do sleep 0.02; done) &
	running=$!
}
signal() {
	kill -9 "$running"
	wait "$running"
	read -r pid <"$dir/data/postmaster.pid" && kill "-$1" "$pid"
}
start "$@"
while read -r command; do
	case $command in
	kill) signal 9 ;;
	start) start "$@" ;;
	esac
done
signal QUIT
while kill -0 "$pid"; do sleep 0.02; done
rm -rf "$dir"
`

// startPostgres makes a server's files and starts it. It does not wait for the disk,
// which costs nothing as long as the machine stays up: what was committed survives the
// server being killed.
func startPostgres() (*PostgresServer, error) {
	bin, err := postgresPrograms()
	if err != nil {
		return nil, err
	}
	// Short, since a socket's path has at most 107 bytes, and not below a folder that
	// only the test's user may enter.
	dir, err := os.MkdirTemp(quickFolder(), "pg")
	if err != nil {
		return nil, err
	}
	attr, err := unprivileged(dir)
	if err != nil {
		return nil, err
	}
	env := []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC", "HOME=" + dir}
	data := filepath.Join(dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
	initdb.Dir, initdb.Env, initdb.SysProcAttr = dir, env, attr
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("testbed: initdb: %w\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(data, "pg_hba.conf"), []byte("local all app scram-sha-256\nlocal all all trust\n"), 0o600); err != nil {
		return nil, err
	}
	// Not by an argument, so that ServeTLS can set something else.
	if err := appendTo(filepath.Join(data, "postgresql.conf"), "listen_addresses = ''\n"); err != nil {
		return nil, err
	}
	cmd := exec.Command("/bin/sh", "-c", supervise, "supervise", dir, filepath.Join(bin, "postgres"), "-D", data, "-k", dir,
		"-c", "fsync=off", "-c", "full_page_writes=off", "-c", "shared_buffers=64MB",
		"-c", "max_connections=100", "-c", "autovacuum=off")
	cmd.Dir, cmd.Env, cmd.SysProcAttr = "/", env, attr
	control, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	s := &PostgresServer{dir: dir, control: control, ended: ended}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	if err := s.answers(ctx); err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		control.Close()
		return nil, fmt.Errorf("%w\n%s", err, log)
	}
	return s, nil
}

var errNoPostgres = errors.New("testbed: there is no PostgreSQL on this machine")

// postgresPrograms finds the folder of initdb and postgres: on PATH, else the newest of
// those where packages put them.
func postgresPrograms() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path), nil
		}
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin/initdb", "/usr/pgsql-*/bin/initdb",
		"/opt/homebrew/opt/postgresql@*/bin/initdb", "/usr/local/opt/postgresql@*/bin/initdb",
	} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return filepath.Dir(slices.Max(found)), nil
		}
	}
	return "", errNoPostgres
}

// quickFolder gives a folder in memory where there is one: databases are made there
// ten times as fast.
func quickFolder() string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return "/tmp"
}
