package docs_test

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestCommands runs the commands of the pages, and looks through those that take long.
func TestCommands(t *testing.T) {
	n := 0
	for _, p := range pages(t) {
		for i, b := range p.blocks {
			if b.lang != "sh" {
				continue
			}
			n++
			switch b.todo {
			case "":
				if err := look(at(b.page), b.text); err != nil {
					t.Errorf("%s: %v", b, err)
				}
			case "run":
				shown := ""
				if i+1 < len(p.blocks) && p.blocks[i+1].todo == "output" {
					shown = p.blocks[i+1].text
				}
				t.Run(b.String(), func(t *testing.T) {
					ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute) // compiling included
					defer cancel()
					out, err := command(ctx, root, "bash", "-euc", b.text)
					if err != nil {
						t.Fatalf("%v\n%s", err, out)
					}
					if shown != "" && !matches(shown, out) {
						t.Errorf("it prints\n%s\nand the page shows\n%s", out, shown)
					}
				})
			default:
				t.Errorf("%s: nothing says what to do with the commands (%q); see the comment of package docs_test", b, b.todo)
			}
		}
	}
	if n < 5 {
		t.Errorf("only %d blocks of commands were found", n)
	}
}

// inline is a command within a sentence or a table.
var inline = regexp.MustCompile("`((?:go (?:run|test|doc|vet) |cd [a-z/]+ && )[^`]+)`")

// TestInlineCommands looks through the commands in sentences and tables.
func TestInlineCommands(t *testing.T) {
	n := 0
	for _, p := range pages(t) {
		for i, line := range p.prose {
			for _, m := range inline.FindAllStringSubmatch(line, -1) {
				n++
				if err := look(at(p.path), m[1]); err != nil {
					t.Errorf("%s:%d: %v", p.path, i+1, err)
				}
			}
		}
	}
	if n < 5 {
		t.Errorf("only %d commands were found", n)
	}
}

// TestCommandsFail: what is not there is told.
func TestCommandsFail(t *testing.T) {
	for _, bad := range []string{
		"go run ./examples/nothing", "go run ./examples/quickstart -slow", "cd nowhere && go run .", "go test ./internal/sim -seedlings 3",
		"go test -run Nothing ./internal/sim", "make all", "go get example.org/other", "go test ./internal/sim -args -nothing", "go build ./nothing/...",
	} {
		if err := look(root, bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	for _, good := range []string{
		"go test ./...  # all", "A=b go test -race -shuffle=on ./internal/sim -seeds 10 -timeout 1h", "go run ./examples/quickstart -crash -n 5",
		"cd benchmarks && go run . -case journal -json", "go get " + module, "export A=b_$(openssl rand -base64 24)",
	} {
		if err := look(root, good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}

var (
	assignment = regexp.MustCompile(`^[A-Z_]+=`)
	trailing   = regexp.MustCompile(`\s+#.*$`)
	// substitution is what a shell fills in; the commands in it are not looked through.
	substitution = regexp.MustCompile(`\$\([^)]*\)`)
)

// at is where the commands of a page are given: in its own module, as that of the
// benchmarks, or in the root.
func at(page string) string {
	dir := filepath.Join(root, filepath.Dir(page))
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		return root
	}
	return dir
}

// look judges commands, given in a directory, without running them.
func look(dir, commands string) error {
	inside := true // the module
	commands = strings.ReplaceAll(commands, "\\\n", " ")
	commands = substitution.ReplaceAllString(commands, "…")
	for _, line := range strings.FieldsFunc(commands, func(r rune) bool { return r == '\n' }) {
		line = trailing.ReplaceAllString(line, "")
		if strings.HasPrefix(line, "#") {
			continue
		}
		at := dir
		for part := range strings.SplitSeq(line, "&&") {
			words := strings.Fields(part)
			for len(words) > 0 && (assignment.MatchString(words[0]) || words[0] == "export") {
				words = words[1:]
			}
			if len(words) == 0 {
				continue
			}
			switch name := strings.Join(words[:min(2, len(words))], " "); {
			case words[0] == "mkdir" && len(words) == 2:
				dir, inside = "", false // what follows is in a folder of the reader's own
			case words[0] == "cd" && len(words) == 2:
				if inside {
					at = filepath.Join(at, words[1])
					if _, err := os.Stat(at); err != nil {
						return fmt.Errorf("%q: %w", line, err)
					}
				}
			case name == "git clone", name == "go mod", name == "gofmt -l":
			case name == "go get" && len(words) == 3 && strings.HasPrefix(words[2], module):
			case name == "go doc" && len(words) == 3:
			case !inside && (name == "go run"):
			case slices.Contains([]string{"go run", "go test", "go vet", "go build"}, name):
				if err := goCommand(at, words[1], words[2:]); err != nil {
					return fmt.Errorf("%q: %w", line, err)
				}
			case name == "staticcheck ./...":
			default:
				if _, err := os.Stat(filepath.Join(at, words[0])); err != nil {
					return fmt.Errorf("%q: %s is no command that can be judged", line, words[0])
				}
			}
		}
	}
	return nil
}

// known are the flags of go test, go vet and go run that the pages use, and whether a
// value follows as a word of its own.
var known = map[string]bool{
	"-race": false, "-run": true, "-v": false, "-timeout": true, "-bench": true, "-count": true, "-shuffle": true, "-args": false, "-fuzz": true,
	"-fuzztime": true, "-short": false, "-cpuprofile": true, "-benchtime": true, "-update": false, "-c": false, "-o": true, "-tags": true,
}

// goCommand judges the packages and flags of a go command.
func goCommand(dir, verb string, words []string) error {
	var packages, own []string // own are flags of the package's
	patterns := map[string]string{}
	for i := 0; i < len(words); i++ {
		word := words[i]
		name, value, has := strings.Cut(word, "=")
		takes, isKnown := known[name]
		switch {
		case !strings.HasPrefix(word, "-") && (word == "." || strings.HasPrefix(word, "./")):
			packages = append(packages, word)
		case !strings.HasPrefix(word, "-"): // the value of a flag of the package's own
		case isKnown && (verb != "run" || len(packages) == 0):
			if takes && !has && i+1 < len(words) {
				i++
				value = words[i]
			}
			patterns[name] = strings.Trim(value, `'"`)
		default:
			own = append(own, strings.TrimLeft(name, "-"))
		}
	}
	if len(packages) == 0 {
		return fmt.Errorf("no package is named")
	}
	if len(packages) == 1 && strings.HasSuffix(packages[0], "/...") {
		if _, err := os.Stat(filepath.Join(dir, strings.TrimSuffix(packages[0], "..."))); err != nil {
			return err
		}
		if len(own) > 0 {
			return fmt.Errorf("the flags %v can't be judged for many packages", own)
		}
		return nil
	}
	for _, p := range packages {
		flags, funcs, err := declared(filepath.Join(dir, p))
		if err != nil {
			return err
		}
		for _, name := range own {
			if !slices.Contains(flags, name) {
				return fmt.Errorf("%s has no flag -%s", p, name)
			}
		}
		for _, name := range []string{"-run", "-bench", "-fuzz"} {
			pattern := strings.Split(patterns[name], "/")[0] // of a subtest only the test is looked for
			if !slices.ContainsFunc(funcs, regexp.MustCompile(pattern).MatchString) && pattern != "^$" {
				return fmt.Errorf("%s has no test or benchmark that %s %s selects", p, name, pattern)
			}
		}
	}
	return nil
}

// declared gives the flags that the files of a package define, and the names of its
// functions.
func declared(dir string) (flags, funcs []string, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		return nil, nil, fmt.Errorf("%s has no Go files (%v)", dir, err)
	}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, nil, err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				funcs = append(funcs, n.Name.Name)
			case *ast.CallExpr:
				// flag.Int("name", …) and flag.IntVar(&v, "name", …), also of a set.
				if _, ok := n.Fun.(*ast.SelectorExpr); ok {
					for _, arg := range n.Args[:min(2, len(n.Args))] {
						if lit, ok := arg.(*ast.BasicLit); ok && lit.Kind == token.STRING {
							if name, err := strconv.Unquote(lit.Value); err == nil {
								flags = append(flags, name)
							}
						}
					}
				}
			}
			return true
		})
	}
	return flags, funcs, nil
}
