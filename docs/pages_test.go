// Package docs_test holds the pages of the house to what the house does: every Go
// snippet is compiled or run, every command is run, what is shown as output is compared,
// links lead somewhere, and every option is on its page.
//
// A block of Go says in an HTML comment on the line before it what it is, or the test
// fails:
//
//	<!-- program -->        a whole program, which is compiled; "program: name" is one that a test finds by its name
//	<!-- run -->            the same, and run in an empty directory
//	<!-- file: dir/x.go --> a file; those of one directory are one package, whose tests run
//	<!-- statements -->     stands in a function that has ctx, db, users, orders and r
//	<!-- declarations -->   stands in a file; imports are added
//	<!-- options -->        stands in a replicator.Options{…}
//	<!-- destinations -->   stands in a []replicator.Destination{…}
//	<!-- routes -->         stands in a []replicator.Route{…}
//
// Every command of a block of sh, and of a sentence or a table, is run, in the folder of
// the page's module. What is done to those that would take long, or change the machine,
// stands in the list treatments. After <!-- reader --> they are run in an empty folder,
// with the programs of the page. A block of text after <!-- output --> is what the last
// block that was run prints; in it "…" stands for anything within a line, and alone on a
// line for any lines.
package docs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// root is the directory of the module, from here.
const root = ".."

// block is a fenced block of a page.
type block struct {
	page string // its path below the root
	line int
	lang string
	todo string // what its comment says: "run"
	arg  string // and of what: the path of "file: path"
	text string
}

func (b block) String() string { return fmt.Sprintf("%s:%d", b.page, b.line) }

// page is a page of the documentation.
type page struct {
	path   string // below the root
	blocks []block
	prose  []string // its lines, those of blocks empty
}

var comment = regexp.MustCompile(`^<!--\s*([a-z]+)(?::\s*(\S+))?\s*-->$`)

// pages reads all pages that the house has.
func pages(t *testing.T) []page {
	t.Helper()
	paths := []string{"README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "benchmarks/README.md"}
	guides, err := filepath.Glob("*.md")
	if err != nil || len(guides) == 0 {
		t.Fatalf("no guides: %v", err)
	}
	for _, guide := range guides {
		paths = append(paths, "docs/"+guide)
	}
	all := make([]page, len(paths))
	for i, path := range paths {
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		all[i] = parse(t, path, string(text))
	}
	return all
}

// languages are those that a block may be in. What is not Go or shell is only shown.
var languages = []string{"", "go", "sh", "text", "json", "sql", "js"}

func parse(t *testing.T, path, text string) page {
	p := page{path: path}
	var open *block
	last := "" // the last line with something on it
	for i, line := range strings.Split(text, "\n") {
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case open != nil && isFence:
			p.blocks = append(p.blocks, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		case isFence:
			open = &block{page: path, line: i + 1, lang: fence}
			if m := comment.FindStringSubmatch(last); m != nil {
				open.todo, open.arg = m[1], m[2]
			}
			if !slices.Contains(languages, fence) {
				t.Errorf("%s: the block is in %q, want one of %v", open, fence, languages)
			}
		}
		prose := line
		if open != nil || isFence {
			prose = ""
		}
		p.prose = append(p.prose, prose)
		if strings.TrimSpace(line) != "" {
			last = line
		}
	}
	if open != nil {
		t.Errorf("%s: the block does not end", open)
	}
	return p
}

// matches compares an output with what a page shows of it: "…" stands for anything
// within a line, and alone on a line for any lines.
func matches(shown, output string) bool {
	var pattern strings.Builder
	for line := range strings.Lines(strings.TrimSpace(shown) + "\n") {
		if strings.TrimSpace(line) == "…" {
			pattern.WriteString(`(.*\n)*`)
			continue
		}
		pattern.WriteString(strings.ReplaceAll(regexp.QuoteMeta(line), "…", ".*"))
	}
	return regexp.MustCompile("^" + pattern.String() + "$").MatchString(strings.TrimSpace(output) + "\n")
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`^#{1,6} (.*)$`)
	unslug  = regexp.MustCompile(`[^\p{L}\p{N}\- _]`)
	test    = regexp.MustCompile("`((?:Test|Fuzz|Benchmark|Example)[A-Z0-9][A-Za-z0-9_]*)…?`")
)

// anchors gives those of a page, as its headings make them.
func anchors(p page) (all []string) {
	for _, line := range p.prose {
		if m := heading.FindStringSubmatch(line); m != nil {
			text := link.ReplaceAllString(strings.ReplaceAll(m[1], "[", ""), "")
			all = append(all, strings.ReplaceAll(unslug.ReplaceAllString(strings.ToLower(text), ""), " ", "-"))
		}
	}
	return all
}

// TestLinksLead: relative links name files and headings that are there.
func TestLinksLead(t *testing.T) {
	all := pages(t)
	found := 0
	for _, p := range all {
		for i, line := range p.prose {
			for _, m := range link.FindAllStringSubmatch(line, -1) {
				if strings.Contains(m[1], "://") {
					continue
				}
				found++
				file, anchor, _ := strings.Cut(m[1], "#")
				target := p.path
				if file != "" {
					target = filepath.ToSlash(filepath.Join(filepath.Dir(p.path), file))
				}
				if _, err := os.Stat(filepath.Join(root, target)); err != nil {
					t.Errorf("%s:%d: the link %s: %v", p.path, i+1, m[1], err)
				}
				if anchor == "" {
					continue
				}
				to := slices.IndexFunc(all, func(q page) bool { return q.path == target })
				if to < 0 || !slices.Contains(anchors(all[to]), anchor) {
					t.Errorf("%s:%d: the link %s: there is no such heading", p.path, i+1, m[1])
				}
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d links were found", found)
	}
}

// TestNamedTestsExist: what the pages call a test is one.
func TestNamedTestsExist(t *testing.T) {
	var tests strings.Builder
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, "_test.go") {
			data, failed := os.ReadFile(path)
			tests.Write(data)
			err = failed
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pages(t) {
		for i, line := range p.prose {
			for _, m := range test.FindAllStringSubmatch(line, -1) {
				if !strings.Contains(tests.String(), "func "+m[1]) {
					t.Errorf("%s:%d: there is no %s", p.path, i+1, m[1])
				}
			}
		}
	}
}

var variable = regexp.MustCompile(`Getenv\("([A-Z_]+)"\)`)

// TestNothingIsForgotten: each driver, guide and example is in the README, and the example
// among the patterns, with the variables that it reads.
func TestNothingIsForgotten(t *testing.T) {
	text := map[string]string{}
	for _, p := range pages(t) {
		text[p.path] = strings.Join(p.prose, "\n")
		if name, ok := strings.CutPrefix(p.path, "docs/"); ok && !strings.Contains(text["README.md"], "(docs/"+name+")") {
			t.Errorf("README.md has no link to %s", p.path)
		}
	}
	drivers, err := os.ReadDir(filepath.Join(root, "drivers"))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range drivers {
		if !strings.Contains(text["README.md"], "`drivers/"+d.Name()) {
			t.Errorf("README.md does not name drivers/%s", d.Name())
		}
	}
	examples, err := filepath.Glob(filepath.Join(root, "examples", "*", "main.go"))
	if err != nil || len(examples) < 10 {
		t.Fatalf("there are %d examples: %v", len(examples), err)
	}
	for _, main := range examples {
		dir := filepath.Dir(main)
		if !strings.Contains(text["README.md"], "(examples/"+filepath.Base(dir)+")") {
			t.Errorf("README.md has no link to examples/%s", filepath.Base(dir))
		}
		row := regexp.MustCompile(`(?m)^\|.*\(\.\./examples/` + filepath.Base(dir) + `\).*$`).FindString(text["docs/patterns.md"])
		if row == "" {
			t.Errorf("docs/patterns.md has no row with examples/%s", filepath.Base(dir))
		}
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range variable.FindAllStringSubmatch(string(source), -1) {
				if !strings.HasSuffix(file, "_test.go") && !strings.Contains(row, "`"+m[1]+"`") {
					t.Errorf("docs/patterns.md does not say that examples/%s reads %s", filepath.Base(dir), m[1])
				}
			}
		}
	}
}
