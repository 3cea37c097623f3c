package main

import (
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
)

const sample = `package sample

import "context"

// A comment is not part of it.
type Options struct {
	Name, Place string // neither is this
	Filter      func(c int) bool
	hidden      int
	context.Context
}

type Driver interface {
	Name() string
	Apply(ctx context.Context, batch []int) (done int, err error)
}

type Alias = Options
type Set[K comparable] map[K]bool

const (
	First Kind = iota
	Second
	third
)

var Zero, one int

func New(opts Options, more ...int) (*Options, error) { return nil, nil }
func (o *Options) Close() error                       { return nil }
func (o *Options) close()                             {}
func (h hidden) Close() error                         { return nil }
func (s Set[K]) Has(k K) bool                         { return s[k] }
func help()                                           {}
`

func TestExported(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "sample.go", sample, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"type Options struct",
		"type Options struct, Name string",
		"type Options struct, Place string",
		"type Options struct, Filter func(int) bool",
		"type Options struct, embeds context.Context",
		"type Driver interface{Apply(context.Context, []int) (int, error); Name() string}",
		"type Alias = Options",
		"type Set[K comparable] map[K]bool",
		"const First Kind",
		"const Second",
		"var Zero int",
		"func New(Options, ...int) (*Options, error)",
		"func (*Options) Close() error",
		"func (Set[K]) Has(K) bool",
	}
	if got := exported(f); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestCompare(t *testing.T) {
	broken, added := compare([]string{"func A()", "func B()"}, []string{"func A()", "func B(int)", "func C()"})
	if !slices.Equal(broken, []string{"- func B()"}) || !slices.Equal(added, []string{"+ func B(int)", "+ func C()"}) {
		t.Errorf("broken %q, added %q", broken, added)
	}
}
