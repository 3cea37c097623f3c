package replicator_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/s3db-go/replicator"

// listed is what go list tells of a package.
type listed struct {
	ImportPath string
	Imports    []string
	GoFiles    []string
	Dir        string
}

// house lists the packages of the module by their path below it, "." for the root.
func house(t *testing.T) map[string]listed {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,GoFiles,Dir", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	rooms := map[string]listed{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return rooms
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		rooms[room(p.ImportPath)] = p
	}
}

// room gives the path below the module; paths of others stay as they are.
func room(importPath string) string {
	if importPath == module {
		return "."
	}
	return strings.TrimPrefix(importPath, module+"/")
}

// within lists, for each room, the rooms of the house that it may import. It is the
// picture in ARCHITECTURE.md, held. A room that is not in it fails the test.
var within = map[string][]string{
	"cdc":            {},
	"cdc/sourcetest": {"cdc"},

	// The leaves. The pure ones may be used by any of them.
	"internal/awsbody":   {},
	"internal/backoff":   {},
	"internal/clock":     {},
	"internal/keylock":   {"cdc"},
	"internal/hub":       {},
	"internal/panics":    {},
	"internal/disk":      {},
	"internal/codec":     {"cdc"},
	"internal/envelope":  {"cdc"},
	"internal/schema":    {},
	"internal/route":     {"cdc", "internal/panics"},
	"internal/journal":   {"cdc", "internal/codec", "internal/clock", "internal/disk"},
	"internal/ledger":    {"cdc", "internal/codec"},
	"internal/telemetry": {"cdc"},

	// What composes them.
	"internal/backfill": {"cdc", "internal/backoff", "internal/codec", "internal/disk", "internal/journal", "internal/panics"},
	"internal/capture":  {"cdc", "internal/backoff", "internal/disk", "internal/journal", "internal/panics"},
	"internal/engine":   {"cdc", "internal/backoff", "internal/codec", "internal/journal", "internal/ledger", "internal/panics", "internal/route"},
	".": {"cdc", "internal/backfill", "internal/backoff", "internal/capture", "internal/clock", "internal/disk", "internal/engine", "internal/hub",
		"internal/journal", "internal/keylock", "internal/ledger", "internal/panics", "internal/route", "internal/telemetry"},

	"progress": {"."},

	// The store and the drivers know the contract, never the engine.
	"store":              {"cdc", "internal/codec", "internal/disk", "internal/keylock"},
	"drivers/memory":     {"cdc"},
	"drivers/sqs":        {"cdc", "internal/awsbody", "internal/envelope", "internal/panics"},
	"drivers/webhook":    {"cdc", "internal/envelope", "internal/panics"},
	"drivers/s3db":       {"cdc", "store"},
	"drivers/postgres":   {"cdc", "internal/schema"},
	"drivers/bigquery":   {"cdc", "internal/schema"},
	"drivers/drivertest": {"cdc"},

	"docs": {}, // tests of the pages alone

	// Tools and helpers of tests.
	"internal/api":                 {},
	"internal/testbed":             {},
	"internal/disk/faultfs":        {"internal/disk"},
	"internal/journal/journaltest": {"cdc", "internal/journal"},
	"internal/sim/whole": {"cdc", "internal/backfill", "internal/capture", "internal/disk", "internal/disk/faultfs", "internal/engine", "internal/hub",
		"internal/journal", "internal/keylock", "internal/ledger", "internal/route"},
	"internal/sim": {"cdc", "internal/backoff", "internal/engine", "internal/journal", "internal/ledger", "internal/route"},
}

// without lists the modules that a room may import; all others use the standard
// library alone.
var without = map[string][]string{
	".":                  {"go.opentelemetry.io/otel"},
	"internal/ledger":    {"go.etcd.io/bbolt"},
	"internal/engine":    {"golang.org/x/sync"},
	"internal/telemetry": {"go.opentelemetry.io/otel"},
	"progress":           {"github.com/schollz/progressbar/v3"},
	"store":              {"github.com/aws/aws-sdk-go-v2", "github.com/aws/smithy-go", "golang.org/x/crypto", "golang.org/x/sync"},
	"drivers/postgres":   {"github.com/jackc/pgx/v5"},
	"internal/testbed":   {"github.com/jackc/pgx/v5"},

	"drivers/sqs": {"github.com/aws/aws-sdk-go-v2", "github.com/aws/smithy-go"},

	// managedwriter is used with the parts of its own vendor's libraries that it speaks in.
	"drivers/bigquery": {"cloud.google.com/go", "google.golang.org/api", "google.golang.org/grpc", "google.golang.org/protobuf"},

	"drivers/drivertest":           {"github.com/google/go-cmp"},
	"internal/journal/journaltest": {"github.com/google/go-cmp"},
}

func TestHouseArrowsPointDown(t *testing.T) {
	for name, p := range house(t) {
		if strings.HasPrefix(name, "examples/") {
			continue // examples stand on top of everything
		}
		allowed, known := within[name]
		if !known {
			t.Errorf("%s is not in the picture; put it there, with what it may import", name)
		}
		for _, imported := range p.Imports {
			first, _, _ := strings.Cut(imported, "/")
			switch r := room(imported); {
			case r != imported: // of the house
				if !slices.Contains(allowed, r) {
					t.Errorf("%s imports %s", name, r)
				}
			case strings.Contains(first, "."): // another module
				if !slices.ContainsFunc(without[name], func(m string) bool { return imported == m || strings.HasPrefix(imported, m+"/") }) {
					t.Errorf("%s imports %s", name, imported)
				}
			}
		}
	}
}

// TestHouseHasNoHiddenState holds that nothing happens by importing a package: no
// init functions, and no package variable that is assigned to after its declaration.
func TestHouseHasNoHiddenState(t *testing.T) {
	for name, p := range house(t) {
		vars, assigned := map[string]bool{}, map[string]bool{}
		for _, file := range p.GoFiles {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, file), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range f.Decls {
				switch d := d.(type) {
				case *ast.FuncDecl:
					if d.Name.Name == "init" && d.Recv == nil {
						t.Errorf("%s/%s has an init function", name, file)
					}
				case *ast.GenDecl:
					for _, spec := range d.Specs {
						if v, ok := spec.(*ast.ValueSpec); ok && d.Tok == token.VAR {
							for _, id := range v.Names {
								vars[id.Name] = id.Name != "_"
							}
						}
					}
				}
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if a, ok := n.(*ast.AssignStmt); ok && a.Tok != token.DEFINE {
					for _, left := range a.Lhs {
						if ix, ok := left.(*ast.IndexExpr); ok {
							left = ix.X
						}
						if id, ok := left.(*ast.Ident); ok {
							assigned[id.Name] = true
						}
					}
				}
				return true
			})
		}
		for v := range vars {
			// By name alone: a local variable of the same name would be reported too,
			// and is better called something else.
			if vars[v] && assigned[v] {
				t.Errorf("%s: package variable %s is assigned to", name, v)
			}
		}
	}
}

// TestHouseFilesHaveOneSubject holds the length at which a file has two.
func TestHouseFilesHaveOneSubject(t *testing.T) {
	const lines = 420
	for name, p := range house(t) {
		for _, file := range p.GoFiles {
			data, err := os.ReadFile(filepath.Join(p.Dir, file))
			if err != nil {
				t.Fatal(err)
			}
			if n := bytes.Count(data, []byte("\n")); n > lines {
				t.Errorf("%s/%s has %d lines; it has more than one subject", name, file, n)
			}
		}
	}
}
