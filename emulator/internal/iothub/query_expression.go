package iothub

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// truth is the value of a condition. A condition on a missing property, or on values of different types, is neither
// true nor false, and neither is its negation.
type truth int

const (
	unknown truth = iota
	no
	yes
)

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

// expression is a condition on a twin's decoded JSON.
type expression func(twin map[string]any) truth

// operand is a property, a constant, or an expression of them. ok is false if a property is missing.
type operand func(twin map[string]any) (value any, ok bool)

// condition converts an operand for WHERE and the logical operators: values other than true and false are neither.
func (o operand) condition() expression {
	return func(twin map[string]any) truth {
		if value, there := o(twin); there {
			if b, ok := value.(bool); ok {
				return truthOf(b)
			}
		}
		return unknown
	}
}

// value converts a condition to an operand, which is missing if the condition is neither true nor false.
func (e expression) value(twin map[string]any) (any, bool) {
	t := e(twin)
	return t == yes, t != unknown
}

// or parses an expression, starting with the operator of lowest precedence.
func (p *queryParser) or() (operand, error) {
	return p.chain("OR", (*queryParser).and, func(a, b truth) truth {
		switch {
		case a == yes || b == yes:
			return yes
		case a == unknown || b == unknown:
			return unknown
		}
		return no
	})
}

func (p *queryParser) and() (operand, error) {
	return p.chain("AND", (*queryParser).not, func(a, b truth) truth {
		switch {
		case a == no || b == no:
			return no
		case a == unknown || b == unknown:
			return unknown
		}
		return yes
	})
}

// chain parses conditions joined by a keyword.
func (p *queryParser) chain(keyword string, next func(*queryParser) (operand, error),
	join func(a, b truth) truth) (operand, error) {
	left, err := next(p)
	for err == nil && p.is(keyword) {
		p.take()
		var right operand
		if right, err = next(p); err == nil {
			before, after := left.condition(), right.condition()
			left = expression(func(twin map[string]any) truth { return join(before(twin), after(twin)) }).value
		}
	}
	return left, err
}

func (p *queryParser) not() (operand, error) {
	if p.depth++; p.depth > maxNesting {
		return nil, fmt.Errorf("it is nested deeper than %d", maxNesting)
	}
	defer func() { p.depth-- }()
	if !p.is("NOT") {
		return p.comparison()
	}
	p.take()
	inner, err := p.not()
	if err != nil {
		return nil, err
	}
	condition := inner.condition()
	return expression(func(twin map[string]any) truth {
		switch condition(twin) {
		case yes:
			return no
		case no:
			return yes
		}
		return unknown
	}).value, nil
}

// comparison parses a comparison, a list, or a single value, such as a property that is true or false.
func (p *queryParser) comparison() (operand, error) {
	left, err := p.sum()
	if err != nil {
		return nil, err
	}
	switch {
	case p.is("IN"), p.is("NIN"):
		return p.list(left, strings.EqualFold(p.take().text, "NIN"))
	case p.is("NOT") && strings.EqualFold(p.tokens[1].text, "IN"):
		p.take()
		p.take()
		return p.list(left, true)
	}
	op := p.peek()
	if op.kind != symbolToken || !slices.Contains([]string{"=", "!=", "<>", "<", ">", "<=", ">="}, op.text) {
		return left, nil
	}
	p.take()
	right, err := p.sum()
	if err != nil {
		return nil, err
	}
	return expression(func(twin map[string]any) truth {
		a, there := left(twin)
		b, too := right(twin)
		if !there || !too {
			return unknown
		}
		return compare(op.text, a, b)
	}).value, nil
}

// factor parses a single operand: a literal, a property, a function or an expression in parentheses.
func (p *queryParser) factor() (operand, error) {
	if p.is("(") {
		p.take()
		inner, err := p.or()
		if err != nil {
			return nil, err
		}
		return inner, p.keyword(")")
	}
	if t := p.peek(); t.kind == wordToken && p.tokens[1].text == "(" && p.tokens[1].kind == symbolToken {
		return p.function()
	}
	return p.operand()
}

func (p *queryParser) operand() (operand, error) {
	t := p.peek()
	isWord := t.kind == wordToken
	for _, constant := range []string{"true", "false", "null"} {
		isWord = isWord && !strings.EqualFold(t.text, constant)
	}
	if isWord {
		at, err := p.path()
		return at.of, err
	}
	value, err := p.literal()
	return func(map[string]any) (any, bool) { return value, true }, err
}

// list parses the constants of IN, in brackets or parentheses.
func (p *queryParser) list(left operand, negate bool) (operand, error) {
	closing := "]"
	if p.is("(") {
		closing = ")"
	} else if !p.is("[") {
		return nil, fmt.Errorf("expected a list in brackets, got %q", p.peek().text)
	}
	p.take()
	var values []any
	for {
		value, err := p.literal()
		if err != nil {
			return nil, err
		}
		values = append(values, value)
		if !p.is(",") {
			break
		}
		p.take()
	}
	return func(twin map[string]any) (any, bool) {
		value, ok := left(twin)
		found := slices.ContainsFunc(values, func(v any) bool { return compare("=", value, v) == yes })
		return found != negate, ok
	}, p.keyword(closing)
}

// compare compares two values of one type. Null equals only itself and has no order.
func compare(op string, a, b any) truth {
	if a == nil || b == nil {
		switch op {
		case "=":
			return truthOf(a == b)
		case "!=", "<>":
			return truthOf(a != b)
		}
		return unknown
	}
	var order int
	switch x := a.(type) {
	case string:
		y, ok := b.(string)
		if !ok {
			return unknown
		}
		order = strings.Compare(x, y)
	case json.Number:
		y, ok := b.(json.Number)
		if !ok {
			return unknown
		}
		order = cmp.Compare(number(x), number(y))
	case bool:
		y, ok := b.(bool)
		if !ok || op != "=" && op != "!=" && op != "<>" {
			return unknown
		}
		order = int(truthOf(x)) - int(truthOf(y))
	default:
		return unknown
	}
	switch op {
	case "=":
		return truthOf(order == 0)
	case "!=", "<>":
		return truthOf(order != 0)
	case "<":
		return truthOf(order < 0)
	case "<=":
		return truthOf(order <= 0)
	case ">":
		return truthOf(order > 0)
	}
	return truthOf(order >= 0)
}
