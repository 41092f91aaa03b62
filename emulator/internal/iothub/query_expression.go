package iothub

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// truth is the value of a condition: one on a property that is not there, or on values of different types, is neither true nor false,
// and so is its negation.
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

// expression is a condition on a twin, which is what its JSON decodes to.
type expression func(twin map[string]any) truth

// operand is a property or a constant; ok is false for a property that is not there.
type operand func(twin map[string]any) (value any, ok bool)

func (p *queryParser) or() (expression, error) {
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

func (p *queryParser) and() (expression, error) {
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

// chain reads operands joined by a keyword.
func (p *queryParser) chain(keyword string, operand func(*queryParser) (expression, error), join func(a, b truth) truth) (expression, error) {
	left, err := operand(p)
	for err == nil && p.is(keyword) {
		p.take()
		var right expression
		if right, err = operand(p); err == nil {
			before := left
			left = func(twin map[string]any) truth { return join(before(twin), right(twin)) }
		}
	}
	return left, err
}

func (p *queryParser) not() (expression, error) {
	if p.depth++; p.depth > maxNesting {
		return nil, fmt.Errorf("it is nested deeper than %d", maxNesting)
	}
	defer func() { p.depth-- }()
	if p.is("NOT") {
		p.take()
		inner, err := p.not()
		if err != nil {
			return nil, err
		}
		return func(twin map[string]any) truth {
			switch inner(twin) {
			case yes:
				return no
			case no:
				return yes
			}
			return unknown
		}, nil
	}
	if p.is("(") {
		p.take()
		inner, err := p.or()
		if err != nil {
			return nil, err
		}
		return inner, p.keyword(")")
	}
	return p.condition()
}

// condition reads a comparison, a list or a function.
func (p *queryParser) condition() (expression, error) {
	if t := p.peek(); t.kind == wordToken && p.tokens[1].text == "(" && p.tokens[1].kind == symbolToken {
		return p.function()
	}
	left, err := p.operand()
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
	op := p.take()
	if op.kind != symbolToken || !slices.Contains([]string{"=", "!=", "<>", "<", ">", "<=", ">="}, op.text) {
		return nil, fmt.Errorf("a comparison is expected, not %q", op.text)
	}
	right, err := p.operand()
	if err != nil {
		return nil, err
	}
	return func(twin map[string]any) truth {
		a, there := left(twin)
		b, too := right(twin)
		if !there || !too {
			return unknown
		}
		return compare(op.text, a, b)
	}, nil
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

// of finds a property. Names at the root compare without regard to letter case.
func (at path) of(twin map[string]any) (any, bool) {
	var value any = twin
	for i, name := range at {
		members, ok := value.(map[string]any)
		if !ok {
			return nil, false
		}
		if value, ok = members[name]; !ok && i == 0 {
			for other := range members {
				if strings.EqualFold(other, name) {
					value, ok = members[other], true
				}
			}
		}
		if !ok {
			return nil, false
		}
	}
	return value, true
}

// list reads the constants of IN, in brackets or parentheses.
func (p *queryParser) list(left operand, negate bool) (expression, error) {
	closing := "]"
	if p.is("(") {
		closing = ")"
	} else if !p.is("[") {
		return nil, fmt.Errorf("a list in brackets is expected, not %q", p.peek().text)
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
	return func(twin map[string]any) truth {
		value, ok := left(twin)
		if !ok {
			return unknown
		}
		found := slices.ContainsFunc(values, func(v any) bool { return compare("=", value, v) == yes })
		return truthOf(found != negate)
	}, p.keyword(closing)
}

// compare compares two values of one type. Null is equal to itself alone, and is neither less nor greater than anything.
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

// typeTests are the functions on one property, stringTests those on two strings.
var (
	typeTests = map[string]func(value any, there bool) bool{
		"IS_DEFINED": func(_ any, there bool) bool { return there },
		"IS_NULL":    func(v any, there bool) bool { return there && v == nil },
		"IS_BOOL":    func(v any, _ bool) bool { _, ok := v.(bool); return ok },
		"IS_NUMBER":  func(v any, _ bool) bool { _, ok := v.(json.Number); return ok },
		"IS_STRING":  func(v any, _ bool) bool { _, ok := v.(string); return ok },
		"IS_OBJECT":  func(v any, _ bool) bool { _, ok := v.(map[string]any); return ok },
		"IS_ARRAY":   func(v any, _ bool) bool { _, ok := v.([]any); return ok },
		"IS_PRIMITIVE": func(v any, there bool) bool {
			_, object := v.(map[string]any)
			_, array := v.([]any)
			return there && !object && !array
		},
	}
	stringTests = map[string]func(text, part string) bool{
		"STARTSWITH": strings.HasPrefix, "STARTS_WITH": strings.HasPrefix, "ENDSWITH": strings.HasSuffix, "ENDS_WITH": strings.HasSuffix,
		"CONTAINS": strings.Contains,
	}
)

func (p *queryParser) function() (expression, error) {
	name := strings.ToUpper(p.take().text)
	p.take() // the parenthesis
	oneTest, ofType := typeTests[name]
	twoTest, ofStrings := stringTests[name]
	if !ofType && !ofStrings {
		return nil, fmt.Errorf("the function %s is not known to the emulator", name)
	}
	left, err := p.operand()
	if err != nil {
		return nil, err
	}
	if ofType {
		return func(twin map[string]any) truth { return truthOf(oneTest(left(twin))) }, p.keyword(")")
	}
	if err := p.keyword(","); err != nil {
		return nil, err
	}
	right, err := p.operand()
	if err != nil {
		return nil, err
	}
	return func(twin map[string]any) truth {
		a, _ := left(twin)
		b, _ := right(twin)
		text, isText := a.(string)
		part, too := b.(string)
		if !isText || !too {
			return unknown
		}
		return truthOf(twoTest(text, part))
	}, p.keyword(")")
}
