package testbed

import (
	"bufio"
	_ "embed"
	"strings"
	"testing"
)

//go:embed testdata/node/fauxqs.mjs
var fauxqs string

// SQS starts an emulator of Amazon SQS without queues and gives its endpoint. It asks
// for no credentials, and keeps everything in memory.
func SQS(t testing.TB) (endpoint string) {
	t.Helper()
	p := Node(t, fauxqs)
	line, err := bufio.NewReader(p.Out).ReadString('\n')
	if err != nil {
		t.Fatalf("testbed: the emulator of SQS did not start: %v", err)
	}
	return strings.TrimSpace(line)
}
