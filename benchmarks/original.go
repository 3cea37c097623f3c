package main

import (
	"bufio"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/s3db-go/replicator/internal/testbed"
)

//go:embed testdata/replicate.mjs
var replicateScript string

// original is s3db.js in a process of Node's, which writes records to a database in memory
// that its replicator plugin carries.
type original struct {
	program *testbed.Program
	out     *bufio.Reader
}

// originalDestination is an entry of the plugin's list of replicators.
type originalDestination struct {
	Driver    string         `json:"driver"`
	Resources any            `json:"resources"`
	Config    map[string]any `json:"config"`
}

// openOriginal starts it, with everything ready but the records. It ends with the bed.
func openOriginal(b *bed, to originalDestination, records int) (o *original, ok bool, err error) {
	config, err := json.Marshal(to)
	if err != nil {
		return nil, false, err
	}
	return getProgram(b, replicateScript, string(config), strconv.Itoa(records))
}

// getProgram starts a script that prints a line when it is ready.
func getProgram(b *bed, script string, args ...string) (o *original, ok bool, err error) {
	program, ok, err := get(b, func(t testing.TB) *testbed.Program { return testbed.Node(t, script, args...) })
	if !ok {
		return nil, false, err
	}
	o = &original{program, bufio.NewReader(program.Out)}
	_, err = o.answer()
	return o, err == nil, err
}

// replicate writes the records, and returns when the plugin says that all are carried.
func (o *original) replicate() error {
	if err := o.begin(); err != nil {
		return err
	}
	_, err := o.answer()
	return err
}

// begin has the script do its work.
func (o *original) begin() error {
	_, err := io.WriteString(o.program.In, "go\n")
	return err
}

// answer waits for the line with which the script says that it is done.
func (o *original) answer() (string, error) {
	line, err := o.out.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("the original: %w", errors.Join(err, o.Close()))
	}
	return strings.TrimSpace(line), nil
}

// Close ends the process, which ends when its input does.
func (o *original) Close() error { return o.program.In.Close() }
