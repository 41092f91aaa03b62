//go:build tools

// Package pulumi pins the Pulumi CLI that evenkeel builds where the user has none of their own.
package pulumi

import _ "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
