package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// declared gives a sorted line for each exported name of the module's public packages.
func declared(root string) ([]string, error) {
	list := exec.Command("go", "list", "-json=ImportPath,Name,Dir,GoFiles", "./...")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		return nil, err
	}
	var all []string
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath, Name, Dir string
			GoFiles               []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		if p.Name == "main" || strings.Contains(p.ImportPath+"/", "/internal/") {
			continue
		}
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				return nil, err
			}
			for _, line := range exported(f) {
				all = append(all, p.ImportPath+": "+line)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// exported gives a line for each exported name of a file.
func exported(f *ast.File) (all []string) {
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && (d.Recv == nil || ast.IsExported(receiver(d.Recv.List[0].Type))) {
				all = append(all, source(&ast.FuncDecl{Recv: unnamed(d.Recv), Name: d.Name, Type: withoutNames(d.Type)}))
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					if spec.Name.IsExported() {
						all = append(all, typed(spec)...)
					}
				case *ast.ValueSpec:
					for _, name := range spec.Names {
						if name.IsExported() {
							all = append(all, strings.TrimSpace(d.Tok.String()+" "+name.Name+" "+source(spec.Type)))
						}
					}
				}
			}
		}
	}
	return all
}

// typed gives the lines of a type: one for each exported field of a struct, one for
// anything else.
func typed(spec *ast.TypeSpec) []string {
	name := "type " + spec.Name.Name + parameters(spec.TypeParams)
	switch t := spec.Type.(type) {
	case *ast.StructType:
		all := []string{name + " struct"}
		for _, field := range t.Fields.List {
			for _, each := range field.Names {
				if each.IsExported() {
					all = append(all, name+" struct, "+each.Name+" "+source(field.Type))
				}
			}
			if len(field.Names) == 0 && ast.IsExported(receiver(field.Type)) {
				all = append(all, name+" struct, embeds "+source(field.Type))
			}
		}
		return all
	case *ast.InterfaceType:
		var methods []string
		for _, m := range t.Methods.List {
			if signature, ok := m.Type.(*ast.FuncType); ok && len(m.Names) > 0 {
				methods = append(methods, m.Names[0].Name+strings.TrimPrefix(source(signature), "func"))
				continue
			}
			methods = append(methods, source(m.Type))
		}
		slices.Sort(methods)
		return []string{name + " interface{" + strings.Join(methods, "; ") + "}"}
	}
	if spec.Assign.IsValid() {
		name += " ="
	}
	return []string{name + " " + source(spec.Type)}
}

func parameters(of *ast.FieldList) string {
	if of == nil {
		return ""
	}
	var all []string
	for _, field := range of.List {
		for _, name := range field.Names {
			all = append(all, name.Name+" "+source(field.Type))
		}
	}
	return "[" + strings.Join(all, ", ") + "]"
}

// receiver gives the name of a type, without its pointer, package and parameters.
func receiver(t ast.Expr) string {
	switch t := t.(type) {
	case *ast.StarExpr:
		return receiver(t.X)
	case *ast.IndexExpr:
		return receiver(t.X)
	case *ast.SelectorExpr:
		return t.Sel.Name
	case *ast.Ident:
		return t.Name
	}
	return ""
}

// withoutNames gives a signature by its types alone: what parameters are called breaks
// nobody.
func withoutNames(t *ast.FuncType) *ast.FuncType {
	return &ast.FuncType{TypeParams: t.TypeParams, Params: unnamed(t.Params), Results: unnamed(t.Results)}
}

func unnamed(fields *ast.FieldList) *ast.FieldList {
	if fields == nil {
		return nil
	}
	out := &ast.FieldList{}
	for _, field := range fields.List {
		for range max(1, len(field.Names)) {
			out.List = append(out.List, &ast.Field{Type: field.Type})
		}
	}
	return out
}

// source prints a node in one line.
func source(node any) string {
	if e, ok := node.(ast.Expr); ok && e == nil || node == nil {
		return ""
	}
	if t, ok := node.(*ast.FuncType); ok {
		node = withoutNames(t)
	}
	var b strings.Builder
	// What was parsed prints.
	_ = (&printer.Config{Mode: printer.RawFormat}).Fprint(&b, token.NewFileSet(), node)
	return strings.Join(strings.Fields(b.String()), " ")
}
