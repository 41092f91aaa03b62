package iothub

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
)

func (p *queryParser) sum() (operand, error) { return p.arithmetic("+-", (*queryParser).product) }

func (p *queryParser) product() (operand, error) { return p.arithmetic("*/%", (*queryParser).factor) }

// arithmetic parses numbers joined by operators of one precedence.
func (p *queryParser) arithmetic(operators string, next func(*queryParser) (operand, error)) (operand, error) {
	left, err := next(p)
	for err == nil && p.peek().kind == symbolToken && strings.Contains(operators, p.peek().text) {
		op := p.take().text
		var right operand
		if right, err = next(p); err == nil {
			before := left
			left = func(twin map[string]any) (any, bool) {
				a, _ := before(twin)
				b, _ := right(twin)
				return calculate(op, a, b)
			}
		}
	}
	return left, err
}

// calculate has no result for operands that are not numbers, or if the result is not finite.
func calculate(op string, a, b any) (any, bool) {
	x, isNumber := a.(json.Number)
	y, too := b.(json.Number)
	if !isNumber || !too {
		return nil, false
	}
	var result float64
	switch left, right := number(x), number(y); op {
	case "+":
		result = left + right
	case "-":
		result = left - right
	case "*":
		result = left * right
	case "/":
		result = left / right
	default:
		result = math.Mod(left, right)
	}
	if math.IsNaN(result) || math.IsInf(result, 0) {
		return nil, false
	}
	return json.Number(strconv.FormatFloat(result, 'g', -1, 64)), true
}
