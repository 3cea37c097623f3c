package sim_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	mutate = flag.Bool("mutations", false, "make each mistake of the list in the code, one at a time, and see that a world finds it")
	only   = flag.String("mutation", "", "a regular expression for the names of those to make; all by default")
	page   = flag.String("table", "", "the page whose table is to say what this run finds, as docs/reliability.md")
)

// mutation is a mistake: texts that are replaced by others.
type mutation struct {
	name, does string
	edits      []edit
}

type edit struct{ file, old, new string }

// TestMutations makes each mistake in a copy of the code (go test -overlay) and runs the
// worlds, up to a thousand. With -table it brings the page's table up to date.
func TestMutations(t *testing.T) {
	if !*mutate {
		t.Log("give -mutations to run them: some minutes")
		return
	}
	root, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		t.Fatal(err)
	}
	chosen, err := regexp.Compile(*only)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutations {
		if !chosen.MatchString(m.name) {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			overlay := m.overlay(t, strings.TrimSpace(string(root)))
			cmd := exec.CommandContext(t.Context(), "go", "test", "-overlay", overlay, "-run", "Worlds", "-count=1", "-timeout", "5m", ".",
				"-args", "-seeds", "1000", "-shown", "12", "-progress")
			out, err := cmd.CombinedOutput()
			found := findings(out)
			switch {
			case err == nil:
				found = unfound
				t.Error("a thousand worlds do not find it")
			case found == "":
				t.Fatalf("no world failed, but:\n%s", out)
			}
			fmt.Println(m.row(found))
			t.Logf("%s", ofWorld.ReplaceAll(out, nil))
			if *page != "" {
				m.note(t, filepath.Join(strings.TrimSpace(string(root)), *page), found)
			}
		})
	}
}

// TestMistakesCanBeMade: the code has each text that a mistake replaces, once.
func TestMistakesCanBeMade(t *testing.T) {
	for _, m := range mutations {
		t.Run(m.name, func(t *testing.T) { m.overlay(t, filepath.Join("..", "..")) })
	}
}

var (
	ofWorld  = regexp.MustCompile(`(?m)^world (\d+)$`)
	ofSeed   = regexp.MustCompile(`(?m)_test\.go:\d+: seed (\d+): (.*)$`)
	panicked = regexp.MustCompile(`(?m)^panic: (.*)$`)
)

// findings gives what the worlds say, those of the core first.
func findings(out []byte) string {
	var said []string
	for _, m := range ofSeed.FindAllSubmatch(out, -1) {
		text := string(m[2])
		if len(text) > 160 {
			text = strings.ToValidUTF8(text[:160], "") + " …"
		}
		said = append(said, fmt.Sprintf("seed %s: %s", m[1], strings.NewReplacer("|", "\\|", "\x00", "").Replace(text)))
	}
	if m := panicked.FindSubmatch(out); m != nil && said == nil {
		// It took the process with it, the world that ran is the last that was told.
		if worlds := ofWorld.FindAllSubmatch(out, -1); len(worlds) > 0 {
			said = append(said, fmt.Sprintf("seed %s: panic: %s", worlds[len(worlds)-1][1], m[1]))
		}
	}
	return strings.Join(said, "<br>")
}

// overlay writes the mutated files and gives the file that go test -overlay wants.
func (m *mutation) overlay(t *testing.T, root string) string {
	dir := t.TempDir()
	texts := map[string]string{}
	for _, e := range m.edits {
		path := filepath.Join(root, e.file)
		if _, read := texts[path]; !read {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			texts[path] = string(b)
		}
		if n := strings.Count(texts[path], e.old); n != 1 {
			t.Fatalf("%s has the text %d times, so that the mistake can't be made:\n%s", e.file, n, e.old)
		}
		texts[path] = strings.Replace(texts[path], e.old, e.new, 1)
	}
	replace := map[string]string{}
	for path, text := range texts {
		mutated := filepath.Join(dir, fmt.Sprint(len(replace), ".go"))
		if err := os.WriteFile(mutated, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[path] = mutated
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return overlay
}
