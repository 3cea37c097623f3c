package testbed

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// nodeModules names the variable with the folder node_modules that was made from
// testdata/node.
const nodeModules = "REPLICATOR_NODE_MODULES"

const howToGetNode = "install Node 20 or later; copy internal/testbed/testdata/node to a folder, and in it run " +
	"npm install --ignore-scripts --legacy-peer-deps --omit=optional && node prepare.mjs; " +
	"then set " + nodeModules + " to its node_modules"

// Program is a running script of Node's.
type Program struct {
	// In is the script's standard input, Out what it prints. A script ends when In does.
	In  io.WriteCloser
	Out io.ReadCloser

	cmd *exec.Cmd
}

// Node runs an ES module, given as text, that may import what testdata/node/package.json
// names. Its errors go to the test's own. It is killed when the test ends; to end with a
// test that was killed itself, it has to watch its standard input.
func Node(t testing.TB, script string, args ...string) *Program {
	t.Helper()
	modules, err := filepath.Abs(os.Getenv(nodeModules))
	if os.Getenv(nodeModules) == "" || err != nil {
		Missing(t, "packages for Node ("+nodeModules+" is not set)", howToGetNode)
	}
	if _, err := os.Stat(filepath.Join(modules, "fauxqs")); err != nil {
		Missing(t, "packages for Node in "+modules, howToGetNode)
	}
	node, err := exec.LookPath("node")
	if err != nil {
		Missing(t, "Node", howToGetNode)
	}

	// A module finds packages in a node_modules beside it, and nowhere else.
	dir := t.TempDir()
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "script.mjs")
	if err := os.WriteFile(path, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &Program{cmd: exec.Command(node, append([]string{path}, args...)...)}
	p.cmd.Env = append(os.Environ(), "NODE_NO_WARNINGS=1") // about its own age, for one
	p.cmd.Stderr = os.Stderr
	if p.In, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if p.Out, err = p.cmd.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	return p
}

// Wait closes the script's input and waits for its end; its output must have been read
// by then.
func (p *Program) Wait() error {
	p.In.Close()
	return p.cmd.Wait()
}

func (p *Program) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}
