package testbed

import (
	"errors"
	"fmt"
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

var errNoNode = errors.New("testbed: no packages for Node")

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
	p, err := startNode(script, args...)
	orNoNode(t, err)
	t.Cleanup(p.kill)
	return p
}

func orNoNode(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, errNoNode) {
		Missing(t, err.Error(), howToGetNode)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func startNode(script string, args ...string) (*Program, error) {
	modules, err := filepath.Abs(os.Getenv(nodeModules))
	if os.Getenv(nodeModules) == "" || err != nil {
		return nil, fmt.Errorf("%w: %s is not set", errNoNode, nodeModules)
	}
	if _, err := os.Stat(filepath.Join(modules, "fauxqs")); err != nil {
		return nil, fmt.Errorf("%w in %s", errNoNode, modules)
	}
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, fmt.Errorf("%w, nor Node itself", errNoNode)
	}
	// The name stands where that of a file would, so that arguments are where scripts
	// look for them.
	p := &Program{cmd: exec.Command(node, append([]string{"--input-type=module", "--eval", script, "--", "script"}, args...)...)}
	p.cmd.Dir = filepath.Dir(modules)                      // imports start from there
	p.cmd.Env = append(os.Environ(), "NODE_NO_WARNINGS=1") // about its own age, for one
	p.cmd.Stderr = os.Stderr
	if p.In, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if p.Out, err = p.cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	return p, p.cmd.Start()
}

func (p *Program) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}
