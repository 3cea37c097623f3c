package docs_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestReaders does what the pages tell a reader to do in an empty folder: the commands
// of a page, one after the other in one shell, with the programs of the page.
func TestReaders(t *testing.T) {
	n := 0
	for _, p := range pages(t) {
		if commands := p.said(); commands != "" {
			n++
			t.Run(p.path, func(t *testing.T) {
				t.Parallel()
				follow(t, p, commands)
			})
		}
	}
	if n < 2 {
		t.Errorf("only %d pages tell a reader what to do", n)
	}
}

// said gives what a page tells its reader to do in a folder of his own.
func (p page) said() string {
	var commands strings.Builder
	for _, b := range p.blocks {
		if b.lang == "sh" && b.todo == "reader" {
			commands.WriteString(b.text)
		}
	}
	return commands.String()
}

var running = regexp.MustCompile(`go run (\S+)`)

// script makes one of what a reader is told, and says whether it ends with a server, which
// runs until our end of its input is closed. The program that the page runs is main.go,
// "program: name" is name/main.go; they are there when they are run. The module is not
// loaded: what is tried is this tree, with the versions that it builds with.
func (p page) script(t *testing.T, commands, address string) (script string, serves bool) {
	tree, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	programs := map[string]string{}
	for _, b := range p.blocks {
		if b.lang != "go" || b.todo != "run" && b.todo != "program" {
			continue
		}
		file := filepath.Join(t.TempDir(), "main.go")
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(b.text, "localhost:8080", address)), 0o600); err != nil {
			t.Fatal(err)
		}
		programs[strings.TrimSuffix("./"+b.arg, "/")] = file
	}
	var out strings.Builder
	for _, c := range shellLines(p.path, 1, commands) {
		m := running.FindStringSubmatch(c.text)
		if m != nil {
			program, ok := programs[m[1]]
			if !ok {
				t.Fatalf("%s: %s: the page has no program for it", p.path, c.text)
			}
			fmt.Fprintf(&out, "cp %s %s\ngo mod edit -replace %s=%s\ncp %s/go.sum .\n", program, m[1], module, tree, tree)
		}
		if serves = m != nil && m[1] != "."; serves {
			c.text = fmt.Sprintf("set -m\n%s &\nread -r || true\nkill -INT -- -$!\nwait $! || true", c.text)
		}
		fmt.Fprintln(&out, c.text)
	}
	return out.String(), serves
}

// follow is a reader of a page.
func follow(t *testing.T, p page, commands string) {
	address := free(t)
	script, serves := p.script(t, commands, address)
	var out bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "bash", "-euc", script)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = t.TempDir(), environment(t.TempDir()), &out, &out
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	if serves && !answers(address, ended) {
		t.Errorf("nothing answers on %s", address)
	}
	input.Close()
	if err := <-ended; err != nil {
		missing(t, out.String())
		t.Errorf("%v\n%s\nof\n%s", err, out.String(), script)
	}
}

// free gives an address on which nothing listens.
func free(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// answers waits until something listens, or the process that should has ended.
func answers(address string, ended chan error) bool {
	every := time.NewTicker(20 * time.Millisecond)
	defer every.Stop()
	for {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return true
		}
		select {
		case err := <-ended:
			ended <- err
			return false
		case <-every.C:
		}
	}
}
