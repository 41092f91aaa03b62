package environment

import (
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// Endpoints are the addresses of a checkout's emulator, as its background process records them. They contain no secret,
// only the names of files with one.
type Endpoints struct {
	// ARM, Data, MQTT and Control are URLs on the loopback address.
	ARM     string `json:"arm"`
	Data    string `json:"data"`
	MQTT    string `json:"mqtt"`
	Control string `json:"control"`
	// ControlTokenFile is the absolute path of the file with the token of the control port. It is empty for an emulator
	// of an earlier version, which requires none.
	ControlTokenFile string `json:"controlTokenFile,omitempty"`
	// Names selects how clients find other hosts: "map", "loopback" or "azure"; empty means map.
	Names string `json:"names,omitempty"`
	// PluginPort is where the local azure-native plugin listens, on the loopback address.
	PluginPort int `json:"pluginPort"`
	// CAFile is the absolute path of the certificate that signs all of these.
	CAFile string `json:"caFile"`
	// SecretFile is the absolute path of the file with the client secret for ARM.
	SecretFile     string `json:"secretFile"`
	TenantID       string `json:"tenantId"`
	ClientID       string `json:"clientId"`
	SubscriptionID string `json:"subscriptionId"`
}

// Variable is one environment variable.
type Variable struct{ Name, Value string }

// Variables returns the variables that a local stack needs beyond the inherited environment: Pulumi's home, backend,
// passphrase file, stack and the attachment of the local plugin. None of them is a key.
func (e *Environment) Variables() []Variable {
	if e.Target == Azure { // all others are the user's own
		variables := append([]Variable{{"PULUMI_STACK", e.Stack}}, e.builtPulumiVariables()...)
		if e.Backend != "" {
			variables = append(variables, Variable{"PULUMI_BACKEND_URL", e.Backend})
		}
		return variables
	}
	return append([]Variable{
		{"PULUMI_HOME", e.Folder.PulumiHome()},
		{"PULUMI_BACKEND_URL", e.backendURL()},
		{"PULUMI_CONFIG_PASSPHRASE_FILE", e.Folder.Passphrase()},
		{"PULUMI_STACK", e.Stack},
		{"PULUMI_DEBUG_PROVIDERS", "azure-native:" + strconv.Itoa(e.Endpoints.PluginPort)},
		{"PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION", "true"},
		{"PULUMI_SKIP_UPDATE_CHECK", "true"},
		{"EVENKEEL_CA_FILE", e.Endpoints.CAFile},
	}, e.builtPulumiVariables()...)
}

// builtPulumiVariables returns the variables for the Pulumi that keel builds: its Go language host generates no code,
// and without them `pulumi import` would fail after it has imported.
func (e *Environment) builtPulumiVariables() []Variable {
	if e.Program == "" {
		return nil
	}
	return []Variable{{"PULUMI_OPTION_GENERATE_CODE", "false"}}
}

// Environ returns the whole environment of a child process: the allowed part of the inherited one, then Variables. PATH
// begins with the folder of Pulumi.
func (e *Environment) Environ() []string {
	env := e.inheritedVariables()
	path := e.Path()
	env = slices.DeleteFunc(env, func(pair string) bool {
		return strings.HasPrefix(pair, "PATH=") || strings.HasPrefix(pair, ClaimsVariable+"=")
	})
	env = append(env, "PATH="+path)
	for _, v := range e.Variables() {
		env = append(env, v.Name+"="+v.Value)
	}
	if e.Program != "" {
		env = append(env, "EVENKEEL_PROGRAM="+e.Program)
	}
	if e.lacksSecret() {
		env = append(env, runProgram+"=true")
	}
	if claims := e.claims(); claims != "" {
		env = append(env, ClaimsVariable+"="+claims)
	}
	return env
}

// inheritedVariables returns the part of the inherited environment that children get: on Azure everything except
// variables that select another stack or backend; locally what Allowed returns and, with a backend of the user's
// choice, its credentials.
func (e *Environment) inheritedVariables() []string {
	if e.Target != Azure {
		env := Allowed(e.Inherited)
		if e.Backend == "" || e.fileBackend() != "" {
			return env
		}
		opens := []string{"PULUMI_ACCESS_TOKEN", "AZURE_STORAGE_", "AWS_", "GOOGLE_"}
		for _, pair := range e.Inherited {
			if slices.ContainsFunc(opens, func(prefix string) bool { return strings.HasPrefix(pair, prefix) }) {
				env = append(env, pair)
			}
		}
		return env
	}
	return slices.DeleteFunc(slices.Clone(e.Inherited), func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		return slices.Contains([]string{"PULUMI_DEBUG_PROVIDERS", "PULUMI_STACK", "EVENKEEL_PROGRAM"}, name)
	})
}

// Path returns the inherited PATH with the folder of Pulumi once, in front.
func (e *Environment) Path() string {
	folders := slices.DeleteFunc(filepath.SplitList(e.inherited("PATH")),
		func(f string) bool { return f == e.toolsFolder() })
	return strings.Join(append([]string{e.toolsFolder()}, folders...), string(filepath.ListSeparator))
}

// PathWithout returns the inherited PATH without the folder of Pulumi.
func (e *Environment) PathWithout() string {
	folders := slices.DeleteFunc(filepath.SplitList(e.inherited("PATH")),
		func(f string) bool { return f == e.toolsFolder() })
	return strings.Join(folders, string(filepath.ListSeparator))
}

func (e *Environment) toolsFolder() string { return filepath.Dir(e.Pulumi) }

func (e *Environment) inherited(name string) string {
	for _, pair := range slices.Backward(e.Inherited) {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value
		}
	}
	return ""
}

// Dropped returns the names of inherited variables that would make Pulumi or an Azure client use another target, and
// that Variables does not set.
func (e *Environment) Dropped() []string {
	if e.Target == Azure {
		return nil
	}
	var names []string
	for _, pair := range e.Inherited {
		name, _, _ := strings.Cut(pair, "=")
		foreign := slices.ContainsFunc([]string{"PULUMI_", "ARM_", "AZURE_"},
			func(p string) bool { return strings.HasPrefix(name, p) })
		set := slices.ContainsFunc(e.Variables(), func(v Variable) bool { return v.Name == name })
		if foreign && !set {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Allowed returns the part of an environment that a child process of a local run inherits: the variables for the user,
// the terminal, the network and Go. All others, above all cloud credentials, are removed.
func Allowed(inherited []string) []string {
	exact := []string{
		"PATH", "HOME", "USER", "LOGNAME", "SHELL", "PWD", "TMPDIR", "TEMP", "TMP", "TZ", "LANG", "LANGUAGE", "TERM",
		"TERM_PROGRAM", "COLORTERM",
		"NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "LINES", "CI", "EDITOR", "VISUAL", "PAGER",
		"LESS",
		"SSL_CERT_FILE", "SSL_CERT_DIR", "SSH_AUTH_SOCK", "LD_LIBRARY_PATH", "NODE_EXTRA_CA_CERTS",
		"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
		"CC", "CXX", "AR", "PKG_CONFIG", "PKG_CONFIG_PATH",
		// Windows
		"SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "USERPROFILE", "APPDATA", "LOCALAPPDATA",
		"PROGRAMDATA", "USERNAME",
	}
	prefixes := []string{"LC_", "XDG_", "CGO_", "EVENKEEL_"}
	var env []string
	for _, pair := range inherited {
		name, _, _ := strings.Cut(pair, "=")
		if runtime.GOOS == "windows" {
			name = strings.ToUpper(name)
		}
		ok := slices.Contains(exact, name) || slices.ContainsFunc(prefixes,
			func(p string) bool { return strings.HasPrefix(name, p) }) ||
			strings.HasPrefix(name, "GO") && !strings.HasPrefix(name, "GOOGLE")
		if ok && name != "EVENKEEL_PROGRAM" {
			env = append(env, pair)
		}
	}
	return env
}
