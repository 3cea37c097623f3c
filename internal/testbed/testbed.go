// Package testbed gives tests the real servers and programs that they talk to. Each
// runs as a process of its own, on this machine's loopback, and ends with the test
// that asked for it, also if that is killed. Only tests import it.
//
// Nothing is installed here: what is missing makes a test skip and say how to get it.
// With REPLICATOR_REQUIRE_BACKENDS=1 in the environment, as in .ci/run, it fails
// instead.
package testbed

import (
	"os"
	"testing"
)

// Missing ends a test whose counterpart is not on this machine: it skips, or fails
// where all counterparts are required. how is the command or setting that brings it.
func Missing(t testing.TB, what, how string) {
	t.Helper()
	if os.Getenv("REPLICATOR_REQUIRE_BACKENDS") == "1" {
		t.Fatalf("MISSING: %s. To get it: %s", what, how)
	}
	t.Skipf("NOT TESTED, MISSING: %s. To get it: %s", what, how)
}
