package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
)

// publishedFiles are the schemas of the parts of other modules that the local plugin serves. Their Go SDKs are the
// published ones, so nothing but the request table is made from them.
var publishedFiles = []string{"schema/azure-native-resources.json", "schema/azure-native-authorization.json",
	"schema/azure-native-managedidentity.json"}

// table is what the local azure-native plugin embeds: the facts of the schema files that decide which request is sent
// and how values travel, by full token and without documentation.
type table struct {
	Version   string                              `json:"version"`
	Resources map[string]tableResource            `json:"resources"`
	Functions map[string]tableFunction            `json:"functions"`
	Types     map[string]map[string]tableProperty `json:"types"`
}

type tableResource struct {
	Path              string                   `json:"path"`
	APIVersion        string                   `json:"apiVersion"`
	PutLongRunning    bool                     `json:"putLongRunning,omitempty"`
	DeleteLongRunning bool                     `json:"deleteLongRunning,omitempty"`
	AutoNameInput     string                   `json:"autoNameInput"`
	AutoNameKind      string                   `json:"autoNameKind"`
	Inputs            map[string]tableProperty `json:"inputs"`
	Outputs           map[string]tableProperty `json:"outputs"`
}

type tableFunction struct {
	Method     string                   `json:"method"`
	Path       string                   `json:"path"`
	APIVersion string                   `json:"apiVersion"`
	Inputs     map[string]tableProperty `json:"inputs"`
	Outputs    map[string]tableProperty `json:"outputs"`
}

type tableProperty struct {
	Type        string   `json:"type"`
	Required    bool     `json:"required,omitempty"`
	Filled      bool     `json:"filled,omitempty"`
	Replace     bool     `json:"replace,omitempty"`
	Minimum     *float64 `json:"minimum,omitempty"`
	Maximum     *float64 `json:"maximum,omitempty"`
	Pattern     string   `json:"pattern,omitempty"`
	Identifiers []string `json:"identifiers,omitempty"`
	Wire        string   `json:"wire,omitempty"`
}

// requestTable makes internal/keel/azurenative/table.json.
func requestTable(root string) (map[string][]byte, error) {
	out := table{
		Resources: map[string]tableResource{},
		Functions: map[string]tableFunction{},
		Types:     map[string]map[string]tableProperty{},
	}
	for _, file := range append([]string{devicesFile}, publishedFiles...) {
		doc, err := readDocument(filepath.Join(root, file))
		if err != nil {
			return nil, err
		}
		if out.Version != "" && out.Version != doc.Version {
			return nil, fmt.Errorf("%s is of version %s, the files before it of %s", file, doc.Version, out.Version)
		}
		out.Version = doc.Version
		out.add(doc)
	}
	raw, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode request table: %w", err)
	}
	return map[string][]byte{"table.json": append(raw, '\n')}, nil
}

func (t *table) add(doc document) {
	for name, res := range doc.Resources {
		outputs := doc.tableProperties(res.Outputs)
		// Every ARM answer carries the id; Pulumi's SDKs have it outside the declared outputs.
		outputs["id"] = tableProperty{Type: "string", Required: true}
		t.Resources[doc.token(name)] = tableResource{
			Path:              res.Path,
			APIVersion:        res.APIVersion,
			PutLongRunning:    res.Methods["put"].LongRunning,
			DeleteLongRunning: res.Methods["delete"].LongRunning,
			AutoNameInput:     res.AutoName.Input,
			AutoNameKind:      res.AutoName.Kind,
			Inputs:            doc.tableProperties(res.Inputs),
			Outputs:           outputs,
		}
	}
	for name, fn := range doc.Functions {
		t.Functions[doc.token(name)] = tableFunction{
			Method:     fn.Method,
			Path:       fn.Path,
			APIVersion: fn.APIVersion,
			Inputs:     doc.tableProperties(fn.Inputs),
			Outputs:    doc.tableProperties(fn.Outputs),
		}
	}
	for name, typ := range doc.Types {
		t.Types[doc.token(name)] = doc.tableProperties(typ.Properties)
	}
}

func (doc document) tableProperties(properties map[string]property) map[string]tableProperty {
	out := make(map[string]tableProperty, len(properties))
	for name, p := range properties {
		out[name] = tableProperty{
			Type:        doc.tableType(p.Type),
			Required:    p.Required,
			Filled:      p.Filled,
			Replace:     p.Replace,
			Minimum:     p.Minimum,
			Maximum:     p.Maximum,
			Pattern:     p.Pattern,
			Identifiers: p.Identifiers,
			Wire:        p.Wire,
		}
	}
	return out
}

// tableType converts object names to full tokens, and enumerations, which are sent as strings, to string.
func (doc document) tableType(notation string) string {
	if element, ok := strings.CutPrefix(notation, "[]"); ok {
		return "[]" + doc.tableType(element)
	}
	if element, ok := strings.CutPrefix(notation, "map<"); ok {
		return "map<" + doc.tableType(strings.TrimSuffix(element, ">")) + ">"
	}
	if name, ok := strings.CutPrefix(notation, "#"); ok {
		return "#" + doc.token(name)
	}
	if strings.Contains(notation, "enum:") {
		return "string"
	}
	return notation
}
