package provider

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"sync"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi/sdk/v3/go/property"

	"evenkeel/dpsservice"
	"evenkeel/internal/azure/enrollment"
	"evenkeel/internal/azure/hublink"
	"evenkeel/internal/azure/login"
	"evenkeel/internal/provider/entry"
)

var (
	_ infer.CustomCheck[*Config] = (*Config)(nil)
	_ infer.CustomConfigure      = (*Config)(nil)
)

// defaultRateLimit is the service's own limit of operations a minute and instance (DPS quotas).
const defaultRateLimit = 1000

// configNames are the properties of the configuration.
var configNames = append([]string{"connectionString", "host", "policyName", "key", "endpoint", "caFile", "rateLimit"},
	entraNames...)

// Config is the provider's configuration. All of it may be absent: SharedAccessKey needs none.
type Config struct {
	ConnectionString *string `pulumi:"connectionString,optional" provider:"secret"`
	Host             *string `pulumi:"host,optional"`
	PolicyName       *string `pulumi:"policyName,optional"`
	Key              *string `pulumi:"key,optional" provider:"secret"`
	Endpoint         *string `pulumi:"endpoint,optional"`
	CAFile           *string `pulumi:"caFile,optional"`
	RateLimit        *int    `pulumi:"rateLimit,optional"`
	Entra

	// Clients are created when they are first needed, so that an invalid configuration fails only the resources that
	// need it.
	variables func(string) string
	mu        sync.Mutex // guards what follows
	account   *login.Account
	client    *dpsservice.Client
	links     *hublink.Client
}

// Annotate describes the configuration in the schema.
func (c *Config) Annotate(an infer.Annotator) {
	an.Describe(&c.ConnectionString,
		"Connection string of the provisioning service, instead of `host`, `policyName` and `key`: "+
			"`HostName=…;SharedAccessKeyName=…;SharedAccessKey=…`.")
	an.Describe(&c.Host,
		"Service host name of the provisioning service, `{name}.azure-devices-provisioning.net`, with `policyName` "+
			"and `key`, or alone to log in with Microsoft Entra ID. Another host replaces every enrollment.")
	an.Describe(&c.PolicyName,
		"Name of the shared access policy to sign with. It needs the right EnrollmentWrite, which includes reading.")
	an.Describe(&c.Key, "A key of that policy, base64. Another key replaces nothing.")
	an.Describe(&c.Endpoint,
		"Address to connect to instead of the host, such as `https://127.0.0.1:8443` for an emulator. Requests, "+
			"tokens and TLS still use the name of the host.")
	an.Describe(&c.CAFile, "File of the certificate authorities (PEM) to trust instead of the system's.")
	an.Describe(&c.RateLimit,
		"Maximum number of requests a minute, 0 for no limit. The default is 1000, the limit of the service.")
}

// Check reports every error of the configuration at once. The engine does not call it while a value is unknown.
func (c *Config) Check(ctx context.Context, req infer.CheckRequest) (infer.CheckResponse[*Config], error) {
	own := property.Map{} // the engine adds properties of its own, such as the plugin's version
	for _, name := range configNames {
		if value, exists := req.NewInputs.GetOk(name); exists {
			own = own.Set(name, value)
		}
	}
	config, failures, err := infer.DefaultCheck[*Config](ctx, own)
	if err != nil {
		return infer.CheckResponse[*Config]{Inputs: config, Failures: failures}, err
	}
	entry.CleanKey(&config.Key)
	entry.CleanKey(&config.ConnectionString)
	return infer.CheckResponse[*Config]{Inputs: config, Failures: entry.WithFaults(failures, req.NewInputs,
		config.faults(variablesFrom(ctx)))}, nil
}

func (c *Config) faults(variables func(string) string) []enrollment.Fault {
	faults := c.Entra.faults(variables)
	add := func(path, message string) { faults = append(faults, enrollment.Fault{Path: path, Message: message}) }
	if c.ConnectionString != nil {
		if access, err := dpsservice.ParseConnectionString(*c.ConnectionString); err != nil {
			add("connectionString", err.Error())
		} else {
			faults = append(faults, enrollment.CheckHost("connectionString", access.Host)...)
			faults = append(faults, enrollment.CheckKey("connectionString", access.Key)...)
		}
		for path, value := range map[string]*string{"host": c.Host, "policyName": c.PolicyName, "key": c.Key} {
			if value != nil {
				add(path, "also in the connection string: set one or the other")
			}
		}
	} else if c.PolicyName != nil || c.Key != nil {
		for path, value := range map[string]*string{"host": c.Host, "policyName": c.PolicyName, "key": c.Key} {
			if value == nil || *value == "" {
				add(path, "host, policyName and key are needed together")
			}
		}
	}
	if c.Host != nil && *c.Host != "" {
		faults = append(faults, enrollment.CheckHost("host", *c.Host)...)
	}
	if c.Key != nil && *c.Key != "" {
		faults = append(faults, enrollment.CheckKey("key", *c.Key)...)
	}
	if c.Endpoint != nil {
		if u, err := url.Parse(*c.Endpoint); err != nil || u.Scheme != "https" || u.Host == "" {
			add("endpoint", "not an https URL such as https://127.0.0.1:8443")
		}
	}
	if c.RateLimit != nil && *c.RateLimit < 0 {
		add("rateLimit", "negative: use 0 for no limit")
	}
	return faults
}

// access returns the host, policy and key to use. Without any configuration the host is empty.
func (c *Config) access() (dpsservice.Access, error) {
	if c.ConnectionString != nil {
		return dpsservice.ParseConnectionString(*c.ConnectionString)
	}
	return dpsservice.Access{Host: entry.Text(c.Host), PolicyName: entry.Text(c.PolicyName), Key: entry.Text(c.Key)},
		nil
}

// host returns the service's host name in lower case, or "" when the configuration names none.
func (c *Config) host() string {
	access, err := c.access()
	if err != nil {
		return ""
	}
	return strings.ToLower(access.Host)
}

// usesEntra reports whether requests carry a token of Microsoft Entra ID rather than a policy's signature.
func (c *Config) usesEntra() bool {
	return c.ConnectionString == nil && c.PolicyName == nil && c.Key == nil
}

// advice returns what to check when the service refuses a request or cannot be reached, and "" for other errors.
func (c *Config) advice(err error) string {
	switch {
	case errors.Is(err, dpsservice.ErrUnauthorized) && c.usesEntra():
		return "; check the identity that the provider logs in with: on " + c.host() +
			" it needs the role Device Provisioning Service Data Contributor"
	case errors.Is(err, dpsservice.ErrUnauthorized):
		return "; check the provider's policyName and key: " + c.host() +
			" must have the policy, with the right EnrollmentWrite. " +
			"If a key of that policy was regenerated, raise the rotation of its SharedAccessKey by one, then run " +
			"pulumi up: it signs with the other key " +
			"and restores the declared ones (with evenkeel's program: pulumi config set --path rotation.enrollments " +
			"1, or one more than it is). " +
			c.localAuthAdvice()
	case errors.Is(err, dpsservice.ErrNoHost):
		return "; check the provider's host and the network; if the provisioning service was deleted, its " +
			"enrollments were deleted with it: " +
			"remove them from the state with pulumi state delete"
	case errors.Is(err, dpsservice.ErrUntrusted):
		return "; check the provider's caFile, which must contain the authorities to trust for an emulator"
	case errors.Is(err, dpsservice.ErrUnreachable):
		return "; check the network and, if it is set, the provider's endpoint"
	}
	return ""
}

// diffConfig replaces the provider, and with it the enrollments, when the host changes: another service has other
// enrollments. Every other change is an update: infer's own default would replace all enrollments for a rotated key. A
// host that is not known yet (in a preview) counts as unchanged.
func diffConfig(_ context.Context, req p.DiffRequest) (p.DiffResponse, error) {
	response := p.DiffResponse{DetailedDiff: map[string]p.PropertyDiff{}}
	old := req.OldInputs
	if old.Len() == 0 {
		old = req.State
	}
	for _, name := range configNames {
		before, after := old.Get(name), req.Inputs.Get(name)
		if !before.WithSecret(false).Equals(after.WithSecret(false)) {
			response.HasChanges = true
			response.DetailedDiff[name] = p.PropertyDiff{Kind: p.Update, InputDiff: true}
		}
	}
	before, path := hostOf(old)
	after, newPath := hostOf(req.Inputs)
	if before != "" && after != "" && before != after {
		for _, name := range []string{path, newPath} {
			response.DetailedDiff[name] = p.PropertyDiff{Kind: p.UpdateReplace, InputDiff: true}
		}
	}
	return response, nil
}

// hostOf returns the host that a configuration names, in lower case, and the property that names it; "" when it is
// absent, unknown or invalid.
func hostOf(inputs property.Map) (host, path string) {
	if value := inputs.Get("connectionString"); value.IsString() {
		access, err := dpsservice.ParseConnectionString(value.AsString())
		if err != nil {
			return "", "connectionString"
		}
		return strings.ToLower(access.Host), "connectionString"
	}
	if value := inputs.Get("host"); value.IsString() {
		return strings.ToLower(value.AsString()), "host"
	}
	return "", "host"
}
