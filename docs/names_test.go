package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// qualified is a name of a package within a sentence: `cdc.ErrStale`,
// `postgres.Options{…}`, `webhook.Bearer(token)`, `r.Retry(ctx, query)`.
var qualified = regexp.MustCompile("`&?(r|[a-z0-9]+)\\.([A-Z][A-Za-z0-9]*)(?:\\.([A-Z][A-Za-z0-9]*))?[^`]*`")

// exports gives what a package exports: its names, and under "Type.Name" the fields and
// methods of its types.
func exports(t *testing.T, dir string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	files, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has no files: %v", dir, err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil {
					names[d.Name.Name] = true
				} else {
					names[strings.TrimPrefix(types.ExprString(d.Recv.List[0].Type), "*")+"."+d.Name.Name] = true
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					exportSpec(names, spec)
				}
			}
		}
	}
	return names
}

func exportSpec(names map[string]bool, spec ast.Spec) {
	switch spec := spec.(type) {
	case *ast.ValueSpec:
		for _, id := range spec.Names {
			names[id.Name] = true
		}
	case *ast.TypeSpec:
		names[spec.Name.Name] = true
		var fields *ast.FieldList
		switch typ := spec.Type.(type) {
		case *ast.StructType:
			fields = typ.Fields
		case *ast.InterfaceType:
			fields = typ.Methods
		default:
			return
		}
		for _, f := range fields.List {
			for _, id := range f.Names {
				names[spec.Name.Name+"."+id.Name] = true
			}
		}
	}
}

// TestNamesExist: what the pages call by a package's name is there. An alias of the root
// has what it is an alias of.
func TestNamesExist(t *testing.T) {
	dirs := map[string]string{"replicator": ".", "cdc": "cdc", "store": "store", "progress": "progress"}
	drivers, err := os.ReadDir(filepath.Join(root, "drivers"))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range drivers {
		dirs[d.Name()] = "drivers/" + d.Name()
	}
	packages := map[string]map[string]bool{}
	for name, dir := range dirs {
		packages[name] = exports(t, dir)
	}
	for _, name := range slices.Sorted(maps.Keys(packages["cdc"])) {
		if typ, member, ok := strings.Cut(name, "."); ok && packages["replicator"][typ] {
			packages["replicator"][typ+"."+member] = true
		}
	}
	found := 0
	for _, p := range pages(t) {
		for i, line := range p.prose {
			for _, m := range qualified.FindAllStringSubmatch(line, -1) {
				name := m[2]
				if m[3] != "" {
					name += "." + m[3]
				}
				if m[1] == "r" {
					m[1], name = "replicator", "Replicator."+name
				}
				known, ok := packages[m[1]]
				if !ok {
					continue // of another library
				}
				found++
				if !known[name] {
					t.Errorf("%s:%d: there is no %s.%s", p.path, i+1, m[1], name)
				}
			}
		}
	}
	if found < 50 {
		t.Errorf("only %d names were found", found)
	}
}
