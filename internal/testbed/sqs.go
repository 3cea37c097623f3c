package testbed

import (
	"bufio"
	_ "embed"
	"fmt"
	"strings"
	"sync"
	"testing"
)

//go:embed testdata/node/fauxqs.mjs
var fauxqs string

// SQS gives the endpoint of an emulator of Amazon SQS, which is started for this process
// and ends with it. It asks for no credentials, and keeps everything in memory, also
// from one test to the next: who makes a queue deletes it.
func SQS(t testing.TB) (endpoint string) {
	t.Helper()
	emulator, err := sharedSQS()
	orNoNode(t, err)
	return emulator.endpoint
}

type sqsEmulator struct {
	endpoint string
	program  *Program // kept: it ends when its standard input does
}

// sharedSQS starts the emulator of this process, if it is not there yet. Nothing stops
// it: it ends with the process.
var sharedSQS = sync.OnceValues(func() (sqsEmulator, error) {
	p, err := startNode(fauxqs)
	if err != nil {
		return sqsEmulator{}, err
	}
	line, err := bufio.NewReader(p.Out).ReadString('\n')
	if err != nil {
		p.kill()
		return sqsEmulator{}, fmt.Errorf("testbed: the emulator of SQS did not start: %w", err)
	}
	return sqsEmulator{strings.TrimSpace(line), p}, nil
})
