package adopt

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// property is a member of a mapping. A nil value is left out.
type property struct {
	name  string
	value any
}

// mapping returns a mapping in the given order, or nil without members.
func mapping(members ...property) *yaml.Node {
	node := &yaml.Node{Kind: yaml.MappingNode}
	for _, m := range members {
		if value := valueNode(m.value); value != nil {
			node.Content = append(node.Content, plainNode(m.name), value)
		}
	}
	if len(node.Content) == 0 {
		return nil
	}
	return node
}

// reference is an expression such as ${name}: the value of a setting.
type reference string

// plainNode returns a text that Pulumi does not interpret.
func plainNode(text string) *yaml.Node {
	node := &yaml.Node{}
	node.SetString(text)
	return node
}

// valueNode returns the node of a value of JSON, of a pointer to a plain value, or of a node; nil for an absent one.
func valueNode(value any) *yaml.Node {
	switch v := value.(type) {
	case nil:
		return nil
	case *yaml.Node:
		return v
	case reference:
		return plainNode("${" + string(v) + "}")
	case string:
		return plainNode(strings.ReplaceAll(v, "$", "$$")) // Pulumi interprets ${…}
	case *string:
		if v == nil {
			return nil
		}
		return valueNode(*v)
	case []string:
		list := make([]any, len(v))
		for i, item := range v {
			list[i] = item
		}
		return valueNode(list)
	case []any:
		if len(v) == 0 {
			return &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		}
		node := &yaml.Node{Kind: yaml.SequenceNode}
		for _, item := range v {
			node.Content = append(node.Content, valueNode(item))
		}
		return node
	case map[string]any:
		node := &yaml.Node{Kind: yaml.MappingNode}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			node.Content = append(node.Content, plainNode(name), valueNode(v[name]))
		}
		if len(v) == 0 {
			node.Style = yaml.FlowStyle
		}
		return node
	}
	node := &yaml.Node{}
	if err := node.Encode(value); err != nil {
		panic(fmt.Sprintf("adopt: a value of JSON cannot be written as YAML: %v", err))
	}
	return node
}

// undeclarable reports why a program in YAML cannot hold a value of JSON. Such values are rare: no hub accepts them in
// a twin.
func undeclarable(value any) error {
	switch v := value.(type) {
	case nil:
		return errors.New("contains null, which Pulumi removes")
	case []any:
		for _, item := range v {
			if err := undeclarable(item); err != nil {
				return err
			}
		}
	case map[string]any:
		for name, item := range v {
			if strings.HasPrefix(strings.ToLower(name), "fn::") {
				return fmt.Errorf("contains the name %q, which Pulumi reads as a function", name)
			}
			if err := undeclarable(item); err != nil {
				return err
			}
		}
	}
	return nil
}

// encode returns the text of a document, after a comment.
func encode(comment string, node *yaml.Node) ([]byte, error) {
	var text bytes.Buffer
	for line := range strings.Lines(comment) {
		text.WriteString("# " + line)
	}
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	if err := errors.Join(encoder.Encode(node), encoder.Close()); err != nil {
		return nil, fmt.Errorf("adopt: write YAML: %w", err)
	}
	return text.Bytes(), nil
}
