package replicator_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestHouseNamesAreExplained holds that every exported name of every package has a
// comment: its own, or that of the group it is declared in.
func TestHouseNamesAreExplained(t *testing.T) {
	for name, p := range house(t) {
		explained := false
		for _, file := range p.GoFiles {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, file), nil, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			explained = explained || f.Doc != nil
			for _, missing := range unexplained(f) {
				t.Errorf("%s/%s: %s has no comment", name, file, missing)
			}
		}
		if !explained && len(p.GoFiles) > 0 {
			t.Errorf("package %s has no comment", name)
		}
	}
}

// unexplained gives the exported names of a file that have no comment.
func unexplained(f *ast.File) (names []string) {
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && d.Doc == nil && (d.Recv == nil || ast.IsExported(receiverName(d.Recv.List[0].Type))) {
				names = append(names, d.Name.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.TypeSpec:
					if s.Name.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
						names = append(names, s.Name.Name)
					}
				case *ast.ValueSpec:
					for _, id := range s.Names {
						if id.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
							names = append(names, id.Name)
						}
					}
				}
			}
		}
	}
	return names
}

// receiverName gives the name of a method's type.
func receiverName(t ast.Expr) string {
	switch t := t.(type) {
	case *ast.StarExpr:
		return receiverName(t.X)
	case *ast.IndexExpr:
		return receiverName(t.X)
	case *ast.Ident:
		return t.Name
	}
	return ""
}

// TestExamplesAreShort holds that the main.go of an example can be read at one sitting:
// what it works on, and how it checks what it did, is in files beside it.
func TestExamplesAreShort(t *testing.T) {
	const lines = 120
	mains, err := filepath.Glob("examples/*/main.go")
	if err != nil || len(mains) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, main := range mains {
		text, err := os.ReadFile(main)
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(text, []byte("\n")); n >= lines {
			t.Errorf("%s has %d lines", main, n)
		}
		if head, _, _ := strings.Cut(string(text), "package main"); !strings.Contains(head, "go run ") {
			t.Errorf("%s does not say how it is run", main)
		}
	}
}
