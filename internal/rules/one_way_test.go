package rules_test

import (
	"go/ast"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// oneWay lists what only one package calls, for a part of the tree. Tests may call anything.
var oneWay = []struct {
	dir, path, name string
	owners          []string
	reason          string
}{
	{"emulator", "net/http", "ServeMux", nil, "emulator/internal/routes is the router of every surface"},
	{"emulator", "net/http", "NewServeMux", nil, "emulator/internal/routes is the router of every surface"},
	{".", "crypto/x509", "CreateCertificate", []string{"internal/authority", "acceptance"},
		"internal/authority creates every certificate"},
}

func TestThereIsOneWayForEachThing(t *testing.T) {
	t.Parallel()
	for _, f := range files(t) {
		if f.test {
			continue
		}
		for _, rule := range oneWay {
			if rule.dir != "." && !under(f.dir, rule.dir) || anyUnder(f.dir, rule.owners) ||
				!contains(f.imports(), rule.path) {
				continue
			}
			pkg := rule.path[strings.LastIndexByte(rule.path, '/')+1:]
			ast.Inspect(f.ast, func(n ast.Node) bool {
				selected, ok := n.(*ast.SelectorExpr)
				if !ok || selected.Sel.Name != rule.name {
					return true
				}
				if x, ok := selected.X.(*ast.Ident); ok && x.Name == pkg {
					t.Errorf("%s: %s.%s: %s", f.fset.Position(n.Pos()), pkg, rule.name, rule.reason)
				}
				return true
			})
		}
	}
}

// azureName matches a text that holds the name of a domain of Azure and no space, so that it is no prose.
var azureName = regexp.MustCompile(
	`^\S*(azure-devices|azure\.(com|net|us|cn|de)|microsoftonline\.|chinacloudapi\.|windows\.net|usgovcloudapi\.)\S*$`)

// azureNames are the packages that list them: one for clients, one for the emulator. The suite of conformance names
// them again on purpose, and examples are programs of users.
var azureNames = []string{"internal/azure/domain", "emulator/internal/domain", "internal/conformance",
	"internal/provider/examples", "acceptance"}

func TestDomainsOfAzureAreNamedInOnePlacePerSide(t *testing.T) {
	t.Parallel()
	for _, f := range files(t) {
		if f.test || anyUnder(f.dir, azureNames) {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			literal, ok := n.(*ast.BasicLit)
			if _, isImport := n.(*ast.ImportSpec); isImport {
				return false
			}
			if !ok || literal.Kind != token.STRING {
				return true
			}
			if text, err := strconv.Unquote(literal.Value); err == nil && azureName.MatchString(text) {
				t.Errorf("%s: %s: take it from internal/azure/domain, or in the emulator from emulator/internal/domain",
					f.fset.Position(n.Pos()), literal.Value)
			}
			return true
		})
	}
}

func TestAzureNameMatchesNamesAndNoProse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		".azure-devices.net": true, "https://management.azure.com": true, "https://login.microsoftonline.com/": true,
		"azure-devices-provisioning.": true, "https://iothubs.azure.net": true, "login.chinacloudapi.cn": true,
		"such as hub-1.azure-devices.net": false, "azure-native": false, "internal/azure/domain": false,
	} {
		t.Run(text, func(t *testing.T) {
			if got := azureName.MatchString(text); got != want {
				t.Errorf("%q: got %t, want %t", text, got, want)
			}
		})
	}
}
