package provider

import (
	"context"
	"net/url"
	"regexp"
	"strings"

	"github.com/pulumi/pulumi-go-provider/infer"

	"evenkeel/internal/azure/enrollment"
	"evenkeel/internal/azure/login"
	"evenkeel/internal/provider/entry"
)

// entraNames are the properties of Entra in the order of the schema's documentation.
var entraNames = []string{
	"tenantId", "clientId", "clientSecret", "clientCertificatePath", "clientCertificatePassword", "useOidc",
	"oidcToken",
	"oidcTokenFilePath", "oidcRequestUrl", "oidcRequestToken", "oidcAudience", "useMsi", "useAzureCli",
	"useDefaultAzureCredential",
	"subscriptionId", "auxiliaryTenantIds", "environment", "metadataHost", "authorityHost",
}

// Entra is the part of the configuration that logs in with Microsoft Entra ID: to Azure Resource Manager and, without a
// policy's key, to the provisioning service. The names are those of azure-native, except useAzureCli, which is the
// default of azure-native, and authorityHost.
type Entra struct {
	TenantID                  *string  `pulumi:"tenantId,optional"`
	ClientID                  *string  `pulumi:"clientId,optional"`
	ClientSecret              *string  `pulumi:"clientSecret,optional" provider:"secret"`
	ClientCertificatePath     *string  `pulumi:"clientCertificatePath,optional"`
	ClientCertificatePassword *string  `pulumi:"clientCertificatePassword,optional" provider:"secret"`
	UseOIDC                   *bool    `pulumi:"useOidc,optional"`
	OIDCToken                 *string  `pulumi:"oidcToken,optional" provider:"secret"`
	OIDCTokenFilePath         *string  `pulumi:"oidcTokenFilePath,optional"`
	OIDCRequestURL            *string  `pulumi:"oidcRequestUrl,optional"`
	OIDCRequestToken          *string  `pulumi:"oidcRequestToken,optional" provider:"secret"`
	OIDCAudience              *string  `pulumi:"oidcAudience,optional"`
	UseMSI                    *bool    `pulumi:"useMsi,optional"`
	UseAzureCLI               *bool    `pulumi:"useAzureCli,optional"`
	UseDefault                *bool    `pulumi:"useDefaultAzureCredential,optional"`
	SubscriptionID            *string  `pulumi:"subscriptionId,optional"`
	AuxiliaryTenantIDs        []string `pulumi:"auxiliaryTenantIds,optional"`
	Environment               *string  `pulumi:"environment,optional"`
	MetadataHost              *string  `pulumi:"metadataHost,optional"`
	AuthorityHost             *string  `pulumi:"authorityHost,optional"`
}

// Annotate describes the properties in the schema.
func (e *Entra) Annotate(an infer.Annotator) {
	an.Describe(&e.TenantID,
		"Tenant of Microsoft Entra ID to log in to. `LinkedHub` uses this login, and its identity needs the right to "+
			"change the "+
			"provisioning service. Without the key of a policy, enrollments use it too, and it needs the role Device "+
			"Provisioning Service Data Contributor. "+
			"Properties that are left out come from the environment variables that azure-native reads, such as "+
			"`ARM_TENANT_ID`.")
	an.Describe(&e.ClientID,
		"Client id of the service principal or, with `useMsi`, of a user-assigned managed identity; or `ARM_CLIENT_ID`.")
	an.Describe(&e.ClientSecret, "Secret of the service principal; or `ARM_CLIENT_SECRET`.")
	an.Describe(&e.ClientCertificatePath,
		"File with the service principal's certificate and private key, PEM or PKCS#12; or "+
			"`ARM_CLIENT_CERTIFICATE_PATH`.")
	an.Describe(&e.ClientCertificatePassword, "Password of that file; or `ARM_CLIENT_CERTIFICATE_PASSWORD`.")
	an.Describe(&e.UseOIDC,
		"Whether to log in with a token of another issuer (workload identity federation): `oidcToken`, "+
			"`oidcTokenFilePath`, or `oidcRequestUrl` "+
			"with `oidcRequestToken`; or `ARM_USE_OIDC`.")
	an.Describe(&e.OIDCToken, "The other issuer's token; or `ARM_OIDC_TOKEN`.")
	an.Describe(&e.OIDCTokenFilePath,
		"File with the other issuer's token, which is read for each login; or `ARM_OIDC_TOKEN_FILE_PATH`.")
	an.Describe(&e.OIDCRequestURL,
		"URL from which a pipeline requests its token; or `ARM_OIDC_REQUEST_URL`, or `ACTIONS_ID_TOKEN_REQUEST_URL` "+
			"of GitHub Actions.")
	an.Describe(&e.OIDCRequestToken,
		"Token that authenticates this request; or `ARM_OIDC_REQUEST_TOKEN`, or `ACTIONS_ID_TOKEN_REQUEST_TOKEN`.")
	an.Describe(&e.OIDCAudience,
		"Audience of the requested token instead of `api://AzureADTokenExchange`; or `ARM_OIDC_AUDIENCE`.")
	an.Describe(&e.UseMSI, "Whether to log in as the machine's managed identity; or `ARM_USE_MSI`.")
	an.Describe(&e.UseAzureCLI,
		"Whether to use the login of the Azure CLI (`az login`), whatever the environment variables are. This is "+
			"also the default when no other login is configured.")
	an.Describe(&e.UseDefault,
		"Whether to log in with the default credential chain of the Azure SDK and the environment variables that it "+
			"reads (`AZURE_CLIENT_ID` and others); or `ARM_USE_DEFAULT_AZURE_CREDENTIAL`.")
	an.Describe(&e.SubscriptionID,
		"Subscription that selects the account of the Azure CLI when `tenantId` is left out; or `ARM_SUBSCRIPTION_ID`.")
	an.Describe(&e.AuxiliaryTenantIDs,
		"Additional tenants to get tokens from; or `ARM_AUXILIARY_TENANT_IDS`, a JSON list.")
	an.Describe(&e.Environment,
		"The cloud: `public`, `usgovernment` or `china`; or `ARM_ENVIRONMENT`. The default is `public`.")
	an.Describe(&e.MetadataHost,
		"Host, with an optional port, that describes another cloud or an emulator at `/metadata/endpoints`; or "+
			"`ARM_METADATA_HOSTNAME`. `caFile` applies to it too.")
	an.Describe(&e.AuthorityHost,
		"Login endpoint instead of the cloud's own, such as `https://login.microsoftonline.com`; or "+
			"`ARM_ACTIVE_DIRECTORY_AUTHORITY_HOST`. `caFile` applies to it too.")
}

// settings are those of the login, completed by environment variables.
func (e *Entra) settings(variables func(string) string) login.Settings {
	return login.Settings{
		Environment: entry.Text(e.Environment), MetadataHost: entry.Text(e.MetadataHost),
		AuthorityHost: entry.Text(e.AuthorityHost),
		TenantID:      entry.Text(e.TenantID), ClientID: entry.Text(e.ClientID),
		SubscriptionID: entry.Text(e.SubscriptionID), AuxiliaryTenantIDs: e.AuxiliaryTenantIDs,
		ClientSecret: entry.Text(e.ClientSecret), ClientCertificatePath: entry.Text(e.ClientCertificatePath),
		ClientCertificatePassword: entry.Text(e.ClientCertificatePassword),
		UseOIDC:                   entry.IsOn(e.UseOIDC), OIDCToken: entry.Text(e.OIDCToken),
		OIDCTokenFilePath: entry.Text(e.OIDCTokenFilePath),
		OIDCRequestURL:    entry.Text(e.OIDCRequestURL), OIDCRequestToken: entry.Text(e.OIDCRequestToken),
		OIDCAudience: entry.Text(e.OIDCAudience),
		UseMSI:       entry.IsOn(e.UseMSI), UseAzureCLI: entry.IsOn(e.UseAzureCLI),
		UseDefault: entry.IsOn(e.UseDefault),
	}.WithVariables(variables)
}

// methods returns the ways to log in that the configuration chooses, by the property that chooses each.
func (e *Entra) methods() []string {
	var chosen []string
	for _, way := range []struct {
		name string
		on   bool
	}{
		{"clientSecret", e.ClientSecret != nil}, {"clientCertificatePath", e.ClientCertificatePath != nil},
		{"useOidc", entry.IsOn(e.UseOIDC)},
		{"useMsi", entry.IsOn(e.UseMSI)}, {"useAzureCli", entry.IsOn(e.UseAzureCLI)},
		{"useDefaultAzureCredential", entry.IsOn(e.UseDefault)},
	} {
		if way.on {
			chosen = append(chosen, way.name)
		}
	}
	return chosen
}

// hostPort matches a host name or address, with or without a port.
var hostPort = regexp.MustCompile(`^[A-Za-z0-9.\-\[\]:]+$`)

// faults returns the errors of the login's configuration, environment variables included.
func (e *Entra) faults(variables func(string) string) []enrollment.Fault {
	var faults []enrollment.Fault
	add := func(path, message string) { faults = append(faults, enrollment.Fault{Path: path, Message: message}) }
	all := e.settings(variables)
	switch methods := e.methods(); {
	case len(methods) > 1:
		for _, name := range methods {
			add(name, "conflicting ways to log in: set only one of "+strings.Join(methods, ", "))
		}
	case len(methods) == 1 && (methods[0] == "clientSecret" || methods[0] == "clientCertificatePath" ||
		methods[0] == "useOidc"):
		for path, value := range map[string]string{"tenantId": all.TenantID, "clientId": all.ClientID} {
			if value == "" {
				add(path, "tenantId and clientId are needed with "+methods[0])
			}
		}
	}
	if entry.IsOn(e.UseOIDC) && all.OIDCToken == "" && all.OIDCTokenFilePath == "" &&
		(all.OIDCRequestURL == "" || all.OIDCRequestToken == "") {
		add("useOidc", "no token: set oidcToken, or oidcTokenFilePath, or oidcRequestUrl and oidcRequestToken")
	}
	if err := login.CheckEnvironment(entry.Text(e.Environment)); err != nil {
		add("environment", err.Error())
	}
	if e.MetadataHost != nil && !hostPort.MatchString(*e.MetadataHost) {
		add("metadataHost", "not a host or a host with a port, such as 127.0.0.1:8443")
	}
	if e.AuthorityHost != nil {
		if u, err := url.Parse(*e.AuthorityHost); err != nil || u.Scheme != "https" || u.Host == "" {
			add("authorityHost", "not an https URL such as https://login.microsoftonline.com")
		}
	}
	return faults
}

type variablesKey struct{}

// withVariables lets checks and operations look up environment variables.
func withVariables(ctx context.Context, lookup func(string) string) context.Context {
	return context.WithValue(ctx, variablesKey{}, lookup)
}

func variablesFrom(ctx context.Context) func(string) string {
	lookup, _ := ctx.Value(variablesKey{}).(func(string) string)
	return lookup
}
