package login

import (
	"encoding/json"
	"strconv"
	"strings"
)

// Settings select the identity, the method and the cloud of a login. They have the meaning and the environment
// variables of azure-native ("Azure Native: Installation and Configuration").
type Settings struct {
	// Environment names the cloud: public, usgovernment or china; empty means public.
	Environment string
	// MetadataHost (host or host:port) serves the description of another cloud, at /metadata/endpoints over https.
	MetadataHost string
	// AuthorityHost is the URL to log in at instead of the cloud's own.
	AuthorityHost string

	TenantID, ClientID string
	// SubscriptionID selects the account of the Azure CLI if TenantID does not.
	SubscriptionID     string
	AuxiliaryTenantIDs []string

	ClientSecret                                     string
	ClientCertificatePath, ClientCertificatePassword string

	UseOIDC                          bool
	OIDCToken, OIDCTokenFilePath     string
	OIDCRequestURL, OIDCRequestToken string
	// OIDCAudience is the audience of a requested token. Empty means the audience of Microsoft Entra ID.
	OIDCAudience string

	UseMSI, UseAzureCLI, UseDefault bool
}

// The login methods, in the order in which azure-native tries them.
const (
	byDefault     = "the default chain of the Azure SDK"
	byCertificate = "a client certificate"
	bySecret      = "a client secret"
	byOIDC        = "OIDC"
	byIdentity    = "managed identity"
	byCLI         = "the Azure CLI"
)

// method returns the login method of the settings, by default the Azure CLI.
func (s Settings) method() string {
	switch {
	case s.UseAzureCLI:
		return byCLI
	case s.UseDefault:
		return byDefault
	case s.ClientCertificatePath != "":
		return byCertificate
	case s.ClientSecret != "":
		return bySecret
	case s.UseOIDC:
		return byOIDC
	case s.UseMSI:
		return byIdentity
	}
	return byCLI
}

// chosen reports whether the settings select a login method.
func (s Settings) chosen() bool {
	return s.UseAzureCLI || s.UseDefault || s.ClientCertificatePath != "" || s.ClientSecret != "" || s.UseOIDC ||
		s.UseMSI
}

// isCustomCloud reports whether the cloud is described by its endpoint instead of by a known name.
func (s Settings) isCustomCloud() bool { return s.MetadataHost != "" || s.AuthorityHost != "" }

func (s Settings) hasAssertion() bool {
	return s.OIDCToken != "" || s.OIDCTokenFilePath != "" || s.OIDCRequestURL != "" && s.OIDCRequestToken != ""
}

// WithVariables completes the settings with the environment variables that azure-native reads. Settings take
// precedence: a variable does not change a login method that they select. A nil lookup has no variables.
func (s Settings) WithVariables(lookup func(string) string) Settings {
	if lookup == nil {
		return s
	}
	chosen := s.chosen()
	text := func(into *string, names ...string) {
		for _, name := range names {
			if *into == "" {
				*into = lookup(name)
			}
		}
	}
	text(&s.Environment, "ARM_ENVIRONMENT", "AZURE_ENVIRONMENT")
	text(&s.MetadataHost, "ARM_METADATA_HOSTNAME")
	text(&s.AuthorityHost, "ARM_ACTIVE_DIRECTORY_AUTHORITY_HOST")
	text(&s.TenantID, "ARM_TENANT_ID")
	text(&s.ClientID, "ARM_CLIENT_ID")
	text(&s.SubscriptionID, "ARM_SUBSCRIPTION_ID")
	text(&s.ClientCertificatePassword, "ARM_CLIENT_CERTIFICATE_PASSWORD")
	text(&s.OIDCAudience, "ARM_OIDC_AUDIENCE")
	if !s.hasAssertion() {
		text(&s.OIDCToken, "ARM_OIDC_TOKEN")
		text(&s.OIDCTokenFilePath, "ARM_OIDC_TOKEN_FILE_PATH")
		text(&s.OIDCRequestURL, "ARM_OIDC_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_URL")
		text(&s.OIDCRequestToken, "ARM_OIDC_REQUEST_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN")
	}
	if s.AuxiliaryTenantIDs == nil {
		s.AuxiliaryTenantIDs = tenants(lookup("ARM_AUXILIARY_TENANT_IDS"))
	}
	if !chosen {
		text(&s.ClientSecret, "ARM_CLIENT_SECRET")
		text(&s.ClientCertificatePath, "ARM_CLIENT_CERTIFICATE_PATH")
		for name, into := range map[string]*bool{
			"ARM_USE_OIDC": &s.UseOIDC, "ARM_USE_MSI": &s.UseMSI, "ARM_USE_DEFAULT_AZURE_CREDENTIAL": &s.UseDefault,
		} {
			*into, _ = strconv.ParseBool(lookup(name)) // everything except a boolean counts as false
		}
	}
	return s
}

// tenants reads a JSON list, or names separated by semicolons as other tools write them.
func tenants(text string) []string {
	var list []string
	if json.Unmarshal([]byte(text), &list) == nil {
		return list
	}
	for name := range strings.SplitSeq(text, ";") {
		if name = strings.TrimSpace(name); name != "" {
			list = append(list, name)
		}
	}
	return list
}
