package provider

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"
	"unicode"

	p "github.com/pulumi/pulumi-go-provider"
)

// exampleFiles are Go files that are compiled with everything else; each is named after the resource or function that
// it shows.
//
//go:embed examples/*.go
var exampleFiles embed.FS

// withExamples adds to the descriptions in a schema the example of each resource and function that has one.
func withExamples(getSchema func(context.Context, p.GetSchemaRequest) (p.GetSchemaResponse,
	error)) func(context.Context, p.GetSchemaRequest) (p.GetSchemaResponse, error) {
	return func(ctx context.Context, req p.GetSchemaRequest) (p.GetSchemaResponse, error) {
		response, err := getSchema(ctx, req)
		if err != nil {
			return response, err
		}
		var spec map[string]json.RawMessage
		if err := json.Unmarshal([]byte(response.Schema), &spec); err != nil {
			return response, fmt.Errorf("read the schema: %w", err)
		}
		for _, kind := range []string{"resources", "functions"} {
			var objects map[string]map[string]any
			if err := json.Unmarshal(spec[kind], &objects); err != nil {
				return response, fmt.Errorf("read the %s of the schema: %w", kind, err)
			}
			for token, object := range objects {
				description, _ := object["description"].(string)
				object["description"] = description + example(token)
			}
			if spec[kind], err = json.Marshal(objects); err != nil {
				return response, fmt.Errorf("write the %s of the schema: %w", kind, err)
			}
		}
		text, err := json.Marshal(spec)
		if err != nil {
			return response, fmt.Errorf("write the schema: %w", err)
		}
		return p.GetSchemaResponse{Schema: string(text)}, nil
	}
}

// example returns the part of a description that shows the example of a token, or "". Generators leave out examples in
// other languages.
func example(token string) string {
	text, err := fs.ReadFile(exampleFiles, "examples/"+exampleFile(token))
	if err != nil {
		return ""
	}
	_, code, _ := strings.Cut(string(text), "\n)\n") // what comes after the imports
	return "\n\n{{% examples %}}\n## Example Usage\n\n{{% example %}}\n```go\n" + strings.TrimSpace(code) +
		"\n```\n{{% /example %}}\n{{% /examples %}}\n"
}

// exampleFile is the name of a token's example: its last part in lower case, with underscores between words.
func exampleFile(token string) string {
	var name strings.Builder
	for i, r := range token[strings.LastIndex(token, ":")+1:] {
		if unicode.IsUpper(r) && i > 0 {
			name.WriteByte('_')
		}
		name.WriteRune(unicode.ToLower(r))
	}
	return name.String() + ".go"
}
