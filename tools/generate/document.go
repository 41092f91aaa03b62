package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
)

// document is the project's own form of one Pulumi module: the names and properties of its resources, functions and
// types, and their Azure Resource Manager requests. schema/README.md explains every key.
type document struct {
	Package   string
	Version   string
	Module    string
	GoModule  string
	Resources map[string]resource
	Functions map[string]function
	Types     map[string]objectType
	Enums     map[string]enum
}

// resource is one custom resource. Path contains an input name in braces for each part that identifies the resource.
type resource struct {
	Description  string
	APIVersion   string
	Path         string
	Methods      map[string]method
	AutoName     autoName
	Inputs       map[string]property
	Outputs      map[string]property
	AliasModules []string
}

// method describes one HTTP method of a resource.
type method struct {
	LongRunning bool
}

// autoName is the input whose value the provider generates when the program leaves it out. Kind is "random" (logical
// name and eight hexadecimal digits), "copy" (the unchanged logical name) or "uuid" (a random GUID).
type autoName struct {
	Input string
	Kind  string
}

// function is one invoke.
type function struct {
	Description string
	APIVersion  string
	Method      string
	Path        string
	Inputs      map[string]property
	Outputs     map[string]property
}

// objectType is one nested object.
type objectType struct {
	Description string
	Properties  map[string]property
}

// enum lists the values of a string enumeration in the order in which the SDK declares them.
type enum struct {
	Description string
	Values      []enumValue
}

// enumValue is one value as it goes over the wire.
type enumValue struct {
	Value       string
	Description string
}

// property is one property. Type is string, integer, number, boolean or any; []T for a list, map<T> for a map with
// string keys, #T for an object type, enum:E for a closed and string|enum:E for an open enumeration.
type property struct {
	Type        string
	Description string
	Required    bool
	Optional    bool
	Default     any
	Minimum     *float64
	Maximum     *float64
	MinItems    *int
	MaxItems    *int
	Pattern     string
	// Wire is "keys" for a list of strings that Azure accepts as the keys of an object, and "properties" for a property
	// of a resource that is in the member of that name on the wire.
	Wire string
	// Filled marks an input that Azure requires and the provider fills in when the program leaves it out.
	Filled bool
	// Replace marks an input that cannot change in place. Every input in the path replaces without it.
	Replace bool
	// Identifiers names the properties that identify the elements of a list, whose order then has no meaning.
	Identifiers []string
}

// readDocument reads one schema file. Unknown keys are an error: they would be facts that the generator drops.
func readDocument(path string) (document, error) {
	var doc document
	raw, err := os.ReadFile(path)
	if err != nil {
		return doc, fmt.Errorf("read schema: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&doc); err != nil {
		return doc, fmt.Errorf("parse schema %s: %w", path, err)
	}
	return doc, nil
}
