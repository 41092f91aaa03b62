//go:build tools

// Package languagego pins the Pulumi Go language host that evenkeel builds where the user has no Pulumi of their own.
package languagego

import _ "github.com/pulumi/pulumi/sdk/v3/go/pulumi-language-go"
