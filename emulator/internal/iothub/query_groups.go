package iothub

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
)

// aggregates are the functions over the twins of a group. Source: "IoT Hub query language for device and module
// twins". Fidelity: that they ignore missing values and values that are not numbers, and have no result without any
// values, is unsure.
var aggregates = map[string]func(values []any) (result any, ok bool){
	"COUNT": func(values []any) (any, bool) { return len(values), true },
	"SUM":   func(values []any) (any, bool) { return sum(values) },
	"AVG": func(values []any) (any, bool) {
		found := numbers(values)
		mean := 0.0
		for i, n := range found { // the sum may exceed a double, the mean does not
			mean = mean*(float64(i)/float64(i+1)) + n/float64(i+1)
		}
		return mean, len(found) > 0 && isFinite(mean)
	},
	"MIN": func(values []any) (any, bool) { return extreme(values, "<") },
	"MAX": func(values []any) (any, bool) { return extreme(values, ">") },
}

func numbers(values []any) (found []float64) {
	for _, v := range values {
		if n, ok := v.(json.Number); ok {
			found = append(found, number(n))
		}
	}
	return found
}

func sum(values []any) (total float64, ok bool) {
	found := numbers(values)
	for _, n := range found {
		total += n
	}
	// As in other arithmetic, there is no result if it is not finite.
	return total, len(found) > 0 && isFinite(total)
}

func isFinite(n float64) bool { return !math.IsInf(n, 0) && !math.IsNaN(n) }

// extreme returns the smallest or largest value. Only values of the first one's type are compared.
func extreme(values []any, op string) (result any, ok bool) {
	for _, v := range values {
		switch {
		case compare("=", v, v) != yes || v == nil:
		case !ok:
			result, ok = v, true
		case compare(op, v, result) == yes:
			result = v
		}
	}
	return result, ok
}

// groups collects the rows of a query with GROUP BY or aggregates.
type groups struct {
	query twinQuery
	found map[string]*group
}

// group is the twins with equal GROUP BY values. row holds these values; values are the arguments of each aggregate.
type group struct {
	row    map[string]any
	values [][]any
}

func newGroups(q twinQuery) *groups {
	g := &groups{q, map[string]*group{}}
	if len(q.groupBy) == 0 {
		g.found[""] = g.begin(nil) // one row even without twins
	}
	return g
}

func (g *groups) begin(twin map[string]any) *group {
	row := map[string]any{}
	for _, c := range g.query.columns {
		if value, there := c.path.of(twin); there && c.aggregate == "" {
			row[c.name] = value
		}
	}
	return &group{row, make([][]any, len(g.query.columns))}
}

func (g *groups) add(twin map[string]any) {
	// The key consists of the GROUP BY values. A missing value differs from null.
	var agreed []any
	for _, p := range g.query.groupBy {
		value, there := p.of(twin)
		agreed = append(agreed, there, value)
	}
	key := ""
	if agreed != nil {
		text, _ := json.Marshal(agreed) // the value was parsed from JSON
		key = string(text)
	}
	of := g.found[key]
	if of == nil {
		of = g.begin(twin)
		g.found[key] = of
	}
	for i, c := range g.query.columns {
		if c.aggregate == "" {
			continue
		}
		value, there := any(nil), true
		if c.path != nil {
			value, there = c.path.of(twin)
		}
		if there {
			of.values[i] = append(of.values[i], value)
		}
	}
}

func (g *groups) rows() []any {
	rows := []any{}
	for _, key := range slices.Sorted(maps.Keys(g.found)) {
		of := g.found[key]
		for i, c := range g.query.columns {
			if c.aggregate == "" {
				continue
			}
			if result, ok := aggregates[c.aggregate](of.values[i]); ok {
				of.row[c.name] = result
			}
		}
		rows = append(rows, of.row)
	}
	return rows
}
