package environment_test

import (
	"encoding/base64"
	"path/filepath"
	"strings"
	"testing"

	"evenkeel/internal/hint"
)

// Pulumi stores the configuration of each operation in the stack's history, whether the operation succeeds or not.
func TestAPrivateKeyInTheConfigurationIsRejectedBeforePulumiStoresIt(t *testing.T) {
	t.Parallel()
	const key = `-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n`
	for name, tc := range map[string]struct{ config, want string }{
		"none":              {"hubs: 2", ""},
		"a device's":        {`devices: [{id: a, certificate: "` + key + `"}]`, "devices[0].certificate"},
		"the authority's":   {`certificate: "` + key + `"`, "certificate"},
		"a list as a text":  {`manifest: "registrationId,certificate\na,'` + key + `'\n"`, "manifest"},
		"its base64":        {"certificate: " + base64.StdEncoding.EncodeToString([]byte("x"+key)), "certificate"},
		"one that is a key": {`devices: [{id: a, primaryKey: c2VjcmV0}]`, ""},
		"a secret":          {`certificate: {secure: "v1:abcd:efgh"}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnvironment(t)
			write(t, filepath.Join(e.Folder.Root, "stacks", "Pulumi.local.yaml"), "config:\n  myproject:"+tc.config+
				"\n")
			err := e.RefusePrivateKeys()
			if (err == nil) != (tc.want == "") {
				t.Errorf("%s: got %v, want %q", name, err, tc.want)
			}
			if err == nil || tc.want == "" {
				return
			}
			if !strings.Contains(err.Error(), ", at "+tc.want+":") ||
				!strings.Contains(hint.Of(err), "pulumi config rm --path '"+tc.want+"'") ||
				strings.Contains(err.Error(), "c2VjcmV0") {
				t.Errorf("%s: got %v, hint %q", name, err, hint.Of(err))
			}
		})
	}
}
