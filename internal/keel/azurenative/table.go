package azurenative

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
)

//go:embed table.json
var tableJSON []byte

// table has all properties by which resource types and functions differ. tools/generate creates it from the schema
// files; no code in this package names a type of the devices module.
type table struct {
	Version   string
	Resources map[string]*resourceType
	Functions map[string]*function
	Types     map[string]properties
}

// resourceType is one Pulumi resource type and the ARM resource behind it.
type resourceType struct {
	// Path is the ARM id with the names of inputs in braces.
	Path       string
	APIVersion string
	// PutLongRunning and DeleteLongRunning are true if the response starts an operation that must be polled.
	PutLongRunning    bool
	DeleteLongRunning bool
	// AutoNameInput is the input that the provider sets if the program omits it: AutoNameKind is "random", "copy" or
	// "uuid".
	AutoNameInput string
	AutoNameKind  string
	Inputs        properties
	Outputs       properties

	path pathTemplate
}

// function is one invoke.
type function struct {
	Method     string
	Path       string
	APIVersion string
	Inputs     properties
	Outputs    properties

	path pathTemplate
}

// properties are the properties of an object by name.
type properties map[string]*property

// property is one property; tools/generate explains the notation of Type.
type property struct {
	Type        string
	Required    bool
	Filled      bool
	Replace     bool
	Minimum     *float64
	Maximum     *float64
	Pattern     string
	Identifiers []string
	Wire        string

	shape   *shape
	pattern *regexp.Regexp
}

// loadTable reads the embedded table once; all providers of the process share it and none changes it.
var loadTable = sync.OnceValues(func() (*table, error) {
	t := &table{}
	if err := json.Unmarshal(tableJSON, t); err != nil {
		return nil, fmt.Errorf("read request table: %w", err)
	}
	for _, props := range t.Types {
		if err := t.resolve(props); err != nil {
			return nil, err
		}
	}
	for _, res := range t.Resources {
		res.path = pathTemplate(res.Path)
		for _, props := range []properties{res.Inputs, res.Outputs} {
			if err := t.resolve(props); err != nil {
				return nil, err
			}
		}
	}
	for _, fn := range t.Functions {
		fn.path = pathTemplate(fn.Path)
		for _, props := range []properties{fn.Inputs, fn.Outputs} {
			if err := t.resolve(props); err != nil {
				return nil, err
			}
		}
	}
	return t, nil
})

// resolve parses the notations of props.
func (t *table) resolve(props properties) error {
	for name, p := range props {
		s, err := t.parseShape(p.Type)
		if err != nil {
			return fmt.Errorf("property %s: %w", name, err)
		}
		s.keys = p.Wire == "keys"
		p.shape = s
		if p.Pattern != "" {
			if p.pattern, err = regexp.Compile(p.Pattern); err != nil {
				return fmt.Errorf("property %s: %w", name, err)
			}
		}
	}
	return nil
}

// body returns the inputs in the request body: all that are not in the path.
func (r *resourceType) body() properties {
	body := make(properties, len(r.Inputs))
	for name, p := range r.Inputs {
		if !r.path.has(name) {
			body[name] = p
		}
	}
	return body
}

// isInID reports whether a change of an input replaces the resource: every part of the id does.
func (r *resourceType) isInID(input string) bool {
	if r.path.has(input) {
		return true
	}
	p := r.Inputs[input]
	return p != nil && p.Replace
}

// pathTemplate is an ARM path with names in braces.
type pathTemplate string

func (t pathTemplate) has(name string) bool {
	return strings.Contains(string(t), "{"+name+"}") || strings.Contains(string(t), "{"+name+wholeID+"}")
}

// wholeID ends the name of a part that is a whole resource id, with its slashes.
const wholeID = "..."

// fill returns the path with values.
func (t pathTemplate) fill(subscriptionID string, values map[string]any) (string, error) {
	parts := strings.Split(string(t), "/")
	for i, part := range parts {
		name, ok := strings.CutPrefix(part, "{")
		if !ok {
			continue
		}
		name = strings.TrimSuffix(name, "}")
		if name == "subscriptionId" {
			parts[i] = url.PathEscape(subscriptionID)
			continue
		}
		name, whole := strings.CutSuffix(name, wholeID)
		value, ok := values[name].(string)
		if !ok || value == "" {
			return "", fmt.Errorf("missing %q: it is part of the Azure resource id", name)
		}
		if parts[i] = url.PathEscape(value); whole {
			parts[i] = strings.Trim(value, "/")
		}
	}
	return strings.Join(parts, "/"), nil
}

// parse returns the named values in an id. Azure ignores the case of ids, so the fixed parts match in any case.
func (t pathTemplate) parse(id string) (map[string]any, error) {
	wanted, given := strings.Split(string(t), "/"), strings.Split(strings.TrimRight(id, "/"), "/")
	mismatch := fmt.Errorf("%q is not an id of the form %s", id, t)
	values := map[string]any{}
	for i, part := range wanted {
		name, whole := strings.CutSuffix(part, wholeID+"}")
		if end := i + 1 + len(given) - len(wanted); whole && end > i {
			values[strings.TrimPrefix(name, "{")] = "/" + strings.Join(given[i:end], "/")
			wanted, given = slices.Delete(wanted, i, i+1), slices.Delete(given, i, end)
			break
		}
	}
	if len(wanted) != len(given) {
		return nil, mismatch
	}
	for i, part := range wanted {
		name, ok := strings.CutPrefix(part, "{")
		if !ok {
			if !strings.EqualFold(part, given[i]) {
				return nil, mismatch
			}
			continue
		}
		value, err := url.PathUnescape(given[i])
		if err != nil || value == "" {
			return nil, mismatch
		}
		values[strings.TrimSuffix(name, "}")] = value
	}
	delete(values, "subscriptionId")
	return values, nil
}

// ResourceID returns the Azure resource id of a resource of the given Pulumi type that is created from inputs, with
// which an interrupted create must be imported. inputs are the provider inputs of the checkpoint.
func ResourceID(typeToken, subscriptionID string, inputs map[string]any) (string, error) {
	t, err := loadTable()
	if err != nil {
		return "", err
	}
	res, ok := t.Resources[typeToken]
	if !ok {
		return "", fmt.Errorf("the local azure-native plugin does not serve resource type %q", typeToken)
	}
	return res.path.fill(subscriptionID, inputs)
}
