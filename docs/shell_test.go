package docs_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/s3db-go/replicator/internal/testbed"
)

// treatment makes it feasible to run a command of the pages whenever the tests run.
type treatment struct {
	has     string // the commands that it is for; the first that fits counts
	adds    string // stands at the end then, where a flag counts more than the same one before it
	ci      bool   // it is not run here, but has to stand in .ci/run, word for word
	instead string // is run in its place
	why     string
}

// treatments are all that keeps the commands from being run as they stand.
var treatments = []treatment{
	{has: "go test ./...", ci: true, why: "this test is part of it"},
	{has: "go install ", ci: true, why: "it would change what is installed"},
	{has: "apt-get install ", ci: true, why: "it would change what is installed"},
	{has: ".ci/run", instead: "bash -n .ci/run", why: "it runs this test"},
	{has: "-case backlog", adds: "-n 1 -time 10ms -changes 20000", why: "minutes, and 5 GB"},
	{has: "-case postgres", adds: "-n 1 -time 10ms -changes 2000", why: "minutes"},
	{has: "go run . -case", adds: "-n 1 -time 10ms", why: "minutes"},
	{has: "-mutations -table", adds: `-table '' -test.run 'Mutations/cursor_before_log'`, why: "it would change a page, after an hour"},
	{has: "-mutation 'fsync'", adds: `-test.run 'Mutations/a_failed_fsync_retried'`, why: "minutes"},
	{has: "-mutations", adds: `-test.run 'Mutations/cursor_before_log'`, why: "an hour for all of them"},
	{has: "go test ./internal/sim", adds: "-seeds 20", why: "half an hour"},
	{has: "-fuzztime", adds: "-fuzztime 100x", why: "minutes"},
	{has: "-bench Tuning", adds: "-bench TuningBatch -count 1", why: "minutes"},
	{has: "go test ./docs", adds: "-run Links", why: "this test is part of it"},
	{has: "go run ./examples/quickstart", adds: "-n 200", why: "half a minute"},
	{has: "go run ./examples/outage", adds: `-dead 3s -o "$SCRATCH/outage.svg"`, why: "it would change a file of the tree"},
}

// shellLine is a command of a page.
type shellLine struct {
	page  string
	line  int
	dir   string // where it is given
	text  string
	shown string // what it prints, if the page says so
}

func (c shellLine) String() string { return fmt.Sprintf("%s:%d %s", c.page, c.line, c.text) }

// programs are what commands begin with, but for those of Go and of the shell.
const programs = `apt-get|aws|curl|docker|git|mkdir|node|npm|openssl|psql|rm|sudo`

var (
	trailing = regexp.MustCompile(`\s+#.*$`)
	changing = regexp.MustCompile(`^cd ([a-z/]+) && `)
	// inline is a command within a sentence or a table. The name of a tool alone is none.
	inline = regexp.MustCompile("`((?:[A-Z_]+=\\S+ )*(?:go (?:build|doc|get|install|mod|run|test|tool|vet)|cd [a-z/]+ &&|" + programs + ") [^`]+|\\.ci/run)`")
	// Outside of a block of sh no line begins with one of them.
	unmarked = regexp.MustCompile(`(?m)^(\$ )?(go|cd|export|` + programs + `) `)
)

// shellLines gives the commands of a block or a sentence, one by one. They are given in
// the module of their page: that of the benchmarks is one of its own.
func shellLines(page string, line int, text string) (all []shellLine) {
	dir := filepath.Join(root, filepath.Dir(page))
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil || strings.HasPrefix(text, ".ci/") {
		dir = root
	}
	for i, part := range strings.Split(strings.ReplaceAll(text, "\\\n", "  "), "\n") {
		c := shellLine{page: page, line: line + i, dir: dir, text: strings.TrimSpace(trailing.ReplaceAllString(part, ""))}
		if m := changing.FindStringSubmatch(c.text); m != nil {
			c.dir, c.text = filepath.Join(c.dir, m[1]), c.text[len(m[0]):]
		}
		if c.text != "" && !strings.HasPrefix(c.text, "#") {
			all = append(all, c)
		}
	}
	return all
}

// treated finds what is done to a command, or -1.
func (c shellLine) treated() int {
	return slices.IndexFunc(treatments, func(t treatment) bool { return strings.Contains(c.text, t.has) })
}

// commands gives all commands of the pages but those of readers, in groups that are run
// one after the other; each command once.
func commands(t *testing.T) (groups [][]shellLine) {
	seen := map[string]bool{}
	add := func(group []shellLine) {
		group = slices.DeleteFunc(group, func(c shellLine) bool {
			key := c.dir + "$ " + c.text
			defer func() { seen[key] = true }()
			return seen[key]
		})
		if len(group) > 0 {
			groups = append(groups, group)
		}
	}
	for _, p := range pages(t) {
		for i, b := range p.blocks {
			switch {
			case b.lang == "sh" && b.todo == "reader": // for TestReaders
			case b.lang == "sh" && b.todo != "":
				t.Errorf("%s: nothing says what to do with the commands (%q); see the comment of package docs_test", b, b.todo)
			case b.lang == "sh":
				group := shellLines(b.page, b.line+1, b.text)
				if i+1 < len(p.blocks) && p.blocks[i+1].todo == "output" {
					group[len(group)-1].shown = p.blocks[i+1].text
				}
				add(group)
			case (b.lang == "" || b.lang == "text") && b.todo == "" && unmarked.MatchString(b.text):
				t.Errorf("%s: commands stand in a block of sh", b)
			}
		}
		for i, line := range p.prose {
			for _, m := range inline.FindAllStringSubmatch(line, -1) {
				if !strings.Contains(p.said(), m[1]) {
					add(shellLines(p.path, i+1, m[1]))
				}
			}
		}
	}
	return groups
}

// TestCommands runs every command of the pages.
func TestCommands(t *testing.T) {
	script := inCI(t)
	used := make([]bool, len(treatments))
	n := 0
	for _, group := range commands(t) {
		n += len(group)
		for _, c := range group {
			if k := c.treated(); k >= 0 {
				used[k] = true
			}
		}
		t.Run(group[0].String(), func(t *testing.T) {
			t.Parallel()
			scratch := t.TempDir()
			for _, c := range group {
				if err := c.judge(t, script, scratch); err != nil {
					t.Errorf("%s: %v", c, err)
				}
			}
		})
	}
	for i, is := range used {
		if !is {
			t.Errorf("no command has %q any more", treatments[i].has)
		}
	}
	if n < 30 {
		t.Errorf("only %d commands were found", n)
	}
}

// judge runs a command and says what is wrong with it.
func (c shellLine) judge(t *testing.T, ci []string, scratch string) error {
	var how treatment
	if k := c.treated(); k >= 0 {
		how = treatments[k]
	}
	if how.ci {
		if !slices.ContainsFunc(ci, func(line string) bool { return inOrder(line, c.text) }) {
			return fmt.Errorf("no line of .ci/run has these words")
		}
		return nil
	}
	text := strings.TrimSpace(c.text + " " + how.adds)
	if how.instead != "" {
		text = how.instead
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute) // compiling included
	defer cancel()
	out, err := shell(ctx, c.dir, scratch, text)
	missing(t, out)
	switch {
	case err != nil:
		return fmt.Errorf("%w\n%s", err, out)
	case idle(text, out):
		return fmt.Errorf("it selects nothing\n%s", out)
	case c.shown != "" && !matches(c.shown, out):
		return fmt.Errorf("it prints\n%s\nand the page shows\n%s", out, c.shown)
	}
	return nil
}

// idle: go test is content with a pattern that selects nothing.
func idle(text, out string) bool {
	if !strings.HasPrefix(text, "go test") {
		return false
	}
	if strings.Contains(text, "-bench ") {
		return !strings.Contains(out, "ns/op")
	}
	return strings.Contains(out, "no tests to run") || strings.Contains(out, "no fuzz tests to fuzz")
}

// inOrder: a line has the words of a command, in this order.
func inOrder(line, text string) bool {
	words := strings.Fields(line)
	for word := range strings.FieldsSeq(text) {
		i := slices.IndexFunc(words, func(w string) bool { return strings.Trim(w, `"`) == word })
		if i < 0 {
			return false
		}
		words = words[i+1:]
	}
	return true
}

// inCI gives the lines of .ci/run, with what its variables stand for.
func inCI(t *testing.T) []string {
	script, err := os.ReadFile(filepath.Join(root, ".ci", "run"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(script)
	for _, m := range regexp.MustCompile(`(?m)^(\w+)=(\S+)$`).FindAllStringSubmatch(text, -1) {
		text = strings.ReplaceAll(text, "$"+m[1], m[2])
	}
	return strings.Split(text, "\n")
}

// kept are the beginnings of the variables that a command gets: those that make it run.
// What names services is not among them, so that the examples work within their process.
var kept = []string{"PATH=", "HOME=", "USER=", "TMPDIR=", "XDG_CACHE_HOME=", "GO", "CGO_", "CC=", "REPLICATOR_", "HTTP_PROXY=", "HTTPS_PROXY=", "NO_PROXY="}

// environment is that of the commands.
func environment(scratch string) []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return !slices.ContainsFunc(kept, func(k string) bool { return strings.HasPrefix(v, k) })
	})
	env = append(env, "GOWORK=off", "SCRATCH="+scratch)
	if os.Getenv("REPLICATOR_REQUIRE_BACKENDS") != "1" {
		env = append(env, "GOPROXY=off") // tests load nothing, but where all that they need was asked for
	}
	return env
}

// missing ends a test whose command wants modules that are not on this machine.
func missing(t *testing.T, out string) {
	t.Helper()
	if strings.Contains(out, "module lookup disabled by GOPROXY=off") {
		testbed.Missing(t, "the modules that the command needs", "go mod download, in the folder of its go.mod")
	}
}

// shell runs a command and gives what it prints.
func shell(ctx context.Context, dir, scratch, text string) (string, error) {
	cmd := exec.CommandContext(ctx, "bash", "-euc", text)
	cmd.Dir, cmd.Env = dir, environment(scratch)
	cmd.WaitDelay = time.Second // a child of the command may hold on to its output
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestCommandsFail: what is wrong with a command is told.
func TestCommandsFail(t *testing.T) {
	ci := []string{"\tgo test -race ./...", "go install example.org/x@v1"}
	for _, bad := range []string{
		"go run ./examples/nothing", "cd nowhere && go doc .", "go test -run Nowhere ./internal/hub", "go test -slow ./internal/hub", "go install example.org/y@v1",
	} {
		for _, c := range shellLines("README.md", 1, bad) {
			if err := c.judge(t, ci, t.TempDir()); err == nil {
				t.Errorf("%q is taken", bad)
			}
		}
	}
	for _, good := range []string{"go test ./...  # all", "go install example.org/x@v1", "# nothing", "cd benchmarks && true", "go test \\\n-run Slow ./internal/hub"} {
		for _, c := range shellLines("README.md", 1, good) {
			if err := c.judge(t, ci, t.TempDir()); err != nil {
				t.Errorf("%q: %v", good, err)
			}
		}
	}
}
