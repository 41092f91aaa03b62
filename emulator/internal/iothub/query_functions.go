package iothub

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// typeTests are the functions on one property; stringTests are those on two strings.
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
		"STARTSWITH": strings.HasPrefix, "STARTS_WITH": strings.HasPrefix, "ENDSWITH": strings.HasSuffix,
		"ENDS_WITH": strings.HasSuffix,
		"CONTAINS":  strings.Contains,
	}
)

func (p *queryParser) function() (operand, error) {
	name := strings.ToUpper(p.take().text)
	p.take() // the parenthesis
	oneTest, ofType := typeTests[name]
	twoTest, ofStrings := stringTests[name]
	// Azure/azure-iot-cli-extension, operations/hub.py: the children of an edge device
	isArray := name == "ARRAY_CONTAINS"
	if !ofType && !ofStrings && !isArray {
		return nil, fmt.Errorf("unknown function %s", name)
	}
	left, err := p.operand()
	if err != nil {
		return nil, err
	}
	if ofType {
		return func(twin map[string]any) (any, bool) { return oneTest(left(twin)), true }, p.keyword(")")
	}
	if err := p.keyword(","); err != nil {
		return nil, err
	}
	right, err := p.operand()
	if err != nil {
		return nil, err
	}
	if isArray {
		return arrayContains(left, right), p.keyword(")")
	}
	return func(twin map[string]any) (any, bool) {
		a, _ := left(twin)
		b, _ := right(twin)
		text, isText := a.(string)
		part, too := b.(string)
		return twoTest(text, part), isText && too
	}, p.keyword(")")
}

// arrayContains reports whether an item of an array equals a value, including its type. Fidelity: the third argument,
// for parts of objects, is not supported.
func arrayContains(array, value operand) operand {
	return func(twin map[string]any) (any, bool) {
		items, _ := array(twin)
		list, isArray := items.([]any)
		wanted, there := value(twin)
		if !isArray || !there {
			return false, isArray
		}
		return slices.ContainsFunc(list, func(item any) bool { return compare("=", item, wanted) == yes }), true
	}
}
