package main

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// selection is a parsed query. This is all that is known:
//
//	SELECT * [EXCEPT (column, …)] | column [AS name], … | COUNT(*) [AS name]
//	FROM `project.dataset.table`
//	[WHERE condition]
//	[QUALIFY ROW_NUMBER() OVER (PARTITION BY column, … [ORDER BY column [DESC], …]) = 1]
//	[ORDER BY column [ASC | DESC], …] [LIMIT n]
//
// A condition compares columns with columns, literals (numbers, strings, TRUE, FALSE,
// and DATE, TIMESTAMP, DATETIME, TIME, NUMERIC or BIGNUMERIC before a string) and
// @parameters by = != <> < <= > >= and IS [NOT] NULL, joined by AND, OR, NOT and
// parentheses.
type selection struct {
	star    bool
	except  []string
	count   bool
	items   []item
	from    []string
	where   *expression
	first   *window
	orderBy []order
	limit   int // -1 for none
}

// item is a selected column. as is its name in the result.
type item struct{ column, as string }

type order struct {
	column string
	desc   bool
}

// window says of which rows the first is kept.
type window struct {
	partition []string
	orderBy   []order
}

// expression is a node of a condition: op is a comparison, AND, OR, NOT, NULL (for IS
// NULL), or the kind of a leaf: column, parameter, or the type of a literal.
type expression struct {
	op   string
	text string
	args []expression
}

var tokenForm = regexp.MustCompile("(?s)^(?:\\s+|--[^\\n]*\\n?|(`[^`]+`)|('(?:[^'\\\\]|\\\\.)*'|\"(?:[^\"\\\\]|\\\\.)*\")|([A-Za-z_][A-Za-z0-9_]*|@[A-Za-z_][A-Za-z0-9_]*|[0-9]+(?:\\.[0-9]+)?|<=|>=|!=|<>|[-=<>(),.*;]))")

// parser reads tokens from the left. The first that does not fit is its error.
type parser struct {
	tokens []string
	err    error
}

func parseSelect(sql string) (*selection, error) {
	p := &parser{}
	for rest := sql; rest != ""; {
		m := tokenForm.FindStringSubmatch(rest)
		if m == nil {
			return nil, invalidQuery("Syntax error, or SQL that the stand-in does not know, at %.40q", rest)
		}
		if t := m[1] + m[2] + m[3]; t != "" {
			p.tokens = append(p.tokens, t)
		}
		rest = rest[len(m[0]):]
	}
	s := p.selection()
	if p.accept(";"); p.err == nil && len(p.tokens) > 0 {
		p.fail()
	}
	return s, p.err
}

func (p *parser) fail() {
	if p.err == nil {
		p.err = invalidQuery("Syntax error, or SQL that the stand-in does not know, at %.40q", strings.Join(p.tokens, " "))
	}
	p.tokens = nil
}

func (p *parser) is(word string) bool {
	return len(p.tokens) > 0 && strings.EqualFold(p.tokens[0], word)
}

// accept takes a sequence of words if they come next.
func (p *parser) accept(words ...string) bool {
	for i, word := range words {
		if i >= len(p.tokens) || !strings.EqualFold(p.tokens[i], word) {
			return false
		}
	}
	p.tokens = p.tokens[len(words):]
	return true
}

func (p *parser) expect(words ...string) {
	if !p.accept(words...) {
		p.fail()
	}
}

func (p *parser) next() string {
	if len(p.tokens) == 0 {
		p.fail()
		return ""
	}
	t := p.tokens[0]
	p.tokens = p.tokens[1:]
	return t
}

// keywords are the words that can't be a name without backticks, as far as they are
// part of what is known here.
var keywords = []string{"SELECT", "FROM", "WHERE", "QUALIFY", "ORDER", "BY", "LIMIT", "AND", "OR", "NOT", "IS", "NULL", "AS",
	"EXCEPT", "TRUE", "FALSE", "OVER", "PARTITION", "ASC", "DESC", "GROUP", "HAVING", "JOIN", "UNION", "IN", "LIKE", "BETWEEN", "CASE", "CAST", "DISTINCT"}

func (p *parser) name() string {
	t := p.next()
	if strings.HasPrefix(t, "`") {
		return strings.Trim(t, "`")
	}
	if !columnName.MatchString(t) || slices.Contains(keywords, strings.ToUpper(t)) {
		p.tokens = append([]string{t}, p.tokens...)
		p.fail()
	}
	return t
}

func (p *parser) names() []string {
	list := []string{p.name()}
	for p.accept(",") {
		list = append(list, p.name())
	}
	return list
}

func (p *parser) selection() *selection {
	s := &selection{limit: -1}
	p.expect("SELECT")
	switch {
	case p.accept("*"):
		s.star = true
		if p.accept("EXCEPT", "(") {
			s.except = p.names()
			p.expect(")")
		}
	case p.accept("COUNT", "(", "*", ")"):
		s.count = true
		s.items = []item{{as: "f0_"}}
		if p.accept("AS") {
			s.items[0].as = p.name()
		}
	default:
		for more := true; more && p.err == nil; more = p.accept(",") {
			name := p.name()
			s.items = append(s.items, item{name, name})
			if p.accept("AS") {
				s.items[len(s.items)-1].as = p.name()
			}
		}
	}
	p.expect("FROM")
	s.from = strings.Split(p.name(), ".")
	for p.accept(".") {
		s.from = append(s.from, strings.Split(p.name(), ".")...)
	}
	if p.accept("WHERE") {
		s.where = new(p.or())
	}
	if p.accept("QUALIFY") {
		s.first = p.window()
	}
	s.orderBy = p.orderBy()
	if p.accept("LIMIT") {
		n, err := strconv.Atoi(p.next())
		if err != nil {
			p.fail()
		}
		s.limit = n
	}
	return s
}

func (p *parser) window() *window {
	p.expect("ROW_NUMBER", "(", ")", "OVER", "(", "PARTITION", "BY")
	w := &window{partition: p.names()}
	w.orderBy = p.orderBy()
	p.expect(")", "=", "1")
	return w
}

func (p *parser) orderBy() []order {
	if !p.accept("ORDER", "BY") {
		return nil
	}
	var list []order
	for more := true; more && p.err == nil; more = p.accept(",") {
		o := order{column: p.name()}
		if o.desc = p.accept("DESC"); !o.desc {
			p.accept("ASC")
		}
		list = append(list, o)
	}
	return list
}

func (p *parser) or() expression {
	e := p.and()
	for p.accept("OR") {
		e = expression{op: "OR", args: []expression{e, p.and()}}
	}
	return e
}

func (p *parser) and() expression {
	e := p.not()
	for p.accept("AND") {
		e = expression{op: "AND", args: []expression{e, p.not()}}
	}
	return e
}

func (p *parser) not() expression {
	if p.accept("NOT") {
		return expression{op: "NOT", args: []expression{p.not()}}
	}
	if p.accept("(") {
		e := p.or()
		p.expect(")")
		return e
	}
	return p.comparison()
}

func (p *parser) comparison() expression {
	left := p.operand()
	switch {
	case p.accept("IS", "NULL"):
		return expression{op: "NULL", args: []expression{left}}
	case p.accept("IS", "NOT", "NULL"):
		return expression{op: "NOT", args: []expression{{op: "NULL", args: []expression{left}}}}
	}
	for _, op := range []string{"=", "!=", "<>", "<=", ">=", "<", ">"} {
		if p.accept(op) {
			return expression{op: op, args: []expression{left, p.operand()}}
		}
	}
	return left // a BOOLEAN by itself
}

func (p *parser) operand() expression {
	for _, typ := range []string{"DATE", "TIMESTAMP", "DATETIME", "TIME", "NUMERIC", "BIGNUMERIC"} {
		if p.is(typ) && len(p.tokens) > 1 && strings.ContainsAny(p.tokens[1][:1], `'"`) {
			p.next()
			return expression{op: typ, text: p.unquoted()}
		}
	}
	switch {
	case p.is("TRUE"), p.is("FALSE"):
		return expression{op: "BOOLEAN", text: strings.ToLower(p.next())}
	case p.accept("-"):
		return number("-" + p.next())
	case len(p.tokens) == 0:
		p.fail()
		return expression{}
	}
	switch first := p.tokens[0][0]; {
	case first == '\'', first == '"':
		return expression{op: "STRING", text: p.unquoted()}
	case first == '@':
		return expression{op: "parameter", text: p.next()[1:]}
	case first >= '0' && first <= '9':
		return number(p.next())
	}
	return expression{op: "column", text: p.name()}
}

func number(text string) expression {
	if strings.Contains(text, ".") {
		return expression{op: "FLOAT", text: text}
	}
	return expression{op: "INTEGER", text: text}
}

// unquoted reads a string literal. Of escapes, those are known that mean the character
// itself.
func (p *parser) unquoted() string {
	t := p.next()
	var b strings.Builder
	for i := 1; i < len(t)-1; i++ {
		if t[i] == '\\' {
			if i++; !strings.ContainsRune("\\'\"`?", rune(t[i])) {
				p.fail()
			}
		}
		b.WriteByte(t[i])
	}
	return b.String()
}
