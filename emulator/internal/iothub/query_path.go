package iothub

import (
	"fmt"
	"strconv"
	"strings"
)

// path locates a value from the root of a twin.
type path []step

// step is a member of an object or, if the name is empty, an item of an array, from 0. Fidelity: that queries of
// twins can select items is unsure; the documentation shows it for messages.
type step struct {
	name string
	item int
}

func (s step) same(other step) bool {
	return strings.EqualFold(s.name, other.name) && s.item == other.item
}

// path parses tags.a.b or tags['a'], optionally preceded by the name of the source.
func (p *queryParser) path() (path, error) {
	t := p.take()
	if t.kind != wordToken {
		return nil, fmt.Errorf("expected a property, got %q", t.text)
	}
	out := path{{name: t.text}}
	for {
		switch {
		case p.is("."):
			p.take()
			if t = p.take(); t.kind != wordToken && t.kind != numberToken {
				return nil, fmt.Errorf("expected a property after a full stop, got %q", t.text)
			}
			out = append(out, step{name: t.text})
		case p.is("["):
			p.take()
			next, err := p.bracketed()
			if err != nil {
				return nil, err
			}
			out = append(out, next)
		default:
			if len(out) > 1 && (strings.EqualFold(out[0].name, "devices") || p.alias != "" &&
				strings.EqualFold(out[0].name, p.alias)) {
				out = out[1:]
			}
			return out, nil
		}
	}
}

// bracketed parses the content of brackets and the closing one: a member's name as a string, or the index of an item.
func (p *queryParser) bracketed() (step, error) {
	t := p.take()
	if t.kind == stringToken && t.text != "" {
		return step{name: t.text}, p.keyword("]")
	}
	item, err := strconv.Atoi(t.text)
	if t.kind != numberToken || err != nil {
		return step{}, fmt.Errorf("expected a string or a whole number in brackets, got %q", t.text)
	}
	return step{item: item}, p.keyword("]")
}

// of finds a property. Names at the root are case-insensitive.
func (at path) of(twin map[string]any) (any, bool) {
	var value any = twin
	for i, next := range at {
		if next.name == "" {
			items, ok := value.([]any)
			if !ok || next.item >= len(items) {
				return nil, false
			}
			value = items[next.item]
			continue
		}
		members, ok := value.(map[string]any)
		if !ok {
			return nil, false
		}
		if value, ok = members[next.name]; !ok && i == 0 {
			for other := range members {
				if strings.EqualFold(other, next.name) {
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
