package testbed

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
)

// BigQueryServer is a stand-in for Google BigQuery, with no datasets in it yet. It takes
// any project and asks for no credentials. What it knows, and what it can't show, its
// package doc says.
type BigQueryServer struct {
	// Endpoint is the URL of the REST API, WriteEndpoint host and port of the Storage
	// Write API, which is spoken without TLS.
	Endpoint, WriteEndpoint string

	control string // URL of the fault switches
}

// BigQueryFault is a fault to switch on.
type BigQueryFault struct {
	// Kind is "close" (the connection ends before the request is applied), "lost" (it
	// ends after), "unavailable", "exhausted", "missing" or "denied".
	Kind string `json:"kind"`

	// Surface is what it strikes: "write", which is AppendRows, or "rest".
	Surface string `json:"surface"`

	// Table limits it to requests that name a table, as dataset.table.
	Table string `json:"table,omitempty"`

	// Times is how many requests it strikes; -1 is all, until ClearFaults.
	Times int `json:"times"`
}

// BigQuery starts a stand-in of the test's own. It ends with the test, also if that is
// killed.
func BigQuery(t testing.TB) *BigQueryServer {
	t.Helper()
	built, err := builtBigQuery()
	if errors.Is(err, errNoGo) {
		Missing(t, "the go command, which builds the stand-in for BigQuery", "put Go's bin folder on PATH")
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(built.program)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe() // it ends when this does
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the stand-in for BigQuery: %v", err)
		}
	})
	var listens struct{ REST, Write, Control string }
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &listens)
	}
	if err != nil {
		t.Fatalf("the stand-in for BigQuery did not start: %v", err)
	}
	return &BigQueryServer{
		Endpoint: "http://" + listens.REST, WriteEndpoint: listens.Write, control: "http://" + listens.Control + "/faults",
	}
}

// Fault switches a fault on, behind those that are.
func (s *BigQueryServer) Fault(t testing.TB, f BigQueryFault) {
	t.Helper()
	body, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	s.ask(t, http.MethodPost, body)
}

// Faults gives those that are still on, each with the Times that are left.
func (s *BigQueryServer) Faults(t testing.TB) []BigQueryFault {
	t.Helper()
	var on []BigQueryFault
	if err := json.Unmarshal(s.ask(t, http.MethodGet, nil), &on); err != nil {
		t.Fatal(err)
	}
	return on
}

// ClearFaults switches all faults off.
func (s *BigQueryServer) ClearFaults(t testing.TB) {
	t.Helper()
	s.ask(t, http.MethodDelete, nil)
}

func (s *BigQueryServer) ask(t testing.TB, method string, body []byte) []byte {
	t.Helper()
	r, err := http.NewRequest(method, s.control, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("the stand-in for BigQuery: %s %s: %s %v", method, s.control, text, err)
	}
	return text
}

var errNoGo = errors.New("testbed: no go command")

// keepUntilEnd waits for its input to end, and then clears a folder away.
const keepUntilEnd = `read -r _; rm -rf "$1"`

type bigQueryBuild struct {
	program string
	keeper  io.WriteCloser // kept: the folder goes when it ends
}

// builtBigQuery builds the stand-in once for this process, from its own module beside
// this file, into a folder that is gone when the process is.
var builtBigQuery = sync.OnceValues(func() (bigQueryBuild, error) {
	goTool, err := exec.LookPath("go")
	if err != nil {
		return bigQueryBuild{}, errors.Join(errNoGo, err)
	}
	_, here, _, _ := runtime.Caller(0)
	dir, err := os.MkdirTemp("", "testbed-bigquery-")
	if err != nil {
		return bigQueryBuild{}, err
	}
	cleaner := exec.Command("sh", "-c", keepUntilEnd, "sh", dir)
	keeper, err := cleaner.StdinPipe()
	if err != nil {
		return bigQueryBuild{}, err
	}
	if err := cleaner.Start(); err != nil {
		return bigQueryBuild{}, err
	}
	program := filepath.Join(dir, "bigquery")
	build := exec.Command(goTool, "build", "-o", program, ".")
	build.Dir = filepath.Join(filepath.Dir(here), "bigquery")
	build.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-buildvcs=false")
	if text, err := build.CombinedOutput(); err != nil {
		return bigQueryBuild{}, fmt.Errorf("testbed: build the stand-in for BigQuery in %s: %w\n%s", build.Dir, err, text)
	}
	return bigQueryBuild{program, keeper}, nil
})
