package iothub

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// The supported part of IoT Hub's query language: SELECT [TOP n] * | paths | aggregates, FROM devices, WHERE with
// comparisons, AND, OR, NOT, IN, NIN, arithmetic, parentheses and the type and string functions, GROUP BY. Source:
// "IoT Hub query language for device and module twins". Fidelity: no arithmetic in columns, no JOIN; jobs and modules
// are sources without rows. That a comparison of values of different types is neither true nor false is unsure.

// maxQuery is the size in bytes of the longest query; maxNesting is the greatest depth of parentheses and NOTs.
const (
	maxQuery   = 64 << 10
	maxNesting = 100
)

// twinQuery is a parsed query.
type twinQuery struct {
	// columns are empty for SELECT *.
	columns []column
	// top is the largest number of rows; zero means all.
	top int
	// empty: the source has no rows.
	empty bool
	where expression // nil without WHERE
	// grouped: each row stands for the twins with equal groupBy values, or for all twins.
	grouped bool
	groupBy []path
}

// column is a property, or an aggregate: of the property, or of the twin itself if path is nil.
type column struct {
	path      path
	aggregate string
	name      string
}

// token kinds.
const (
	wordToken = iota
	numberToken
	stringToken
	symbolToken
	endToken
)

type queryToken struct {
	kind int
	text string
}

var (
	queryWord   = regexp.MustCompile(`^[A-Za-z_$][A-Za-z0-9_$-]*`)
	queryHex    = regexp.MustCompile(`^0[xX][0-9a-fA-F]+`)
	queryNumber = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?`)
	querySymbol = regexp.MustCompile(`^(!=|<>|<=|>=|[=<>().,*/%+\[\]-])`)
)

// tokens splits a query. Numbers are decimal, or hexadecimal after 0x.
func tokens(text string) ([]queryToken, error) {
	var out []queryToken
	for rest := strings.TrimLeft(text, " \t\r\n"); rest != ""; rest = strings.TrimLeft(rest, " \t\r\n") {
		var t queryToken
		switch c := rest[0]; {
		case c == '\'' || c == '"':
			value, size, err := quoted(rest)
			if err != nil {
				return nil, err
			}
			out, rest = append(out, queryToken{stringToken, value}), rest[size:]
			continue
		case queryHex.MatchString(rest):
			digits := queryHex.FindString(rest)
			n, err := strconv.ParseUint(digits[2:], 16, 64)
			if err != nil {
				return nil, fmt.Errorf("the number %s is too large", first(digits, 20))
			}
			out, rest = append(out, queryToken{numberToken, strconv.FormatUint(n, 10)}), rest[len(digits):]
			continue
		case queryNumber.MatchString(rest):
			t = queryToken{numberToken, queryNumber.FindString(rest)}
		case queryWord.MatchString(rest):
			t = queryToken{wordToken, queryWord.FindString(rest)}
		case querySymbol.MatchString(rest):
			t = queryToken{symbolToken, querySymbol.FindString(rest)}
		default:
			return nil, fmt.Errorf("unexpected character %q", first(rest, 20))
		}
		out, rest = append(out, t), rest[len(t.text):]
	}
	return append(out, queryToken{endToken, "the end"}), nil
}

func first(text string, n int) string { return text[:min(n, len(text))] }

// queryParser reads tokens; the last one is the end.
type queryParser struct {
	tokens []queryToken
	depth  int
	// alias is the name of the source, for example d in "FROM devices d". source is the number of its tokens from
	// FROM on, without the alias.
	alias  string
	source int
}

// parseQuery parses a query.
func parseQuery(text string) (twinQuery, error) {
	var q twinQuery
	if len(text) > maxQuery {
		return q, fmt.Errorf("it is longer than %d bytes", maxQuery)
	}
	all, err := tokens(text)
	if err != nil {
		return q, err
	}
	p := &queryParser{tokens: all}
	if err := p.findSource(); err != nil {
		return q, err
	}
	q.empty = p.source > 2
	if err := p.keyword("SELECT"); err != nil {
		return q, err
	}
	if q.top, err = p.top(); err != nil {
		return q, err
	}
	if q.columns, err = p.columns(); err != nil {
		return q, err
	}
	for range p.sourceLength() {
		p.take()
	}
	if p.is("WHERE") {
		p.take()
		condition, err := p.or()
		if err != nil {
			return q, err
		}
		q.where = condition.condition()
	}
	if err := p.group(&q); err != nil {
		return q, err
	}
	if t := p.peek(); t.kind != endToken {
		return q, fmt.Errorf("unexpected %q", t.text)
	}
	return q, nil
}

// findSource checks FROM. It comes first because the columns before it refer to its alias.
func (p *queryParser) findSource() error {
	for i, t := range p.tokens {
		if t.kind != wordToken || !strings.EqualFold(t.text, "FROM") || i > 0 && p.tokens[i-1].text == "." {
			continue
		}
		if source := p.tokens[i+1]; !strings.EqualFold(source.text, "devices") || source.kind != wordToken {
			return fmt.Errorf("the emulator can query devices, devices.modules and devices.jobs, not %s", source.text)
		}
		p.source = 2
		if p.tokens[i+2].text == "." && p.tokens[i+2].kind == symbolToken {
			if part := strings.ToLower(p.tokens[i+3].text); part != "modules" && part != "jobs" {
				return fmt.Errorf("the emulator can query devices, devices.modules and devices.jobs, not devices.%s",
					part)
			}
			p.source = 4
		}
		next := p.tokens[i+p.source]
		if next.kind == wordToken && strings.EqualFold(next.text, "AS") {
			next = p.tokens[i+p.source+1]
		}
		if next.kind == wordToken && !strings.EqualFold(next.text, "WHERE") && !strings.EqualFold(next.text, "GROUP") &&
			!strings.EqualFold(next.text, "JOIN") {
			p.alias = next.text
		}
		return nil
	}
	return fmt.Errorf("FROM devices is missing")
}

// sourceLength returns the number of tokens of the source: FROM devices, and its alias.
func (p *queryParser) sourceLength() int {
	switch {
	case p.alias == "":
		return p.source
	case strings.EqualFold(p.tokens[p.source].text, "AS"):
		return p.source + 2
	}
	return p.source + 1
}

func (p *queryParser) peek() queryToken { return p.tokens[0] }

func (p *queryParser) take() queryToken {
	t := p.tokens[0]
	if t.kind != endToken {
		p.tokens = p.tokens[1:]
	}
	return t
}

// is reports whether the next token is that keyword or symbol.
func (p *queryParser) is(text string) bool {
	t := p.peek()
	return (t.kind == wordToken || t.kind == symbolToken) && strings.EqualFold(t.text, text)
}

func (p *queryParser) keyword(text string) error {
	if !p.is(text) {
		return fmt.Errorf("expected %s, got %q", text, p.peek().text)
	}
	p.take()
	return nil
}

func (p *queryParser) expectFrom() error {
	if !p.is("FROM") {
		return fmt.Errorf("expected FROM, got %q", p.peek().text)
	}
	return nil
}

// literal parses a constant.
func (p *queryParser) literal() (any, error) {
	switch t := p.take(); {
	case t.kind == symbolToken && t.text == "-" && p.peek().kind == numberToken:
		return json.Number("-" + p.take().text), nil
	case t.kind == stringToken:
		return t.text, nil
	case t.kind == numberToken:
		return json.Number(t.text), nil
	case t.kind == wordToken && strings.EqualFold(t.text, "true"):
		return true, nil
	case t.kind == wordToken && strings.EqualFold(t.text, "false"):
		return false, nil
	case t.kind == wordToken && strings.EqualFold(t.text, "null"):
		return nil, nil
	default:
		return nil, fmt.Errorf("expected a constant, got %q", t.text)
	}
}
