package testbed

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const howToGetS3 = "go install github.com/versity/versitygw/cmd/versitygw@v1.8.0, so that it is on PATH or in GOBIN"

// The credentials of every server of S3 that is started here.
const (
	S3AccessKey = "testkey"
	S3SecretKey = "canary-of-a-secret-key"
)

// S3Server is a server of the S3 protocol that keeps its objects in memory.
type S3Server struct {
	// Addr is the host and port that it listens on.
	Addr string

	dir     string
	control io.WriteCloser // of the supervisor, which ends with it
	ended   <-chan struct{}
	buckets atomic.Int64
}

// S3 gives the connection string of a new bucket, on a server that is started for this
// process and ends with it.
func S3(t testing.TB) string {
	t.Helper()
	s, err := sharedS3()
	orMissing(t, err)
	return s.Bucket(t)
}

// sharedS3 starts the server of this process, if it is not there yet. Nothing stops it:
// it ends with the process.
var sharedS3 = sync.OnceValues(func() (*S3Server, error) { return startS3("us-east-1") })

// NewS3Server starts a server of the test's own, in a region.
func NewS3Server(t testing.TB, region string) *S3Server {
	t.Helper()
	s, err := startS3(region)
	orMissing(t, err)
	t.Cleanup(func() {
		s.control.Close()
		<-s.ended
	})
	return s
}

// Bucket makes a bucket and gives its connection string.
func (s *S3Server) Bucket(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test-%d", s.buckets.Add(1))
	if err := os.Mkdir(filepath.Join(s.dir, "data", name), 0o700); err != nil {
		t.Fatal(err)
	}
	return s.ConnectionString(s.Addr, name)
}

// ConnectionString names a bucket of the server as seen from an address: its own, or
// that of something in between.
func (s *S3Server) ConnectionString(addr, bucket string) string {
	return fmt.Sprintf("http://%s:%s@%s/%s", S3AccessKey, S3SecretKey, addr, bucket)
}

var errNoS3 = errors.New("testbed: no server of S3")

func orMissing(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, errNoS3) {
		Missing(t, "versitygw, a server of S3", howToGetS3)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// superviseS3 runs a server until its input ends, and then clears its folder away. So
// nothing is left of one whose test was killed.
const superviseS3 = `dir=$1; shift; "$@" & read -r _; kill -9 $!; wait; rm -rf "$dir"`

// startS3 starts a server and returns when it listens.
func startS3(region string) (*S3Server, error) {
	program, err := findProgram("versitygw")
	if err != nil {
		return nil, errors.Join(errNoS3, err)
	}
	memory := "/dev/shm"
	if _, err := os.Stat(memory); err != nil {
		memory = "" // where there is none, a folder for temporary files has to do
	}
	dir, err := os.MkdirTemp(memory, "testbed-s3-")
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
		return nil, err
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := free.Addr().String()
	free.Close()

	cmd := exec.Command("sh", "-c", superviseS3, "sh", dir, program, "--quiet", "--keep-alive",
		"--region", region, "--port", addr, "posix", filepath.Join(dir, "data"))
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+S3AccessKey, "ROOT_SECRET_KEY="+S3SecretKey)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	control, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // it is killed, and says so
		close(ended)
	}()
	s := &S3Server{Addr: addr, dir: dir, control: control, ended: ended}
	return s, s.listens()
}

// findProgram looks on PATH, and where go install puts programs.
func findProgram(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	bin := os.Getenv("GOBIN")
	if bin == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		bin = filepath.Join(home, "go", "bin")
	}
	return exec.LookPath(filepath.Join(bin, name))
}

// listens waits until the server takes a connection.
func (s *S3Server) listens() error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	patience := time.NewTimer(30 * time.Second)
	defer patience.Stop()
	for {
		conn, err := net.Dial("tcp", s.Addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-tick.C:
		case <-s.ended:
			return fmt.Errorf("testbed: the server of S3 ended: %w", err)
		case <-patience.C:
			return fmt.Errorf("testbed: the server of S3 does not answer: %w", err)
		}
	}
}
