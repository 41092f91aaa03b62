package iothub

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// top parses an optional TOP n; it returns zero without one.
func (p *queryParser) top() (int, error) {
	if !p.is("TOP") || p.tokens[1].kind != numberToken {
		return 0, nil
	}
	p.take()
	t := p.take()
	n, err := strconv.Atoi(t.text)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("TOP needs a positive number, not %s", t.text)
	}
	return n, nil
}

// columns parses the selected columns. None means all.
func (p *queryParser) columns() (columns []column, err error) {
	if p.is("*") {
		p.take()
		return nil, p.expectFrom()
	}
	unnamed := 0
	for {
		c, err := p.column()
		if err != nil {
			return nil, err
		}
		if c.name == "" {
			unnamed++
			c.name = "$" + strconv.Itoa(unnamed)
		}
		columns = append(columns, c)
		if !p.is(",") {
			return columns, p.expectFrom()
		}
		p.take()
	}
}

// column parses a property or an aggregate, and its name, which is optional for an aggregate.
func (p *queryParser) column() (c column, err error) {
	if _, known := aggregates[strings.ToUpper(p.peek().text)]; known && p.tokens[1].text == "(" {
		c.aggregate = strings.ToUpper(p.take().text)
		p.take()
		switch {
		case c.aggregate == "COUNT" && p.is("*"):
			p.take()
		case c.aggregate == "COUNT" && p.is(")"):
		default:
			c.path, err = p.path()
		}
		if err == nil {
			err = p.keyword(")")
		}
	} else if c.path, err = p.path(); err == nil {
		c.name = c.path[len(c.path)-1].name
	}
	if err == nil && p.is("AS") {
		p.take()
		t := p.take()
		if c.name = t.text; t.kind != wordToken && t.kind != stringToken || c.name == "" {
			return c, fmt.Errorf("AS needs a name")
		}
	}
	return c, err
}

// group parses an optional GROUP BY and checks that the columns are defined for groups.
func (p *queryParser) group(q *twinQuery) error {
	for _, c := range q.columns {
		q.grouped = q.grouped || c.aggregate != ""
	}
	if p.is("GROUP") {
		q.grouped = true
		p.take()
		if err := p.keyword("BY"); err != nil {
			return err
		}
		for {
			by, err := p.path()
			if err != nil {
				return err
			}
			q.groupBy = append(q.groupBy, by)
			if !p.is(",") {
				break
			}
			p.take()
		}
	}
	if q.grouped && len(q.columns) == 0 {
		return fmt.Errorf("GROUP BY needs columns, not *")
	}
	for _, c := range q.columns {
		same := func(by path) bool { return slices.EqualFunc(by, c.path, step.same) }
		if q.grouped && c.aggregate == "" && !slices.ContainsFunc(q.groupBy, same) {
			return fmt.Errorf("the column %s is neither an aggregate nor in GROUP BY", c.name)
		}
	}
	return nil
}
