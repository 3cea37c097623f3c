package replicator_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReadmeRuns builds every Go snippet of the README, and runs those that are whole
// programs in an empty directory.
func TestReadmeRuns(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	snippets := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(snippets) < 2 {
		t.Fatalf("found %d snippets", len(snippets))
	}
	for _, m := range snippets {
		source := m[1]
		program := strings.HasPrefix(source, "package main")
		if !program {
			source = "package main\n\nimport \"github.com/s3db-go/replicator\"\n\nvar _ = " + source + "\nfunc main() {}\n"
		}
		dir := t.TempDir()
		file, binary := filepath.Join(dir, "main.go"), filepath.Join(dir, "program.exe")
		if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, file).CombinedOutput(); err != nil {
			t.Errorf("%s\n%v\n%s", m[1], err, out)
			continue
		}
		if !program {
			continue
		}
		run := exec.CommandContext(t.Context(), binary)
		run.Dir = dir
		if out, err := run.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("the program says %q, %v", out, err)
		}
		if copies, _ := filepath.Glob(filepath.Join(dir, "data/backup/resource=users/data/id=*.meta.json")); len(copies) != 1 {
			t.Errorf("the backup holds %d records, want 1", len(copies))
		}
	}
}

// TestReadmeNamesWhatIsThere: the tests and files that the README names exist.
func TestReadmeNamesWhatIsThere(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`\]\(([^)#]+)\)`).FindAllStringSubmatch(string(text), -1) {
		if _, err := os.Stat(m[1]); err != nil {
			t.Errorf("the link %s: %v", m[1], err)
		}
	}
	var tests strings.Builder
	files, _ := filepath.Glob("*_test.go")
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		tests.Write(data)
	}
	for _, name := range regexp.MustCompile("`(Test[A-Za-z0-9]+)…?`").FindAllStringSubmatch(string(text), -1) {
		if !strings.Contains(tests.String(), "func "+name[1]) {
			t.Errorf("there is no test %s", name[1])
		}
	}
}
