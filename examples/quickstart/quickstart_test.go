package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/internal/testbed"
)

// build makes the program, which the tests run as its users do.
func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "quickstart.exe") // runs under this name on every system
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

// start runs the program and gives its exit code and what it printed.
func start(t *testing.T, program string, args ...string) (code int, out string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	text, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatalf("%v: %v", args, err)
	}
	return cmd.ProcessState.ExitCode(), string(text)
}

func TestProgram(t *testing.T) {
	program := build(t)
	t.Run("plain", func(t *testing.T) {
		code, out := start(t, program, "-n", "200")
		wantFlawless(t, code, out)
		for _, destination := range []string{"backup", "crm"} {
			wantBalanced(t, out, destination)
		}
	})
	t.Run("crash", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "kept")
		code, out := start(t, program, "-crash", "-n", "200", "-dir", dir)
		wantFlawless(t, code, out)
		killed := regexp.MustCompile(`killed the writing process after (\d+) acknowledged writes; on disk: \d+ records, which show all (\d+) `).
			FindStringSubmatch(out)
		if killed == nil || killed[1] != killed[2] || killed[1] == "0" {
			t.Errorf("does not tell what the kill left: %q in\n%s", killed, out)
		}
		if !strings.Contains(out, "restarted on the same directories") {
			t.Errorf("does not tell of the restart:\n%s", out)
		}
		for _, name := range []string{"shop", "backup", "replicator"} {
			if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
				t.Errorf("-dir was not kept: %v", err)
			}
		}
		if code, out = start(t, program, "-n", "200", "-dir", dir); code != 1 || !strings.Contains(out, "is not empty") {
			t.Errorf("on a used directory: exit %d\n%s", code, out)
		}
	})
	t.Run("analytics", func(t *testing.T) {
		t.Setenv("POSTGRES_URL", testbed.Postgres(t))
		for _, args := range [][]string{{"-n", "200"}, {"-crash", "-n", "200"}} {
			code, out := start(t, program, args...)
			wantFlawless(t, code, out)
			if !regexp.MustCompile(`(?m)^analytics: [1-9]\d+ records, 0 missing, 0 different$`).MatchString(out) {
				t.Errorf("no line of analytics in\n%s", out)
			}
		}
	})
	t.Run("no records", func(t *testing.T) {
		if code, out := start(t, program, "-n", "0"); code != 1 || !strings.Contains(out, "-n is 0") {
			t.Errorf("exit %d\n%s", code, out)
		}
	})
}

func wantFlawless(t *testing.T, code int, out string) {
	t.Helper()
	if code != 0 {
		t.Errorf("exit %d\n%s", code, out)
	}
	for _, line := range []string{
		`shop: \d+ records, which show all \d+ acknowledged writes`,
		`backup: [1-9]\d+ records, 0 missing, 0 different`,
		`crm: [1-9]\d+ records, 0 missing, 0 different`,
		`crm: [1-9]\d+ changes, 0 lost, 0 out of order, 0 that the shop never made; \d+ repeats, known by their webhook-id`,
	} {
		if !regexp.MustCompile(`(?m)^` + line + `$`).MatchString(out) {
			t.Errorf("no line %q in\n%s", line, out)
		}
	}
}

// wantBalanced holds a destination's line of the table against the workload.
func wantBalanced(t *testing.T, out, destination string) {
	t.Helper()
	work := mustPlan(t, 200)
	for line := range strings.Lines(out) {
		cells := strings.Fields(strings.ReplaceAll(line, ",", ""))
		if len(cells) != 7 || cells[0] != destination {
			continue
		}
		var n [5]int // wanted, replicated, coalesced, skipped, failed
		for i := range n {
			var err error
			if n[i], err = strconv.Atoi(cells[i+1]); err != nil {
				t.Fatal(err)
			}
		}
		if n[0] != work.total() || n[0] != n[1]+n[2]+n[3] || n[4] != 0 || cells[6] != "0s" {
			t.Errorf("of %d writes the table says %q", work.total(), line)
		}
		return
	}
	t.Errorf("no line of %s in\n%s", destination, out)
}

func TestWorkloadIsTheSameInEveryProcess(t *testing.T) {
	a, b := mustPlan(t, 300), mustPlan(t, 300)
	if !reflect.DeepEqual(a, b) {
		t.Error("two plans of 300 records differ")
	}
	ops, owner := replicator.Op(0), map[key]int{}
	for writer, script := range a {
		for _, w := range script {
			ops |= w.op
			if other, taken := owner[w.key()]; taken && other != writer {
				t.Errorf("%v is written by writers %d and %d", w.key(), other, writer)
			}
			owner[w.key()] = writer
		}
	}
	if len(owner) != 300 || ops != replicator.Inserted|replicator.Updated|replicator.Deleted {
		t.Errorf("the plan has %d records, which are %v", len(owner), ops)
	}
}

func TestResumeFindsWhatWasCutOff(t *testing.T) {
	l := life{}.inserted("orders", replicator.Record{"id": "o-1", "status": "placed"}).
		updated(replicator.Record{"status": "paid"}).deleted()
	for acknowledged := range len(l) {
		for applied := acknowledged; applied <= acknowledged+1; applied++ {
			var work workload
			work[3] = l
			got := work.resume(counts{3: acknowledged}, work.contents(counts{3: applied}))
			if got != (counts{3: applied}) {
				t.Errorf("%d acknowledged and %d applied: resumes after %d", acknowledged, applied, got[3])
			}
		}
	}
}
