package docs_test

import (
	"bytes"
	"context"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const module = "github.com/s3db-go/replicator"

// imports are the packages that a fragment may name without importing them.
var imports = map[string]string{
	"context": "context", "errors": "errors", "fmt": "fmt", "http": "net/http", "io": "io", "json": "encoding/json", "log": "log", "os": "os",
	"slog": "log/slog", "sql": "database/sql", "strings": "strings", "sync": "sync", "time": "time", "tls": "crypto/tls", "filepath": "path/filepath",
	"replicator": module, "cdc": module + "/cdc", "store": module + "/store", "progress": module + "/progress",
	"s3db": module + "/drivers/s3db", "postgres": module + "/drivers/postgres", "sqs": module + "/drivers/sqs",
	"webhook": module + "/drivers/webhook", "memory": module + "/drivers/memory", "bigquery": module + "/drivers/bigquery",
}

// wrappers are what a fragment stands in. The marker is where.
var wrappers = map[string]string{
	"declarations": "%s",
	"options":      "var _ = replicator.Options{\n%s\n}",
	"destinations": "var _ = []replicator.Destination{\n%s\n}",
	"routes":       "var _ = []replicator.Route{\n%s\n}",
	"statements": `func _(ctx context.Context, db *store.DB, users, orders *store.Resource, r *replicator.Replicator) error {
		{
			%s
		}
		return nil
	}`,
}

// wrapped gives a fragment as a file of its own.
func wrapped(b block) ([]byte, error) {
	wrapper, ok := wrappers[b.todo]
	if !ok {
		return nil, fmt.Errorf("nothing says what to do with the block (%q); see the comment of package docs_test", b.todo)
	}
	body := strings.TrimSpace(b.text)
	if b.todo == "statements" {
		uses, err := unused(body)
		if err != nil {
			return nil, err
		}
		body += uses
	}
	if b.todo == "destinations" || b.todo == "routes" {
		body = strings.TrimSuffix(body, ",") + ","
	}
	source := "package fragment\n" + fmt.Sprintf(wrapper, body) + "\n"
	f, err := parser.ParseFile(token.NewFileSet(), "", source, 0)
	if err != nil {
		return nil, err
	}
	needed := map[string]bool{}
	for _, id := range f.Unresolved {
		if path, ok := imports[id.Name]; ok {
			needed[path] = true
		}
	}
	var out strings.Builder
	out.WriteString("package fragment\n")
	for _, path := range slices.Sorted(maps.Keys(needed)) {
		fmt.Fprintf(&out, "import %q\n", path)
	}
	out.WriteString(strings.TrimPrefix(source, "package fragment\n"))
	return format.Source([]byte(out.String()))
}

// unused gives statements that use what the statements declare, so that a fragment may
// end before its variables are used.
func unused(body string) (string, error) {
	f, err := parser.ParseFile(token.NewFileSet(), "", "package p\nfunc f() {\n"+body+"\n}", 0)
	if err != nil {
		return "", err
	}
	var uses strings.Builder
	for _, statement := range f.Decls[0].(*ast.FuncDecl).Body.List {
		if a, ok := statement.(*ast.AssignStmt); ok && a.Tok == token.DEFINE {
			for _, left := range a.Lhs {
				if id := left.(*ast.Ident); id.Name != "_" {
					uses.WriteString("\n_ = " + id.Name)
				}
			}
		}
	}
	return uses.String(), nil
}

// workshop is a module of its own in which what the pages show is compiled, against this
// tree and the versions that it builds with.
type workshop struct {
	dir   string
	where map[string]block // by the directory of each package
	runs  map[string]block // those of programs that are run
	tests map[string]bool  // those with tests
}

func newWorkshop(t *testing.T) *workshop {
	t.Helper()
	w := &workshop{dir: t.TempDir(), where: map[string]block{}, runs: map[string]block{}, tests: map[string]bool{}}
	here, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	sum, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	own := strings.Replace(string(mod), "module "+module+"\n", "module example.com/snippets\n", 1)
	if own == string(mod) {
		t.Fatal("go.mod does not begin with the module's name")
	}
	own += fmt.Sprintf("\nrequire %s v0.0.0\n\nreplace %s => %s\n", module, module, filepath.ToSlash(here))
	w.write(t, "go.mod", []byte(own))
	w.write(t, "go.sum", sum)
	return w
}

func (w *workshop) write(t *testing.T, path string, data []byte) {
	t.Helper()
	file := filepath.Join(w.dir, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// take puts a block of Go into the module.
func (w *workshop) take(t *testing.T, n int, b block) {
	dir := fmt.Sprintf("block%03d", n)
	switch b.todo {
	case "program", "run":
		w.write(t, dir+"/main.go", []byte(b.text))
		if b.todo == "run" {
			w.runs[dir] = b
		}
	case "file":
		dir = filepath.ToSlash(filepath.Dir(b.arg))
		w.write(t, b.arg, []byte(b.text))
		w.tests[dir] = w.tests[dir] || strings.HasSuffix(b.arg, "_test.go")
	default:
		source, err := wrapped(b)
		if err != nil {
			t.Errorf("%s: %v", b, err)
			return
		}
		w.write(t, dir+"/fragment.go", source)
	}
	w.where[dir] = b
}

// command runs a command and gives what it prints.
func command(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off")
	cmd.WaitDelay = time.Second // a child of the command may hold on to its output
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// told puts the places of the blocks into what a tool says of their packages.
func (w *workshop) told(out string) string {
	for dir, b := range w.where {
		out = strings.ReplaceAll(out, dir+"/", b.String()+" ")
	}
	return out
}

// TestSnippets compiles every block of Go, runs those that say so, and compares what
// they print with what is shown.
func TestSnippets(t *testing.T) {
	w := newWorkshop(t)
	outputs := map[string]string{} // what is shown, by the place of the block that prints it
	n := 0
	for _, p := range pages(t) {
		var last block
		for _, b := range p.blocks {
			switch {
			case b.lang == "go":
				n++
				w.take(t, n, b)
				last = b
			case b.todo == "output":
				if outputs[last.String()] = b.text; last.lang == "go" && last.todo != "run" {
					t.Errorf("%s: is the output of a block that is not run", b)
				}
			case b.lang == "sh" && b.todo != "reader": // TestCommands compares its output
				last = b
			}
		}
	}
	if n < 2 {
		t.Fatalf("only %d blocks of Go were found", n)
	}
	if t.Failed() {
		return
	}
	if out, err := command(t.Context(), w.dir, "go", "vet", "./..."); err != nil {
		t.Fatalf("%v\n%s", err, w.told(out))
	}
	for dir, tests := range w.tests {
		if !tests {
			continue
		}
		if out, err := command(t.Context(), w.dir, "go", "test", "./"+dir); err != nil {
			t.Errorf("%v\n%s", err, w.told(out))
		}
	}
	if len(w.runs) == 0 {
		t.Fatal("no program is run")
	}
	bin := t.TempDir()
	args := []string{"build", "-o", bin + string(filepath.Separator)}
	for dir := range w.runs {
		args = append(args, "./"+dir)
	}
	if out, err := command(t.Context(), w.dir, "go", args...); err != nil {
		t.Fatalf("%v\n%s", err, w.told(out))
	}
	for dir, b := range w.runs {
		t.Run(b.String(), func(t *testing.T) {
			t.Parallel()
			binary, err := filepath.Glob(filepath.Join(bin, dir+"*"))
			if err != nil || len(binary) != 1 {
				t.Fatalf("built %v: %v", binary, err)
			}
			out, err := command(t.Context(), t.TempDir(), binary[0])
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if shown := outputs[b.String()]; !matches(shown, out) {
				t.Errorf("it prints\n%s\nand the page shows\n%s", out, shown)
			}
		})
	}
}

// TestSnippetsFail: a block that nothing is said of, or that does not parse, is told.
func TestSnippetsFail(t *testing.T) {
	for name, b := range map[string]block{
		"without a comment": {text: "x := 1"},
		"with a typo":       {todo: "statement", text: "x := 1"},
		"that is no Go":     {todo: "statements", text: "x = = 1"},
	} {
		if source, err := wrapped(b); err == nil {
			t.Errorf("a block %s is taken:\n%s", name, source)
		}
	}
	source, err := wrapped(block{todo: "routes", text: `{From: "a", ShouldReplicate: func(replicator.Change) bool { return time.Now().IsZero() }}`})
	if err != nil || !bytes.Contains(source, []byte(`import "time"`)) {
		t.Errorf("a fragment becomes (%v)\n%s", err, source)
	}
	if matches("took 1…\n", "took 2 ms\n") || !matches("took …, done\n", "took 2 ms, done") || matches("a", "a\nb") ||
		!matches("…\nb: …\n…", "x\ny\nb: 1\nc\n") || matches("…\nb\n", "x\n") {
		t.Error("outputs are compared wrongly")
	}
}
