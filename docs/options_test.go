package docs_test

import (
	"fmt"
	"go/ast"
	"go/constant"
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
	"time"
)

// option is a field of a struct of options, as the code or the page has it.
type option struct {
	name, typ string
	def       string // its default: `3`, `30 s`, `RefuseWrites`, `""`, or required
}

// source is a package as its files say it.
type source struct {
	structs map[string]*ast.StructType
	enums   map[string]string // the constant that is the zero value of a type
	consts  map[string]ast.Expr
	filled  map[string]ast.Expr // by "Type.Field", what withDefaults puts where zero stands
}

// read parses the files of a package, its tests left out.
func read(t *testing.T, dir string) source {
	t.Helper()
	s := source{structs: map[string]*ast.StructType{}, enums: map[string]string{}, consts: map[string]ast.Expr{}, filled: map[string]ast.Expr{}}
	files, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var fillers []*ast.FuncDecl
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.GenDecl:
				s.declare(d)
			case *ast.FuncDecl:
				if d.Name.Name == "withDefaults" && d.Recv != nil {
					fillers = append(fillers, d)
				}
			}
		}
	}
	for _, d := range fillers {
		s.fills(d)
	}
	return s
}

func (s source) declare(d *ast.GenDecl) {
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			if st, ok := spec.Type.(*ast.StructType); ok {
				s.structs[spec.Name.Name] = st
			}
		case *ast.ValueSpec:
			for i, name := range spec.Names {
				if d.Tok == token.CONST && i < len(spec.Values) {
					s.consts[name.Name] = spec.Values[i]
				}
			}
			// "RefuseWrites FullPolicy = iota" is the zero value of FullPolicy, and so is
			// "SyncAlways = Sync(journal.SyncAlways)" of Sync.
			if d.Tok != token.CONST || len(spec.Values) != 1 {
				continue
			}
			switch v := spec.Values[0].(type) {
			case *ast.BinaryExpr: // "iota + 1": zero is none of them
				if typ, ok := spec.Type.(*ast.Ident); ok {
					s.enums[typ.Name] = "0"
				}
			case *ast.Ident:
				if typ, ok := spec.Type.(*ast.Ident); ok && v.Name == "iota" {
					s.enums[typ.Name] = spec.Names[0].Name
				}
			case *ast.CallExpr:
				if typ, ok := v.Fun.(*ast.Ident); ok && s.enums[typ.Name] == "" {
					s.enums[typ.Name] = spec.Names[0].Name
				}
			}
		}
	}
}

// fills notes what a withDefaults puts where zero stands: cmp.Or(o.Field, value).
func (s source) fills(d *ast.FuncDecl) {
	owner := d.Recv.List[0].Type
	ast.Inspect(d.Body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || types.ExprString(call.Fun) != "cmp.Or" || len(call.Args) != 2 {
			return true
		}
		path := strings.Split(types.ExprString(call.Args[0]), ".")[1:] // without the receiver
		typ := types.ExprString(owner)
		for _, name := range path[:len(path)-1] {
			for _, f := range s.structs[typ].Fields.List {
				if f.Names[0].Name == name {
					typ = types.ExprString(f.Type)
				}
			}
		}
		s.filled[typ+"."+path[len(path)-1]] = call.Args[1]
		return true
	})
}

// reachable gives the structs of options of a package: those with the name of some, and
// what their fields hold.
func (s source) reachable() (names []string) {
	for _, name := range slices.Sorted(maps.Keys(s.structs)) {
		if ast.IsExported(name) && (strings.HasSuffix(name, "Options") || name == "Definition") {
			names = append(names, name)
		}
	}
	for i := 0; i < len(names); i++ {
		for _, f := range s.structs[names[i]].Fields.List {
			typ := regexp.MustCompile(`^(\[\]|\*|map\[string\])*`).ReplaceAllString(types.ExprString(f.Type), "")
			if st, ok := s.structs[typ]; ok && !slices.Contains(names, typ) && len(exported(st)) > 0 {
				names = append(names, typ)
			}
		}
	}
	return names
}

// exported gives the fields that a caller can set.
func exported(st *ast.StructType) (fields []*ast.Field) {
	for _, f := range st.Fields.List {
		if slices.ContainsFunc(f.Names, (*ast.Ident).IsExported) {
			fields = append(fields, f)
		}
	}
	return fields
}

// options gives those of a struct, as the code has them.
func (s source) options(t *testing.T, name string) (all []option) {
	for _, f := range exported(s.structs[name]) {
		for _, id := range f.Names {
			o := option{name: id.Name, typ: types.ExprString(f.Type)}
			if strings.HasPrefix(o.typ, "func(") {
				o.typ = "func"
			}
			switch filler := s.filled[name+"."+id.Name]; {
			case filler != nil:
				o.def = s.value(t, filler, o.typ)
			case mandatory.MatchString(f.Doc.Text() + f.Comment.Text()):
				o.def = "required"
			default:
				o.def = s.zero(o.typ)
			}
			all = append(all, o)
		}
	}
	return all
}

// mandatory is what a field's comment says if it has no default.
var mandatory = regexp.MustCompile(`Required|At least one\.`)

// zero gives the zero value of a type, as the page writes it.
func (s source) zero(typ string) string {
	switch {
	case typ == "string":
		return `""`
	case s.enums[typ] != "":
		return s.enums[typ]
	case typ == "bool":
		return "false"
	case slices.Contains([]string{"int", "int64", "float64", "time.Duration", "Op"}, typ):
		return "0"
	case s.structs[typ] != nil:
		return "{}"
	}
	return "nil"
}

// units are what a constant's expression may name of other packages.
var units = strings.NewReplacer("time.Hour", "3600000000000", "time.Minute", "60000000000", "time.Second", "1000000000",
	"time.Millisecond", "1000000", "http.MethodPost", `"POST"`, "cdc.DefaultConcurrency", "8", "cdc.DefaultItems", "100", "cdc.DefaultBytes", "1<<20")

// value gives a default as the page writes it.
func (s source) value(t *testing.T, e ast.Expr, typ string) string {
	t.Helper()
	for id, ok := e.(*ast.Ident); ok && s.consts[id.Name] != nil; id, ok = e.(*ast.Ident) {
		e = s.consts[id.Name]
	}
	text := units.Replace(types.ExprString(e))
	v, err := types.Eval(token.NewFileSet(), nil, token.NoPos, text)
	if err != nil || v.Value == nil {
		t.Fatalf("the default %s can't be evaluated: %v", types.ExprString(e), err)
	}
	if typ == "time.Duration" {
		n, _ := constant.Int64Val(v.Value)
		return duration(time.Duration(n))
	}
	return v.Value.ExactString()
}

// duration writes a default as people read it: "30 s", "30 days".
func duration(d time.Duration) string {
	switch {
	case d%(24*time.Hour) == 0:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	case d%time.Minute == 0:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d%time.Second == 0:
		return fmt.Sprintf("%d s", d/time.Second)
	}
	return d.String()
}

var (
	ofType = regexp.MustCompile("^#+ `([a-z0-9]+\\.[A-Za-z]+)`")
	ofRow  = regexp.MustCompile("^\\| `([A-Za-z]+)` \\| `([^`]+)` \\| (?:`([^`]*)`|(required))")
)

// written gives the options that the page has, by their struct.
func written(t *testing.T, page string) map[string][]option {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	all, of := map[string][]option{}, ""
	for line := range strings.Lines(string(text)) {
		if m := ofType.FindStringSubmatch(line); m != nil {
			of = m[1]
			all[of] = []option{}
		} else if m := ofRow.FindStringSubmatch(line); m != nil {
			all[of] = append(all[of], option{name: m[1], typ: strings.ReplaceAll(m[2], `\|`, "|"), def: m[3] + m[4]})
		}
	}
	return all
}

// TestOptionsPage: every option of every package is on the page, with its type and its
// default, and nothing else is.
func TestOptionsPage(t *testing.T) {
	page := written(t, "options.md")
	drivers, err := filepath.Glob(filepath.Join(root, "drivers", "*"))
	if err != nil {
		t.Fatal(err)
	}
	dirs := []string{".", "store"}
	for _, d := range drivers {
		dirs = append(dirs, "drivers/"+filepath.Base(d))
	}
	code := map[string][]option{}
	for _, dir := range dirs {
		pkg := filepath.Base(dir)
		if dir == "." {
			pkg = "replicator"
		}
		s := read(t, dir)
		for _, name := range s.reachable() {
			code[pkg+"."+name] = s.options(t, name)
		}
	}
	if len(code["replicator.Options"]) < 15 {
		t.Fatalf("only %d options of replicator.Options were found", len(code["replicator.Options"]))
	}
	for _, name := range slices.Sorted(maps.Keys(code)) {
		for _, o := range code[name] {
			i := slices.IndexFunc(page[name], func(w option) bool { return w.name == o.name })
			if i < 0 {
				t.Errorf("%s.%s is not on the page: | `%s` | `%s` | `%s` |", name, o.name, o.name, o.typ, o.def)
			} else if w := page[name][i]; w != o {
				t.Errorf("%s.%s: the page has | `%s` | `%s` |, the code | `%s` | `%s` |", name, o.name, w.typ, w.def, o.typ, o.def)
			}
		}
		if len(page[name]) > len(code[name]) {
			t.Errorf("%s has %d options, the page %d", name, len(code[name]), len(page[name]))
		}
	}
	for name := range page {
		if code[name] == nil {
			t.Errorf("there is no %s", name)
		}
	}
}
